//! Response content on its way from the application.

use bicorn_http::exchange::{HIGH_WATER_BYTES, LOW_WATER_BYTES};
use bicorn_http::{ResponseBody, ResponseHead};

use crate::seam::{Asked, Seam, counting_waker};

fn send(seam: &Seam, bytes: usize) {
    seam.exchange.response.send(None, ResponseBody::copied(&vec![b'x'; bytes]), false);
}

#[test]
fn there_is_room_below_the_high_mark() {
    let seam = Seam::new();
    let (waker, woken) = counting_waker();
    send(&seam, HIGH_WATER_BYTES - 1);
    assert!(seam.exchange.response.is_ready());
    assert!(seam.exchange.response.poll_ready(&waker).is_ready());
    send(&seam, 1);
    assert!(!seam.exchange.response.is_ready());
    assert!(seam.exchange.response.poll_ready(&waker).is_pending());
    assert_eq!(woken.count(), 0);
}

#[test]
fn falling_to_the_low_mark_wakes() {
    let seam = Seam::new();
    let (waker, woken) = counting_waker();
    send(&seam, HIGH_WATER_BYTES);
    assert!(seam.exchange.response.poll_ready(&waker).is_pending());
    seam.control.written(HIGH_WATER_BYTES - LOW_WATER_BYTES - 1);
    assert_eq!(woken.count(), 0);
    seam.control.written(1);
    assert_eq!(woken.count(), 1);
    assert!(seam.exchange.response.is_ready());
    seam.control.written(LOW_WATER_BYTES);
    assert_eq!(woken.count(), 1);
}

#[test]
fn one_write_across_the_low_mark_wakes() {
    let seam = Seam::new();
    let (waker, woken) = counting_waker();
    send(&seam, 3 * HIGH_WATER_BYTES);
    assert!(seam.exchange.response.poll_ready(&waker).is_pending());
    seam.control.written(3 * HIGH_WATER_BYTES);
    assert_eq!(woken.count(), 1);
}

#[test]
fn a_write_of_nothing_wakes_nobody() {
    let seam = Seam::new();
    let (waker, woken) = counting_waker();
    send(&seam, HIGH_WATER_BYTES);
    assert!(seam.exchange.response.poll_ready(&waker).is_pending());
    seam.control.written(0);
    assert_eq!(woken.count(), 0);
    assert!(!seam.exchange.response.is_ready());
}

#[test]
fn nobody_is_held_back_for_a_peer_that_is_gone() {
    let seam = Seam::new();
    let (waker, woken) = counting_waker();
    send(&seam, HIGH_WATER_BYTES);
    assert!(seam.exchange.response.poll_ready(&waker).is_pending());
    seam.control.disconnect();
    assert_eq!(woken.count(), 1);
    assert!(seam.exchange.response.poll_ready(&waker).is_ready());
}

#[test]
fn a_peer_that_only_finished_sending_still_holds_back() {
    let seam = Seam::new();
    let (waker, _) = counting_waker();
    send(&seam, HIGH_WATER_BYTES);
    seam.control.peer_finished();
    assert!(seam.exchange.response.poll_ready(&waker).is_pending());
}

#[test]
fn a_response_arrives_as_it_was_sent() {
    let seam = Seam::new();
    let response = &seam.exchange.response;
    response.send(Some(ResponseHead::new(200)), ResponseBody::Empty, false);
    response.send(None, ResponseBody::copied(b"hello"), false);
    response.send(None, ResponseBody::Empty, true);
    assert_eq!(seam.asked(), [Asked::Respond(Some(200), vec![b"hello".to_vec()], true)]);
}

#[test]
fn sending_wakes_nobody_until_notified() {
    let seam = Seam::new();
    seam.mailbox.park();
    seam.exchange.response.send(Some(ResponseHead::new(200)), ResponseBody::Empty, true);
    assert_eq!(seam.io_thread.count(), 0);
    seam.exchange.response.notify();
    assert_eq!(seam.io_thread.count(), 1);
}

#[test]
fn giving_up_closes_and_says_so() {
    let Seam { exchange, mailbox, io_thread, control } = Seam::new();
    mailbox.park();
    drop(exchange);
    assert_eq!(io_thread.count(), 1);
    let mut commands = Vec::new();
    mailbox.take(&mut commands);
    assert_eq!(commands.len(), 1);
    assert_eq!(commands[0].exchange, control.id());
    assert_eq!(Asked::from(commands.remove(0)), Asked::Close);
}

#[test]
fn giving_up_in_the_middle_closes_behind_what_was_sent() {
    let seam = Seam::new();
    seam.exchange.response.send(Some(ResponseHead::new(200)), ResponseBody::copied(b"a"), false);
    let Seam { exchange, mailbox, .. } = seam;
    drop(exchange);
    let mut commands = Vec::new();
    mailbox.take(&mut commands);
    let asked: Vec<_> = commands.into_iter().map(Asked::from).collect();
    assert_eq!(asked, [Asked::Respond(Some(200), vec![b"a".to_vec()], false), Asked::Close]);
}

#[test]
fn nothing_is_given_up_once_complete_closed_or_gone() {
    let endings: [fn(&Seam); 3] = [
        |seam| seam.exchange.response.send(Some(ResponseHead::new(200)), ResponseBody::Empty, true),
        |seam| seam.exchange.response.close(),
        |seam| seam.control.disconnect(),
    ];
    for end in endings {
        let seam = Seam::new();
        seam.mailbox.park();
        end(&seam);
        seam.asked();
        let Seam { exchange, mailbox, io_thread, .. } = seam;
        drop(exchange);
        let mut commands = Vec::new();
        mailbox.take(&mut commands);
        assert!(commands.is_empty());
        assert_eq!(io_thread.count(), 0);
    }
}

#[test]
fn a_body_that_is_dropped_leaves_the_response_alone() {
    let Seam { exchange, mailbox, control: _control, io_thread } = Seam::new();
    drop(exchange.body);
    let mut commands = Vec::new();
    mailbox.take(&mut commands);
    assert!(commands.is_empty());
    assert_eq!(io_thread.count(), 0);
    drop(exchange.response);
}
