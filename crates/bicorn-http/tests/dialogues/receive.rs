//! Request content on its way to the application.

use bicorn_http::exchange::BODY_HIGH_WATER_BYTES;
use bicorn_http::{ExchangeControl, Received};

use crate::seam::{Asked, ID, Seam, counting_waker};

fn body(content: &[u8], more: bool) -> Received {
    Received::Body { content: content.to_vec(), more }
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
fn all_content_comes_at_once_in_order() {
    let mut seam = Seam::new();
    seam.control.arrival().push(b"one ");
    seam.control.arrival().push(b"two");
    assert_eq!(seam.exchange.body.try_receive(), Some(body(b"one two", true)));
    assert_eq!(seam.exchange.body.try_receive(), None);
    seam.control.arrival().push(b"three");
    seam.control.arrival().finish();
    assert_eq!(seam.exchange.body.try_receive(), Some(body(b"three", false)));
}

#[test]
fn a_request_without_content_is_one_empty_body() {
    let mut seam = Seam::new();
    seam.control.arrival().finish();
    assert_eq!(seam.exchange.body.try_receive(), Some(body(b"", false)));
    assert_eq!(seam.exchange.body.try_receive(), None);
}

#[test]
fn whatever_arrives_wakes_once() {
    let events: [fn(&ExchangeControl); 4] = [
        |control| control.arrival().push(b"x"),
        |control| control.arrival().finish(),
        ExchangeControl::peer_finished,
        ExchangeControl::disconnect,
    ];
    for event in events {
        let seam = Seam::new();
        let (waker, woken) = counting_waker();
        assert!(seam.exchange.body.poll_ready(&waker).is_pending());
        event(&seam.control);
        assert_eq!(woken.count(), 1);
        event(&seam.control);
        assert_eq!(woken.count(), 1);
        assert!(seam.exchange.body.poll_ready(&waker).is_ready());
    }
}

#[test]
fn nobody_is_woken_who_did_not_have_to_wait() {
    let seam = Seam::new();
    let (waker, woken) = counting_waker();
    seam.control.arrival().push(b"x");
    assert!(seam.exchange.body.poll_ready(&waker).is_ready());
    seam.control.arrival().push(b"y");
    assert_eq!(woken.count(), 0);
}

#[test]
fn after_the_body_only_the_peers_end_is_news() {
    let mut seam = Seam::new();
    let (waker, woken) = counting_waker();
    seam.control.arrival().finish();
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
    seam.control.arrival().push(b"x");
    seam.control.arrival().finish();
    seam.control.disconnect();
    assert_eq!(seam.exchange.body.try_receive(), Some(body(b"x", false)));
    assert_eq!(seam.exchange.body.try_receive(), Some(Received::Disconnected));
}

#[test]
fn a_body_that_was_cut_off_is_never_complete() {
    for leave in [ExchangeControl::peer_finished, ExchangeControl::disconnect] {
        let mut seam = Seam::new();
        seam.control.arrival().push(b"x");
        leave(&seam.control);
        assert_eq!(seam.exchange.body.try_receive(), Some(body(b"x", true)));
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
    seam.control.arrival().push(&vec![0; BODY_HIGH_WATER_BYTES - 1]);
    assert_eq!(seam.control.body_room(), 1);
    seam.control.arrival().push(&[0; 10]);
    assert_eq!(seam.control.body_room(), 0);
    seam.exchange.body.try_receive();
    assert_eq!(seam.control.body_room(), BODY_HIGH_WATER_BYTES);
}

#[test]
fn reading_resumes_only_if_it_had_stopped() {
    let mut seam = Seam::new();
    seam.control.arrival().push(&vec![0; BODY_HIGH_WATER_BYTES - 1]);
    seam.exchange.body.try_receive();
    assert_eq!(seam.asked(), []);
    seam.control.arrival().push(&vec![0; BODY_HIGH_WATER_BYTES]);
    seam.exchange.body.try_receive();
    assert_eq!(seam.asked(), [Asked::Resume]);
    seam.exchange.body.try_receive();
    assert_eq!(seam.asked(), []);
}

#[test]
fn content_in_small_pieces_costs_no_more_memory_than_the_mark() {
    let mut seam = Seam::new();
    for _ in 0..BODY_HIGH_WATER_BYTES {
        seam.control.arrival().push(b"x");
    }
    let Some(Received::Body { content, .. }) = seam.exchange.body.try_receive() else { panic!("no content") };
    assert_eq!(content.len(), BODY_HIGH_WATER_BYTES);
    assert_eq!(content.capacity(), BODY_HIGH_WATER_BYTES);
}

#[test]
fn looking_does_not_take() {
    let mut seam = Seam::new();
    let (waker, _) = counting_waker();
    seam.control.arrival().push(&vec![0; BODY_HIGH_WATER_BYTES]);
    assert!(seam.exchange.body.poll_ready(&waker).is_ready());
    assert_eq!((seam.asked(), seam.control.body_room()), (vec![], 0));
    assert!(matches!(seam.exchange.body.try_receive(), Some(Received::Body { .. })));
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
