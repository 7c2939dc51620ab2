//! The inbox of an I/O thread: order, merging, and who is woken when.

use std::sync::Arc;

use bicorn_http::{Action, Command, ExchangeId, Mailbox, ResponseBody, ResponseHead, ResponsePart};
use bytes::Bytes;

use crate::seam::{Asked, Counter, counting_waker};

const ONE: ExchangeId = ExchangeId { connection: 0, serial: 1 };
const TWO: ExchangeId = ExchangeId { connection: 0, serial: 2 };

fn mailbox() -> (Mailbox, Arc<Counter>) {
    let mailbox = Mailbox::default();
    let (waker, woken) = counting_waker();
    mailbox.set_waker(&waker);
    (mailbox, woken)
}

fn push(mailbox: &Mailbox, exchange: ExchangeId, action: Action) {
    mailbox.push(Command { exchange, action });
}

fn part(content: &[u8], last: bool) -> Action {
    Action::Respond(ResponsePart { body: ResponseBody::copied(content), last, ..ResponsePart::default() })
}

fn start(status: u16, content: &[u8]) -> Action {
    let head = Some(ResponseHead::new(status));
    Action::Respond(ResponsePart { head, body: ResponseBody::copied(content), ..ResponsePart::default() })
}

fn taken(mailbox: &Mailbox) -> Vec<(u64, Asked)> {
    let mut commands = Vec::new();
    mailbox.take(&mut commands);
    commands.into_iter().map(|command| (command.exchange.serial, command.into())).collect()
}

fn pieces(pieces: &[&str]) -> Vec<Vec<u8>> {
    pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect()
}

#[test]
fn pieces_of_one_response_travel_together_and_stay_apart() {
    let (mailbox, _) = mailbox();
    push(&mailbox, ONE, part(b"a", false));
    push(&mailbox, ONE, part(b"", false));
    push(&mailbox, ONE, part(b"bc", false));
    push(&mailbox, ONE, part(b"d", true));
    assert_eq!(taken(&mailbox), [(1, Asked::Respond(None, pieces(&["a", "bc", "d"]), true))]);
}

#[test]
fn parts_that_travel_together_are_not_taken_for_one_event() {
    // How a response is framed must not depend on how fast the I/O thread is.
    let mut whole = ResponsePart {
        head: Some(ResponseHead::new(200)),
        body: ResponseBody::copied(b"a"),
        trailers: None,
        last: false,
        is_whole: true,
    };
    let end = ResponsePart { last: true, ..ResponsePart::default() };
    assert!(whole.append(end).is_ok());
    assert!(whole.last && !whole.is_whole);
    let (mailbox, _) = mailbox();
    push(&mailbox, ONE, start(200, b""));
    push(&mailbox, ONE, part(b"a", true));
    assert_eq!(taken(&mailbox), [(1, Asked::Respond(Some(200), pieces(&["a"]), true))]);
}

#[test]
fn nothing_travels_with_a_response_that_has_ended() {
    let (mailbox, _) = mailbox();
    push(&mailbox, ONE, part(b"a", true));
    push(&mailbox, ONE, part(b"b", true));
    let expected =
        [(1, Asked::Respond(None, pieces(&["a"]), true)), (1, Asked::Respond(None, pieces(&["b"]), true))];
    assert_eq!(taken(&mailbox), expected);
}

#[test]
fn heads_begin_a_message_of_their_own() {
    let (mailbox, _) = mailbox();
    push(&mailbox, ONE, part(b"a", false));
    push(&mailbox, ONE, start(200, b"b"));
    assert_eq!(taken(&mailbox).len(), 2);
}

#[test]
fn order_is_kept_across_exchanges_and_actions() {
    let (mailbox, _) = mailbox();
    push(&mailbox, ONE, start(200, b"a"));
    push(&mailbox, TWO, part(b"b", false));
    push(&mailbox, ONE, part(b"c", false));
    push(&mailbox, ONE, Action::Resume);
    push(&mailbox, ONE, part(b"d", false));
    push(&mailbox, ONE, Action::Continue);
    push(&mailbox, TWO, Action::Close);
    let expected = [
        (1, Asked::Respond(Some(200), pieces(&["a"]), false)),
        (2, Asked::Respond(None, pieces(&["b"]), false)),
        (1, Asked::Respond(None, pieces(&["c"]), false)),
        (1, Asked::Resume),
        (1, Asked::Respond(None, pieces(&["d"]), false)),
        (1, Asked::Continue),
        (2, Asked::Close),
    ];
    assert_eq!(taken(&mailbox), expected);
}

