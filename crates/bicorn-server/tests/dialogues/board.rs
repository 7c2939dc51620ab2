//! What others see of a server's connections.

use bicorn_server::board::Protocol;

use crate::http2_client::Http2Client;
use crate::running::Running;
use crate::waiting::wait_until;

/// Wait until so many connections are counted as HTTP/1, HTTP/2 and WebSocket.
fn expect_connections(running: &Running, expected: [u64; 3]) {
    wait_until(|| Protocol::ALL.map(|protocol| running.slot.connections(protocol)) == expected);
}

#[test]
fn connections_are_counted_by_what_is_spoken_on_them() {
    let running = Running::start();
    let first = running.connect();
    expect_connections(&running, [1, 0, 0]);
    let (socket_client, _socket) = running.open_socket();
    expect_connections(&running, [1, 0, 1]);
    let http2 = Http2Client::connect(&running);
    expect_connections(&running, [1, 1, 1]);
    assert_eq!(running.slot.accepted(), 3);
    drop(http2);
    expect_connections(&running, [1, 0, 1]);
    drop(socket_client);
    expect_connections(&running, [1, 0, 0]);
    drop(first);
    expect_connections(&running, [0, 0, 0]);
    assert_eq!(running.slot.accepted(), 3);
}

#[test]
fn a_connection_that_is_lost_to_a_defect_is_not_counted_any_more() {
    let running = Running::with_hook(Box::new(|_| panic!("a defect of the application")));
    let mut client = running.connect();
    client.get("/");
    client.expect_end();
    expect_connections(&running, [0, 0, 0]);
}

#[test]
fn a_closed_server_has_no_connections() {
    let mut running = Running::start();
    let _clients = (running.connect(), running.open_socket());
    expect_connections(&running, [1, 0, 1]);
    running.server.close();
    expect_connections(&running, [0, 0, 0]);
}
