//! What an application still says of an exchange that is over.

use crate::running::Running;

#[test]
fn a_late_close_lets_the_next_exchange_finish() {
    let running = Running::start();
    let mut client = running.connect();
    client.get("/1");
    let first = running.next_call();
    first.reply("1");
    client.expect_reply("1");
    client.get("/2");
    let second = running.next_call();
    first.response.close();
    first.response.notify();
    second.reply("2");
    client.expect("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\n2");
    client.expect_end();
}

#[test]
fn a_late_answer_is_not_the_answer_to_the_next_request() {
    let running = Running::start();
    let mut client = running.connect();
    client.get("/1");
    let first = running.next_call();
    first.reply("1");
    client.expect_reply("1");
    client.get("/2");
    let second = running.next_call();
    first.reply("again");
    second.reply("2");
    client.expect_reply("2");
}

#[test]
fn a_late_answer_is_not_for_the_next_peer() {
    let running = Running::start();
    let (client, mut first) = running.ask_simply();
    first.start(200, &[]);
    client.reset();
    first.wait_until_gone();
    running.wait_until_empty();
    let (mut client, second) = running.ask_simply();
    first.push(b"for somebody else");
    first.end();
    first.response.close();
    first.response.notify();
    second.reply("2");
    client.expect_reply("2");
    running.serve_one(&mut client);
}

#[test]
fn an_exchange_given_up_late_is_no_harm() {
    let running = Running::start();
    let (client, mut first) = running.ask_simply();
    first.start(200, &[]);
    client.reset();
    first.wait_until_gone();
    running.wait_until_empty();
    let (mut client, second) = running.ask_simply();
    drop(first);
    second.reply("2");
    client.expect_reply("2");
}
