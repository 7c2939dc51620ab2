//! Files over loopback sockets.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bicorn_http::exchange::HIGH_WATER_BYTES;
use bicorn_http::{FileRange, ResponseBody, ResponsePart};
use bicorn_server::Notice;

use crate::application::{Call, head};
use crate::running::Running;

/// More than the kernel keeps for both ends of a loopback connection.
const PLENTY: u64 = 16 * 1024 * 1024;

/// A file that is removed with its last descriptor.
fn scratch_file(length: u64) -> Arc<File> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("bicorn-dialogue-{}-{number}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
    let file = file.expect("there is a place for temporary files");
    std::fs::remove_file(path).expect("what was made can be removed");
    file.set_len(length).expect("the file is sparse");
    Arc::new(file)
}

fn send(call: &Call, file: &Arc<File>, length: u64, has_head: bool, last: bool) {
    let head = has_head.then(|| head(200, &[("content-length", &length.to_string())]));
    let body = ResponseBody::File(FileRange { file: Arc::clone(file), offset: 0, length });
    call.response.send(ResponsePart { head, body, trailers: None, last, is_whole: false });
    call.response.notify();
}

#[test]
fn head_file_and_tail_arrive_in_order() {
    let running = Running::start();
    let file = scratch_file(300_000);
    file.write_all_at(b"first", 0).unwrap();
    file.write_all_at(b"last", 299_996).unwrap();
    let (mut client, call) = running.ask_simply();
    call.start(200, &[]);
    send(&call, &file, 300_000, false, false);
    call.push(b"tail");
    call.end();
    client.read_until("\r\n\r\n493e0\r\nfirst");
    let rest = client.read_until("0\r\n\r\n");
    assert_eq!((rest.len(), &rest[rest.len() - 20..]), (300_000 - 5 + 16, "last\r\n4\r\ntail\r\n0\r\n\r\n"));
    running.serve_one(&mut client);
}

#[test]
fn the_kernel_reads_no_further_than_the_range() {
    let running = Running::start();
    let file = scratch_file(1000);
    let (mut client, call) = running.ask_simply();
    send(&call, &file, 10, true, true);
    client.expect(&format!("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{}", "\0".repeat(10)));
    running.serve_one(&mut client);
}

#[test]
fn the_descriptor_is_closed_when_the_file_is_sent() {
    let running = Running::start();
    let file = scratch_file(10);
    let (mut client, call) = running.ask_simply();
    send(&call, &file, 10, true, true);
    client.read_until("\0\0\0\0\0\0\0\0\0\0");
    running.serve_one(&mut client);
    assert_eq!(Arc::strong_count(&file), 1);
}

#[test]
fn files_that_nobody_reads_hold_the_application_back_and_are_closed_with_the_peer() {
    let running = Running::start();
    let file = scratch_file(PLENTY);
    let (mut client, mut call) = running.ask_simply();
    call.start(200, &[]);
    let mut sent = 0;
    while call.has_room_within(Duration::from_millis(500)) {
        send(&call, &file, PLENTY, false, false);
        sent += 1;
        assert!(sent < 100);
    }
    assert!((8..=10).contains(&sent), "{sent}");
    client.read_until("\r\n\r\n");
    client.reset();
    call.wait_until_gone();
    running.wait_until_empty();
    assert_eq!(Arc::strong_count(&file), 1);
}

#[test]
fn a_reader_lets_the_application_go_on_file_by_file() {
    let running = Running::start();
    let file = scratch_file(PLENTY);
    let (mut client, call) = running.ask("GET / HTTP/1.0\r\n\r\n");
    call.start(200, &[]);
    for _ in 0..9 {
        send(&call, &file, PLENTY, false, false);
    }
    assert!(!call.has_room_within(Duration::from_millis(200)));
    client.read_until("\r\n\r\n");
    // All but two: 32 KiB are left in the measure of flow control.
    io::copy(&mut client.stream.by_ref().take(8 * PLENTY), &mut io::sink()).unwrap();
    call.wait_for_room();
}

#[test]
fn pipelined_requests_wait_for_a_peer_that_does_not_read() {
    let running = Running::start();
    let file = scratch_file(PLENTY);
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100));
    let most = HIGH_WATER_BYTES / bicorn_http::body::FILE_BYTES;
    for _ in 0..most {
        send(&running.next_call(), &file, PLENTY, true, true);
    }
    client.expect("HTTP/1.1 200 OK\r\n");
    running.expect_no_call();
    assert!(Arc::strong_count(&file) <= most + 1);
    client.read_until("\r\n\r\n");
    io::copy(&mut client.stream.by_ref().take(PLENTY), &mut io::sink()).unwrap();
    send(&running.next_call(), &file, PLENTY, true, true);
}

#[test]
fn a_file_that_became_shorter_resets_the_connection() {
    let running = Running::start();
    let file = scratch_file(PLENTY);
    let (mut client, call) = running.ask_simply();
    send(&call, &file, PLENTY, true, true);
    client.read_until("\r\n\r\n");
    file.set_len(10).unwrap();
    let received = io::copy(&mut client.stream, &mut io::sink());
    assert!(
        received.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset),
        "{received:?}"
    );
    assert!(matches!(running.next_notice(), Notice::FileFailed(_)));
    running.wait_until_empty();
}
