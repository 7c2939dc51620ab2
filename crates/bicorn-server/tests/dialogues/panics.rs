//! A defect takes one connection with it and nothing else.

use bicorn_server::Notice;

use crate::running::Running;

fn fragile() -> Running {
    Running::with_hook(Box::new(|exchange| {
        assert!(exchange.head.path() != b"/panic", "a defect of the application");
        if exchange.head.path() == b"/payload" {
            std::panic::panic_any(7);
        }
    }))
}

#[test]
fn a_panic_ends_its_connection_and_is_told() {
    let running = fragile();
    let mut client = running.connect();
    client.get("/panic");
    client.expect_end();
    assert_eq!(running.next_notice(), Notice::Defect("a defect of the application".into()));
    running.wait_until_empty();
}

#[test]
fn a_panic_without_a_text_is_told_too() {
    let running = fragile();
    let mut client = running.connect();
    client.get("/payload");
    client.expect_end();
    assert_eq!(running.next_notice(), Notice::Defect(String::new()));
}

#[test]
fn other_connections_go_on() {
    let running = fragile();
    let (mut waiting, call) = running.ask_simply();
    let mut idle = running.connect();
    running.serve_one(&mut idle);
    for _ in 0..20 {
        let mut client = running.connect();
        client.get("/panic");
        client.expect_end();
    }
    running.serve_one(&mut idle);
    call.reply("hello");
    waiting.expect_reply("hello");
    running.serve_one(&mut running.connect());
}
