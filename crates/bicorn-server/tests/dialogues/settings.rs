//! What settings do to requests and responses.

use std::net::{IpAddr, Ipv4Addr};

use bicorn_http::PeerError;
use bicorn_http::http1::Limits;
use bicorn_server::forwarded::TrustedProxies;
use bicorn_server::{Notice, PeerAddress, ServerAddress};

use crate::running::Running;

#[test]
fn limits_are_those_of_the_settings() {
    let limits = Limits { head_bytes: 1000, fields: 3, target_bytes: 100 };
    let running = Running::with(|settings| settings.limits = limits);
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(100));
    let many_fields = "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\nA: b\r\nA: b\r\n\r\n".to_owned();
    let long_head = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "a".repeat(1000));
    for (head, line, error) in [
        (long_target, "HTTP/1.1 414 URI Too Long\r\n", PeerError::TargetTooLong),
        (many_fields, "HTTP/1.1 431 Request Header Fields Too Large\r\n", PeerError::TooManyFields),
        (long_head, "HTTP/1.1 431 Request Header Fields Too Large\r\n", PeerError::HeadTooLarge),
    ] {
        let mut client = running.connect();
        client.send(head);
        client.expect(line);
        assert_eq!(running.next_notice(), Notice::InvalidRequest(error));
        client.finish();
        client.read_to_end();
        running.wait_until_empty();
    }
    running.expect_no_call();
}

#[test]
fn default_fields_are_in_every_answer_date_first() {
    let running = Running::with(|settings| {
        settings.date_header = true;
        settings.default_fields = b"server: test\r\nx-a: b\r\n".to_vec();
    });
    let mut client = running.connect();
    client.get("/");
    running.next_call().reply("hello");
    let answer = client.read_until("hello");
    client.send("BAD\r\n\r\n");
    let refusal = client.read_until("received.");
    for text in [answer, refusal] {
        let lines: Vec<_> = text.lines().collect();
        let date = lines[1].strip_prefix("date: ").expect("date comes first");
        // RFC 9110 §5.6.7: IMF-fixdate.
        assert_eq!((date.len(), &date[3..5], &date[25..]), (29, ", ", " GMT"), "{date}");
        assert_eq!(lines[2..4], ["server: test", "x-a: b"]);
    }
}

#[test]
fn without_keep_alive_each_connection_has_one_exchange() {
    let running = Running::with(|settings| settings.keep_alive = false);
    for request in ["GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"] {
        let (mut client, call) = running.ask(&request.repeat(2));
        call.reply("hello");
        client.expect("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
        client.expect_end();
    }
    running.expect_no_call();
}

#[test]
fn a_request_for_another_protocol_is_served_and_told() {
    let running = Running::start();
    let (mut client, call) =
        running.ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_eq!(running.next_notice(), Notice::UnsupportedUpgrade);
    call.reply("hello");
    client.expect_reply("hello");
}

#[test]
fn a_connection_knows_its_ends() {
    let running = Running::start();
    let (client, call) = running.ask_simply();
    let local = client.stream.local_addr().unwrap();
    let info = &call.info;
    assert_eq!(info.peer, Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    assert_eq!(info.client, Some(PeerAddress { host: "127.0.0.1".into(), port: local.port().into() }));
    let server = ServerAddress::Tcp { host: "127.0.0.1".into(), port: running.address.port() };
    assert_eq!((&info.server, info.scheme), (&server, "http"));
}

const FORWARDED: &str = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6, 1.2.3.4:5\r\n\
    X-Forwarded-Proto: https\r\n\r\n";

#[test]
fn a_trusted_proxy_names_the_client() {
    let trusted = Some(TrustedProxies::parse("127.0.0.1"));
    let running = Running::with(|settings| settings.proxies = trusted);
    let (mut client, call) = running.ask(FORWARDED);
    assert_eq!(call.info.client, Some(PeerAddress { host: "1.2.3.4".into(), port: 5 }));
    assert_eq!((call.info.scheme, call.info.peer), ("https", Some(Ipv4Addr::LOCALHOST.into())));
    call.reply("hello");
    client.expect_reply("hello");
    // Each request of the connection may be for another client.
    client.get("/");
    let next = running.next_call();
    assert_eq!(next.info.scheme, "http");
    assert_eq!(next.info.client.as_ref().map(|client| client.host.as_str()), Some("127.0.0.1"));
    assert_ne!(next.info.id, call.info.id);
}

#[test]
fn nobody_else_names_the_client() {
    for proxies in [None, Some(TrustedProxies::parse("10.0.0.1"))] {
        let running = Running::with(|settings| settings.proxies = proxies);
        let (_client, call) = running.ask(FORWARDED);
        assert_eq!(call.info.client.as_ref().map(|client| client.host.as_str()), Some("127.0.0.1"));
        assert_eq!(call.info.scheme, "http");
    }
}
