//! What a scrape says of what was served.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bicorn_server::Board;
use bicorn_server::board::{Protocol, State};

use crate::admin::Managed;
use crate::client::{BAD_REQUEST, Client};
use crate::http2_client::Http2Client;
use crate::running::Running;
use crate::waiting::wait_until;
use crate::websocket_sides::HANDSHAKE;

/// A text in Prometheus' format, taken apart and checked.
struct Scrape {
    samples: BTreeMap<String, f64>,
    /// Name of each family, and its type.
    families: BTreeMap<String, String>,
}

impl Scrape {
    fn take(managed: &Managed) -> Self {
        let (status, _, content) = managed.ask("GET", "/metrics");
        assert_eq!(status, "HTTP/1.1 200 OK");
        Self::parse(&content)
    }

    /// Take every line apart: each belongs to the family above it, and no sample comes twice.
    fn parse(content: &str) -> Self {
        let (mut samples, mut families) = (BTreeMap::new(), BTreeMap::new());
        let mut family = String::new();
        let mut has_help = false;
        assert!(content.ends_with('\n'));
        for line in content.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, text) = help.split_once(' ').expect("a help has a name and a text");
                assert!(!text.is_empty() && !families.contains_key(name), "{line}");
                name.clone_into(&mut family);
                has_help = true;
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type has a name and a kind");
                assert!(has_help && name == family, "{line}");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                families.insert(family.clone(), kind.to_owned());
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
                let name = series.split('{').next().expect("a series has a name");
                let is_part = name.strip_prefix(family.as_str());
                assert!(
                    is_part.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest)),
                    "{line}"
                );
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
                assert!(series == name || series.ends_with("\"}"), "{line}");
                let value = value.parse().expect("a value is a number");
                assert_eq!(samples.insert(series.to_owned(), value), None, "{line}");
            }
        }
        let scrape = Self { samples, families };
        scrape.check_histograms();
        scrape
    }

    /// Buckets count everything below their bound; the last one counts everything, as `_count` does.
    fn check_histograms(&self) {
        let buckets = self.samples.keys().filter_map(|series| series.split_once("_bucket{"));
        let mut series: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (family, labels) in buckets {
            let (others, bound) = labels.split_once("le=\"").expect("a bucket has a bound");
            let bound = bound.trim_end_matches("\"}");
            let bound =
                if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("a bound is a number") };
            let value = self.samples[&format!("{family}_bucket{{{labels}")];
            let others = others.trim_end_matches(',');
            let suffix = if others.is_empty() { String::new() } else { format!("{{{others}}}") };
            series.entry(format!("{family}|{suffix}")).or_default().push((bound, value));
        }
        for (name, mut buckets) in series {
            let (family, suffix) = name.split_once('|').expect("it was put there");
            assert_eq!(self.families[family], "histogram");
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{name}: {buckets:?}");
            let (bound, count) = *buckets.last().expect("there is a bucket");
            assert!(bound.is_infinite(), "{name}");
            assert_eq!(Some(&count), self.samples.get(&format!("{family}_count{suffix}")), "{name}");
            let sum = self.samples[&format!("{family}_sum{suffix}")];
            assert_eq!(count > 0.0, sum > 0.0, "{name}");
        }
    }

    /// The value of a series; 0 if there is none.
    fn value(&self, series: &str) -> f64 {
        self.samples.get(series).copied().unwrap_or(0.0)
    }

    #[track_caller]
    fn expect(&self, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert!(
                (self.value(series) - value).abs() < 1e-9,
                "{series}: {} is not {value}",
                self.value(series)
            );
        }
    }
}

/// A server that measures, and its management listener.
fn measured() -> (Running, Managed) {
    let managed = Managed::start();
    managed.slot.set_state(State::Ready);
    (Running::in_slot(managed.slot.clone()), managed)
}

/// Wait until no request is in flight: then all are counted.
fn wait_until_counted(managed: &Managed) {
    wait_until(|| managed.slot.requests_in_flight() == 0);
}

const IN_FLIGHT: &str = "bicorn_http_requests_in_flight{worker=\"0\"}";

