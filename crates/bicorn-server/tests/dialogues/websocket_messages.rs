//! Messages, ends, and who waits for whom.

use std::time::Duration;

use bicorn_http::exchange::HIGH_WATER_BYTES;
use bicorn_http::websocket::Outgoing;
use bicorn_http::websocket::seam::Received;
use bicorn_http::{Action, Command, ExchangeId};
use bicorn_server::Notice;

use crate::running::Running;
use crate::websocket_sides::{BINARY, CLOSE, PING, PONG, TEXT, close_payload, masked};

/// More than the kernel keeps for both ends of a loopback connection.
const PLENTY: usize = 32 * 1024 * 1024;

#[test]
fn messages_of_one_batch_arrive_in_order() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    for number in 0..100 {
        socket.queue(&number.to_string());
    }
    socket.half.notify();
    for number in 0..100 {
        client.expect_frame(TEXT, number.to_string().as_bytes());
    }
}

#[test]
fn pings_are_answered_before_the_application_looks() {
    let running = Running::start();
    let (mut client, _socket) = running.open_socket();
    client.send_frame(PING, b"there?");
    client.expect_frame(PONG, b"there?");
}

#[test]
fn the_peers_close_is_echoed_and_told_behind_its_messages() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    client.send([masked(TEXT, b"last"), masked(CLOSE, &close_payload(4005, "why"))].concat());
    client.expect_close(4005, "why");
    client.expect_end();
    socket.expect_text("last");
    socket.expect_end(4005, Some("why"));
    socket.expect_end(4005, Some("why"));
    assert!(socket.half.is_closed() && !socket.half.is_lost());
    drop(client);
    running.wait_until_empty();
    assert!(!socket.half.is_lost());
}

#[test]
fn an_empty_close_frame_is_1005() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    client.send_frame(CLOSE, b"");
    client.expect_frame(CLOSE, b"");
    socket.expect_end(1005, Some(""));
}

#[test]
fn the_applications_close_waits_for_the_peers() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    client.send_frame(TEXT, b"before");
    socket.expect_text("before");
    socket.close(4002, "bye");
    socket.expect_end(4002, Some("bye"));
    client.expect_close(4002, "bye");
    client.send_frame(TEXT, b"too late");
    client.expect_silence(Duration::from_millis(50));
    client.send_frame(CLOSE, &close_payload(4002, "bye"));
    client.expect_end();
    socket.expect_end(4002, Some("bye"));
    drop(client);
    running.wait_until_empty();
}

#[test]
fn a_peer_that_leaves_without_a_word_is_1005() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    client.send_frame(TEXT, b"last");
    drop(client);
    socket.expect_text("last");
    socket.expect_end(1005, None);
    assert!(socket.half.is_lost());
    running.wait_until_empty();
}

#[test]
fn an_aborted_websocket_ends_without_a_close_frame_behind_what_was_sent() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    socket.queue("last");
    socket.abort();
    client.expect_frame(TEXT, b"last");
    client.expect_end();
}

#[test]
fn a_violation_is_told_to_both_sides() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    client.send_frame(BINARY | 0x40, b"compressed?");
    let (first, payload) = client.read_frame();
    assert_eq!((first, &payload[..2]), (CLOSE, &1002_u16.to_be_bytes()[..]));
    let Received::Disconnected(end) = socket.receive() else { panic!("a violation is the end") };
    assert_eq!((end.code, end.reason.unwrap().as_bytes()), (1002, &payload[2..]));
}

#[test]
fn what_came_before_a_violation_is_answered_before_it_is_told() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    client.send([masked(TEXT, b"one"), masked(TEXT, b"two"), masked(BINARY | 0x20, b"")].concat());
    socket.expect_text("one");
    socket.send("first");
    socket.expect_text("two");
    socket.send("second");
    client.expect_frame(TEXT, b"first");
    client.expect_frame(TEXT, b"second");
    assert!(matches!(socket.receive(), Received::Disconnected(end) if end.code == 1002));
    assert_eq!(client.read_frame().0, CLOSE);
    client.expect_end();
}