#[test]
fn large_pieces_are_neither_copied_nor_lost() {
    let (mailbox, _) = mailbox();
    let large = Bytes::from(vec![b'x'; 100_000]);
    push(&mailbox, ONE, start(200, b"a"));
    let body = ResponseBody::Shared(large.clone());
    push(&mailbox, ONE, Action::Respond(ResponsePart { body, last: false, ..ResponsePart::default() }));
    push(&mailbox, ONE, part(b"b", true));
    let mut commands = Vec::new();
    mailbox.take(&mut commands);
    assert_eq!(commands.len(), 3);
    assert!(matches!(
        &commands[1].action,
        Action::Respond(ResponsePart { body: ResponseBody::Shared(bytes), .. })
            if bytes.as_ptr() == large.as_ptr()
    ));
}

#[test]
fn gathering_ends_before_a_message_grows_large() {
    let (mailbox, _) = mailbox();
    for _ in 0..100 {
        push(&mailbox, ONE, part(&[b'x'; 10_000], false));
    }
    let messages = taken(&mailbox);
    let sizes = messages.iter().map(|(_, asked)| match asked {
        Asked::Respond(_, pieces, _) => pieces.iter().map(Vec::len).sum::<usize>(),
        other => panic!("{other:?}"),
    });
    let sizes: Vec<_> = sizes.collect();
    assert_eq!(sizes.iter().sum::<usize>(), 1_000_000);
    assert!(sizes.iter().all(|size| *size <= 64 * 1024), "{sizes:?}");
}

#[test]
fn taking_empties() {
    let (mailbox, _) = mailbox();
    push(&mailbox, ONE, Action::Resume);
    assert_eq!(taken(&mailbox).len(), 1);
    assert_eq!(taken(&mailbox).len(), 0);
}

#[test]
fn a_thread_that_does_not_sleep_is_not_woken() {
    let (mailbox, woken) = mailbox();
    push(&mailbox, ONE, Action::Resume);
    mailbox.notify();
    assert_eq!(woken.count(), 0);
    mailbox.park();
    mailbox.unpark();
    mailbox.notify();
    assert_eq!(woken.count(), 1, "only `park` found work");
}

#[test]
fn a_sleeping_thread_is_woken_once() {
    let (mailbox, woken) = mailbox();
    mailbox.park();
    for _ in 0..10 {
        push(&mailbox, ONE, Action::Resume);
        mailbox.notify();
    }
    assert_eq!(woken.count(), 1);
    taken(&mailbox);
    mailbox.unpark();
    mailbox.park();
    mailbox.notify();
    assert_eq!(woken.count(), 2);
}

#[test]
fn a_thread_with_work_does_not_fall_asleep() {
    let (mailbox, woken) = mailbox();
    push(&mailbox, ONE, Action::Resume);
    mailbox.park();
    assert_eq!(woken.count(), 1);
}

#[test]
fn pushing_alone_wakes_nobody() {
    let (mailbox, woken) = mailbox();
    mailbox.park();
    push(&mailbox, ONE, Action::Resume);
    assert_eq!(woken.count(), 0);
}

#[test]
fn waking_needs_no_sleep() {
    let (mailbox, woken) = mailbox();
    mailbox.wake();
    mailbox.wake();
    assert_eq!(woken.count(), 2);
}

#[test]
fn the_first_task_is_woken() {
    let (mailbox, first) = mailbox();
    let (waker, second) = counting_waker();
    mailbox.set_waker(&waker);
    mailbox.wake();
    assert_eq!((first.count(), second.count()), (1, 0));
}

#[test]
fn a_mailbox_without_a_task_may_be_notified() {
    let mailbox = Mailbox::default();
    mailbox.park();
    mailbox.notify();
    mailbox.wake();
}

#[test]
fn threads_may_push_at_once() {
    let mailbox = Mailbox::default();
    std::thread::scope(|scope| {
        for serial in 0..4 {
            let mailbox = &mailbox;
            scope.spawn(move || {
                for _ in 0..1000 {
                    push(mailbox, ExchangeId { connection: 0, serial }, Action::Resume);
                }
            });
        }
    });
    assert_eq!(taken(&mailbox).len(), 4000);
}