#[test]
fn requests_are_counted_by_method_and_status() {
    let (running, managed) = measured();
    let mut client = running.connect();
    for _ in 0..3 {
        running.serve_one(&mut client);
    }
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
    running.next_call().reply("hello");
    client.read_until("\r\n\r\n");
    client.send("BREW / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
    let mut call = running.next_call();
    assert_eq!(call.content(), b"body");
    call.start(404, &[("content-length", "3")]);
    call.push(b"no");
    call.push(b"t");
    call.end();
    assert!(client.read_until("not").starts_with("HTTP/1.1 404"));
    wait_until_counted(&managed);
    Scrape::take(&managed).expect(&[
        ("bicorn_http_requests_total{method=\"GET\",status=\"200\"}", 3.0),
        ("bicorn_http_requests_total{method=\"HEAD\",status=\"200\"}", 1.0),
        ("bicorn_http_requests_total{method=\"other\",status=\"404\"}", 1.0),
        ("bicorn_http_request_duration_seconds_count{method=\"GET\",status=\"2xx\"}", 3.0),
        ("bicorn_http_request_duration_seconds_count{method=\"other\",status=\"4xx\"}", 1.0),
        ("bicorn_http_request_content_bytes_total", 4.0),
        ("bicorn_http_response_content_bytes_total", 18.0),
        (IN_FLIGHT, 0.0),
    ]);
}

#[test]
fn a_request_is_in_flight_until_the_socket_has_all_of_its_response() {
    let (running, managed) = measured();
    let (mut client, call) = running.ask_simply();
    Scrape::take(&managed).expect(&[(IN_FLIGHT, 1.0)]);
    let piece = vec![b'x'; 64 * 1024 * 1024];
    call.start(200, &[("content-length", &piece.len().to_string())]);
    call.push(&piece);
    call.end();
    client.read_until("\r\n\r\n");
    Scrape::take(&managed).expect(&[(IN_FLIGHT, 1.0)]);
    std::io::copy(&mut std::io::Read::take(&mut client.stream, piece.len() as u64), &mut std::io::sink())
        .expect("the response is complete");
    wait_until_counted(&managed);
}

#[test]
fn what_the_server_refuses_is_counted_with_its_status() {
    let (running, managed) = measured();
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n");
    client.expect(BAD_REQUEST);
    let mut client = running.connect();
    client.send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
    client.expect(BAD_REQUEST);
    let mut client = running.connect();
    client.send(HANDSHAKE.replace("Version: 13", "Version: 12"));
    assert!(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 426"));
    running.wait_until_empty_after(client);
    wait_until_counted(&managed);
    Scrape::take(&managed).expect(&[
        ("bicorn_http_requests_total{method=\"other\",status=\"400\"}", 1.0),
        ("bicorn_http_requests_total{method=\"POST\",status=\"400\"}", 1.0),
        ("bicorn_http_requests_total{method=\"GET\",status=\"426\"}", 1.0),
        ("bicorn_http_request_duration_seconds_count{method=\"POST\",status=\"4xx\"}", 1.0),
        ("bicorn_http_request_duration_seconds_count{method=\"other\",status=\"4xx\"}", 0.0),
    ]);
}

#[test]
fn requests_without_an_answer_are_counted_too() {
    let (running, managed) = measured();
    let (client, mut call) = running.ask_simply();
    drop(client);
    call.wait_until_peer_finished();
    drop(call);
    wait_until_counted(&managed);
    Scrape::take(&managed).expect(&[
        ("bicorn_http_requests_total{method=\"GET\",status=\"none\"}", 1.0),
        ("bicorn_http_request_duration_seconds_count{method=\"GET\",status=\"none\"}", 1.0),
    ]);
}

#[test]
fn a_panic_leaves_no_request_in_flight() {
    let managed = Managed::start();
    managed.slot.set_state(State::Ready);
    let running = Running::in_slot_with_hook(managed.slot.clone(), Box::new(|_| panic!("a defect")));
    let mut client = running.connect();
    client.get("/");
    client.expect_end();
    wait_until_counted(&managed);
}

#[test]
fn pipelined_requests_are_all_counted() {
    let (running, managed) = measured();
    let mut client = running.connect();
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(10));
    for _ in 0..10 {
        running.next_call().reply("hello");
    }
    for _ in 0..10 {
        client.expect_reply("hello");
    }
    wait_until_counted(&managed);
    Scrape::take(&managed).expect(&[
        ("bicorn_http_requests_total{method=\"GET\",status=\"200\"}", 10.0),
        ("bicorn_http_response_content_bytes_total", 50.0),
    ]);
}

#[test]
fn streams_of_http2_are_requests_as_well() {
    let (running, managed) = measured();
    let mut peer = Http2Client::connect(&running);
    let stream = peer.ask("POST", "/", &[], false);
    peer.send(crate::http2_client::DATA, crate::http2_client::END_STREAM, stream, b"body");
    let mut call = running.next_call();
    assert_eq!(call.content(), b"body");
    call.reply("hello");
    peer.ask("GET", "/", &[], true);
    let second = running.next_call();
    wait_until(|| managed.slot.requests_in_flight() == 1);
    Scrape::take(&managed).expect(&[
        ("bicorn_http_requests_total{method=\"POST\",status=\"200\"}", 1.0),
        ("bicorn_http_request_content_bytes_total", 4.0),
        ("bicorn_http_response_content_bytes_total", 5.0),
        ("bicorn_connections{worker=\"0\",protocol=\"http/2\"}", 1.0),
    ]);
    drop(peer);
    wait_until_counted(&managed);
    Scrape::take(&managed).expect(&[("bicorn_http_requests_total{method=\"GET\",status=\"none\"}", 1.0)]);
    drop(second);
}

#[test]
fn a_websocket_is_a_request_with_101_and_messages() {
    let (running, managed) = measured();
    let (mut client, socket) = running.open_socket();
    for _ in 0..3 {
        client.send_frame(0x81, b"hello");
        socket.expect_text("hello");
    }
    socket.send("there");
    client.expect_frame(0x81, b"there");
    Scrape::take(&managed).expect(&[
        ("bicorn_http_requests_total{method=\"GET\",status=\"101\"}", 1.0),
        ("bicorn_websocket_messages_total{direction=\"received\"}", 3.0),
        ("bicorn_websocket_messages_total{direction=\"sent\"}", 1.0),
        ("bicorn_connections{worker=\"0\",protocol=\"websocket\"}", 1.0),
        (IN_FLIGHT, 0.0),
    ]);
}

#[test]
fn one_scrape_tells_of_all_workers() {
    let words: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default).take(Board::words(3)).collect();
    let board = Board::create(Arc::new(words)).expect("there is memory for three");
    let slot = |index| board.slot(index).expect("there are three");
    let managed = Managed::of(slot(0));
    let runnings = [0, 2].map(|index| {
        slot(index).set_state(State::Starting);
        slot(index).set_state(State::Ready);
        Running::in_slot(slot(index))
    });
    let mut clients: Vec<Client> = Vec::new();
    for (times, running) in runnings.iter().enumerate() {
        let mut client = running.connect();
        (0..=times).for_each(|_| running.serve_one(&mut client));
        clients.push(client);
    }
    wait_until(|| [0, 2].into_iter().all(|index| slot(index).requests_in_flight() == 0));
    slot(2).loop_woken(slot(2).turn());
    let scrape = Scrape::take(&managed);
    scrape.expect(&[
        ("bicorn_http_requests_total{method=\"GET\",status=\"200\"}", 3.0),
        ("bicorn_http_request_duration_seconds_count{method=\"GET\",status=\"2xx\"}", 3.0),
        ("bicorn_connections{worker=\"0\",protocol=\"http/1\"}", 1.0),
        ("bicorn_connections{worker=\"2\",protocol=\"http/1\"}", 1.0),
        ("bicorn_workers{state=\"ready\"}", 2.0),
        ("bicorn_loop_stalled_seconds{worker=\"0\"}", 0.0),
    ]);
    assert!(scrape.value("bicorn_loop_stalled_seconds{worker=\"2\"}") > 0.0);
    assert!(
        scrape.value("bicorn_worker_start_time_seconds{worker=\"2\"}")
            >= scrape.value("bicorn_start_time_seconds")
    );
    assert!(scrape.samples.keys().all(|series| !series.contains("worker=\"1\"")));
}

#[test]
fn nothing_is_measured_unless_somebody_asks() {
    let running = Running::start();
    running.serve_one(&mut running.connect());
    running.wait_until_empty();
    assert_eq!(running.slot.requests_in_flight(), 0);
    assert!(
        bicorn_server::board::Method::ALL.iter().all(|method| running.slot.requests(*method).count() == 0)
    );
    // Workers need this to know of each other.
    assert_eq!((running.slot.accepted(), running.slot.connections(Protocol::Http1)), (1, 0));
}