#[test]
fn an_application_may_close_behind_a_violation_that_it_has_not_heard_of() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    client.send([masked(TEXT, b"one"), masked(BINARY | 0x20, b"")].concat());
    socket.expect_text("one");
    socket.close(4000, "enough");
    client.expect_close(4000, "enough");
    drop(client);
    running.wait_until_empty();
}

#[test]
fn a_close_frame_survives_what_the_peer_goes_on_to_send() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    // One byte more than the server of the test takes.
    client.send([&[BINARY, 0xff][..], &(1024_u64 * 1024 + 1).to_be_bytes(), &[0; 4]].concat());
    client.send(vec![0; 1024 * 1024]);
    let (first, payload) = client.read_frame();
    assert_eq!((first, &payload[..2]), (CLOSE, &1009_u16.to_be_bytes()[..]));
    client.expect_end();
    assert!(matches!(socket.receive(), Received::Disconnected(end) if end.code == 1009));
}

#[test]
fn a_peer_is_held_back_by_an_application_that_takes_nothing() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    let message = masked(BINARY, &vec![b'x'; 60_000]);
    let sender = std::thread::spawn(move || {
        let mut taken = 0;
        for _ in 0..PLENTY / message.len() {
            client.send(&message);
            taken += 1;
        }
        (client, taken)
    });
    // The kernel's buffers are full long before the sender is through.
    std::thread::park_timeout(Duration::from_millis(500));
    assert!(!sender.is_finished(), "the server took {PLENTY} bytes for nobody");
    let mut received = 0;
    while received < PLENTY / 60_014 {
        match socket.receive() {
            Received::Message(_) => received += 1,
            Received::Disconnected(end) => panic!("{end:?} after {received}"),
        }
    }
    assert_eq!(sender.join().unwrap().1, received);
}

#[test]
fn many_small_messages_wait_in_the_socket_not_in_memory() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    client.send(masked(TEXT, b"").repeat(10_000));
    client.send_frame(TEXT, b"end");
    for number in 0..10_000 {
        assert!(matches!(socket.receive(), Received::Message(_)), "{number}");
    }
    socket.expect_text("end");
}

#[test]
fn an_application_is_held_back_by_a_peer_that_reads_nothing() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    let mut sent = 0;
    while socket.has_room_within(Duration::from_millis(300)) {
        socket.half.send(Outgoing::Binary(vec![b'x'; 10_000].into()));
        socket.half.notify();
        sent += 1;
        assert!(sent * 10_000 < PLENTY, "nobody holds the application back");
    }
    for _ in 0..sent {
        assert_eq!(client.read_frame().1.len(), 10_000);
    }
    assert!(socket.has_room_within(Duration::from_secs(5)));
    assert!(sent * 10_000 > HIGH_WATER_BYTES);
}

#[test]
fn a_drained_server_says_1012() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    client.send_frame(TEXT, b"last");
    socket.expect_text("last");
    running.server.drain();
    client.expect_frame(CLOSE, &1012_u16.to_be_bytes());
    client.expect_end();
    socket.expect_end(1012, None);
    drop(client);
    running.wait_until_empty();
}

#[test]
fn a_drained_server_does_not_wait_for_a_peer_that_never_closes() {
    let running = Running::start();
    let (_client, socket) = running.open_socket();
    running.server.drain();
    socket.expect_end(1012, None);
    running.wait_until_empty();
}

#[test]
fn a_command_for_another_websocket_of_the_slot_is_ignored() {
    let running = Running::start();
    let (mut client, socket) = running.open_socket();
    for serial in [0, u64::MAX] {
        let exchange = ExchangeId { connection: 0, serial };
        socket.half.mailbox().push(Command { exchange, action: Action::Close });
    }
    socket.send("still here");
    client.expect_frame(TEXT, b"still here");
}

#[test]
fn other_connections_outlive_a_panic() {
    let running = Running::with_hook(Box::new(|_| panic!("a defect")));
    let (mut client, socket) = running.open_socket();
    let mut fragile = running.connect();
    fragile.get("/");
    fragile.expect_end();
    assert_eq!(running.next_notice(), Notice::Defect("a defect".into()));
    client.send_frame(TEXT, b"hello");
    socket.expect_text("hello");
}
