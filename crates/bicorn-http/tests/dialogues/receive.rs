//! Request content on its way to the application.

use bicorn_http::Received;
use bicorn_http::exchange::BODY_HIGH_WATER_BYTES;
use bytes::Bytes;

use crate::seam::{Asked, ID, Seam, counting_waker};

fn body(chunks: &[&'static [u8]], more: bool) -> Option<Received> {
    Some(Received::Body { chunks: chunks.iter().copied().map(Bytes::from_static).collect(), more })
}

#[test]
fn nothing_is_there_before_content_arrives() {
    let mut seam = Seam::new();
    let (waker, woken) = counting_waker();
    assert_eq!(seam.exchange.body.try_receive(), None);
    assert!(seam.exchange.body.poll_ready(&waker).is_pending());
    assert_eq!(woken.count(), 0);
}

#[test]
fn all_chunks_come_at_once_in_order() {
    let mut seam = Seam::new();
    seam.control.push_chunk(Bytes::from_static(b"one"));
    seam.control.push_chunk(Bytes::from_static(b"two"));
    assert_eq!(seam.exchange.body.try_receive(), body(&[b"one", b"two"], true));
    assert_eq!(seam.exchange.body.try_receive(), None);
    seam.control.push_chunk(Bytes::from_static(b"three"));
    seam.control.finish_body();
    assert_eq!(seam.exchange.body.try_receive(), body(&[b"three"], false));
}

#[test]
fn a_request_without_content_is_one_empty_body() {
    let mut seam = Seam::new();
    seam.control.finish_body();
    assert_eq!(seam.exchange.body.try_receive(), body(&[], false));
    assert_eq!(seam.exchange.body.try_receive(), None);
}

#[test]
fn whatever_arrives_wakes_once() {
    let events: [fn(&Seam); 4] = [
        |seam| _ = seam.control.push_chunk(Bytes::from_static(b"x")),
        |seam| seam.control.finish_body(),
        |seam| seam.control.peer_finished(),
        |seam| seam.control.disconnect(),
    ];
    for event in events {
        let seam = Seam::new();
        let (waker, woken) = counting_waker();
        assert!(seam.exchange.body.poll_ready(&waker).is_pending());
        event(&seam);
        assert_eq!(woken.count(), 1);
        event(&seam);
        assert_eq!(woken.count(), 1);
        assert!(seam.exchange.body.poll_ready(&waker).is_ready());
    }
}

#[test]
fn nobody_is_woken_who_did_not_have_to_wait() {
    let seam = Seam::new();
    let (waker, woken) = counting_waker();
    seam.control.push_chunk(Bytes::from_static(b"x"));
    assert!(seam.exchange.body.poll_ready(&waker).is_ready());
    seam.control.push_chunk(Bytes::from_static(b"y"));
    assert_eq!(woken.count(), 0);
}

#[test]
fn after_the_body_only_the_peers_end_is_news() {
    let mut seam = Seam::new();
    let (waker, woken) = counting_waker();
    seam.control.finish_body();
    seam.exchange.body.try_receive();
    assert!(seam.exchange.body.poll_ready(&waker).is_pending());
    seam.control.peer_finished();
    assert_eq!(woken.count(), 1);
    assert_eq!(seam.exchange.body.try_receive(), Some(Received::Disconnected));
    assert_eq!(seam.exchange.body.try_receive(), Some(Received::Disconnected));
}

#[test]
fn a_complete_body_comes_before_the_news_that_the_peer_left() {
    let mut seam = Seam::new();
    seam.control.push_chunk(Bytes::from_static(b"x"));
    seam.control.finish_body();
    seam.control.disconnect();
    assert_eq!(seam.exchange.body.try_receive(), body(&[b"x"], false));
    assert_eq!(seam.exchange.body.try_receive(), Some(Received::Disconnected));
}

#[test]
fn a_body_that_was_cut_off_is_never_complete() {
    for leave in [bicorn_http::ExchangeControl::peer_finished, bicorn_http::ExchangeControl::disconnect] {
        let mut seam = Seam::new();
        seam.control.push_chunk(Bytes::from_static(b"x"));
        leave(&seam.control);
        assert_eq!(seam.exchange.body.try_receive(), body(&[b"x"], true));
        assert_eq!(seam.exchange.body.try_receive(), Some(Received::Disconnected));
    }
}

#[test]
fn finished_is_less_than_gone() {
    let seam = Seam::new();
    assert!(!seam.exchange.response.is_peer_finished() && !seam.exchange.response.is_gone());
    seam.control.peer_finished();
    assert!(seam.exchange.response.is_peer_finished() && !seam.exchange.response.is_gone());
    seam.control.disconnect();
    assert!(seam.exchange.response.is_peer_finished() && seam.exchange.response.is_gone());
}

#[test]
fn room_shrinks_to_nothing_and_comes_back() {
    let mut seam = Seam::new();
    assert_eq!(seam.control.body_room(), BODY_HIGH_WATER_BYTES);
    assert_eq!(seam.control.push_chunk(vec![0; BODY_HIGH_WATER_BYTES - 1].into()), 1);
    assert_eq!(seam.control.push_chunk(vec![0; 10].into()), 0);
    assert_eq!(seam.control.body_room(), 0);
    seam.exchange.body.try_receive();
    assert_eq!(seam.control.body_room(), BODY_HIGH_WATER_BYTES);
}

#[test]
fn reading_resumes_only_if_it_had_stopped() {
    let mut seam = Seam::new();
    seam.control.push_chunk(vec![0; BODY_HIGH_WATER_BYTES - 1].into());
    seam.exchange.body.try_receive();
    assert_eq!(seam.asked(), []);
    seam.control.push_chunk(vec![0; BODY_HIGH_WATER_BYTES].into());
    seam.exchange.body.try_receive();
    assert_eq!(seam.asked(), [Asked::Resume]);
    seam.exchange.body.try_receive();
    assert_eq!(seam.asked(), []);
}

#[test]
fn looking_does_not_take() {
    let mut seam = Seam::new();
    let (waker, _) = counting_waker();
    seam.control.push_chunk(vec![0; BODY_HIGH_WATER_BYTES].into());
    assert!(seam.exchange.body.poll_ready(&waker).is_ready());
    assert_eq!((seam.asked(), seam.control.body_room()), (vec![], 0));
    assert!(matches!(seam.exchange.body.try_receive(), Some(Received::Body { chunks, .. }) if chunks.len() == 1));
}

#[test]
fn the_first_call_asks_the_peer_to_continue() {
    let mut seam = Seam::with(ID, "Expect: 100-continue\r\nContent-Length: 5\r\n");
    let (waker, _) = counting_waker();
    assert!(seam.exchange.body.poll_ready(&waker).is_pending());
    assert_eq!(seam.asked(), []);
    seam.exchange.body.try_receive();
    seam.exchange.body.try_receive();
    assert_eq!(seam.asked(), [Asked::Continue]);
}

#[test]
fn the_exchange_knows_its_name() {
    assert_eq!(Seam::new().control.id(), ID);
}
