//! What a head may use, and when a peer that uses more is told.

use bicorn_http::PeerError;
use bicorn_http::http1::Limits;

use crate::dialogue::{Dialogue, Said};

const OFF: Limits = Limits { head_bytes: 0, fields: 0, target_bytes: 0 };

fn refusal(limits: Limits, message: &[u8]) -> Option<PeerError> {
    Dialogue::with_limits(limits).receive(message).err()
}

fn is_accepted(limits: Limits, message: &[u8]) -> bool {
    let mut dialogue = Dialogue::with_limits(limits);
    dialogue.receive(message).is_ok() && matches!(dialogue.said(), [Said::Head(_)])
}

/// A head of exactly so many bytes.
fn head_of(length: usize) -> Vec<u8> {
    let (front, back) = (b"GET / HTTP/1.1\r\nHost: h\r\nA: ", b"\r\n\r\n");
    [&front[..], &b"a".repeat(length - front.len() - back.len()), back].concat()
}

fn head_with_target(length: usize) -> Vec<u8> {
    [b"GET /", &b"a".repeat(length - 1)[..], b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat()
}

/// A head with so many fields, `Host` among them.
fn head_with_fields(count: usize) -> Vec<u8> {
    [b"GET / HTTP/1.1\r\nHost: h\r\n", &b"a:\r\n".repeat(count - 1)[..], b"\r\n"].concat()
}

#[test]
fn defaults_are_64_kib_100_fields_and_16_kib_of_target() {
    let Limits { head_bytes, fields, target_bytes } = Limits::default();
    assert_eq!((head_bytes, fields, target_bytes), (65_536, 100, 16_384));
}

#[test]
fn a_head_may_be_as_long_as_the_limit() {
    let limits = Limits { head_bytes: 1000, ..OFF };
    assert!(is_accepted(limits, &head_of(1000)));
    assert_eq!(refusal(limits, &head_of(1001)), Some(PeerError::HeadTooLarge));
}

#[test]
fn a_head_may_be_as_long_as_the_limit_byte_by_byte() {
    let limits = Limits { head_bytes: 1000, ..OFF };
    for (length, expected) in [(1000, None), (1001, Some(PeerError::HeadTooLarge))] {
        let mut dialogue = Dialogue::with_limits(limits);
        let refused = head_of(length).chunks(1).find_map(|byte| dialogue.receive(byte).err());
        assert_eq!(refused, expected);
    }
}

#[test]
fn what_follows_a_head_does_not_count() {
    let limits = Limits { head_bytes: 1000, ..OFF };
    assert!(is_accepted(limits, &[head_of(1000), head_of(1000)].concat()));
}

#[test]
fn an_endless_head_is_refused_at_the_limit() {
    let limits = Limits { head_bytes: 1000, ..OFF };
    let mut dialogue = Dialogue::with_limits(limits);
    dialogue.receive(b"GET / HTTP/1.1\r\nHost: h\r\nA: ").unwrap();
    let mut fed = 0;
    let refused = loop {
        fed += 1;
        if let Err(error) = dialogue.receive(b"a") {
            break error;
        }
        assert!(fed < 1000);
    };
    assert_eq!(refused, PeerError::HeadTooLarge);
}

#[test]
fn a_target_may_be_as_long_as_the_limit() {
    let limits = Limits { target_bytes: 500, ..OFF };
    assert!(is_accepted(limits, &head_with_target(500)));
    assert_eq!(refusal(limits, &head_with_target(501)), Some(PeerError::TargetTooLong));
}

#[test]
fn an_endless_target_is_refused_at_the_limit() {
    let mut dialogue = Dialogue::with_limits(Limits { target_bytes: 500, ..OFF });
    dialogue.receive(b"GET ").unwrap();
    for _ in 0..500 {
        dialogue.receive(b"/").unwrap();
    }
    assert_eq!(dialogue.receive(b"/"), Err(PeerError::TargetTooLong));
}

#[test]
fn a_long_target_is_414_before_it_is_431() {
    let limits = Limits::default();
    assert_eq!(refusal(limits, &head_with_target(limits.target_bytes + 1)), Some(PeerError::TargetTooLong));
    assert_eq!(refusal(limits, &head_with_target(limits.head_bytes * 2)), Some(PeerError::TargetTooLong));
}

#[test]
fn fields_may_be_as_many_as_the_limit() {
    for count in [1, 5, 100, 101, 500] {
        let limits = Limits { fields: count, ..OFF };
        assert!(is_accepted(limits, &head_with_fields(count)), "{count}");
        assert_eq!(refusal(limits, &head_with_fields(count + 1)), Some(PeerError::TooManyFields), "{count}");
    }
}

#[test]
fn endless_fields_are_refused_at_the_limit() {
    let mut dialogue = Dialogue::with_limits(Limits { fields: 20, ..OFF });
    dialogue.receive(b"GET / HTTP/1.1\r\nHost: h\r\n").unwrap();
    for _ in 0..19 {
        dialogue.receive(b"a: b\r\n").unwrap();
    }
    assert_eq!(dialogue.receive(b"a: b\r\n"), Err(PeerError::TooManyFields));
}

#[test]
fn zero_turns_each_limit_off() {
    let defaults = Limits::default();
    assert!(is_accepted(Limits { head_bytes: 0, ..defaults }, &head_of(1 << 20)));
    assert!(is_accepted(Limits { fields: 0, ..defaults }, &head_with_fields(10_000)));
    assert!(is_accepted(Limits { target_bytes: 0, ..defaults }, &head_with_target(60_000)));
    assert!(is_accepted(OFF, &head_with_target(1 << 20)));
}

#[test]
fn a_method_has_64_bytes_at_most() {
    let with_method = |length| [&b"M".repeat(length)[..], b" / HTTP/1.1\r\nHost: h\r\n\r\n"].concat();
    assert!(is_accepted(OFF, &with_method(64)));
    assert_eq!(refusal(OFF, &with_method(65)), Some(PeerError::RequestLine));
    assert_eq!(refusal(OFF, &b"M".repeat(65)), Some(PeerError::RequestLine));
}

#[test]
fn empty_lines_in_front_end_after_8_bytes() {
    assert_eq!(refusal(OFF, &b"\r\n".repeat(4)), None);
    assert_eq!(refusal(OFF, &b"\r\n".repeat(5)), Some(PeerError::RequestLine));
    let mut dialogue = Dialogue::new();
    let refused = b"\r\n".repeat(5).chunks(1).position(|byte| dialogue.receive(byte).is_err());
    assert!(refused.is_some());
}

/// How the bytes of a head cost the more the longer it is: that a test ends is the measure.
#[test]
fn a_head_of_64_kib_may_come_byte_by_byte() {
    let limits = Limits { target_bytes: 0, ..Limits::default() };
    for head in [head_of(65_536), head_with_target(60_000)] {
        let mut dialogue = Dialogue::with_limits(limits);
        for byte in head.chunks(1) {
            dialogue.receive(byte).unwrap();
        }
        assert!(matches!(dialogue.said(), [Said::Head(_)]));
    }
}

#[test]
fn ten_thousand_short_fields_may_come_line_by_line() {
    let mut dialogue = Dialogue::with_limits(Limits { fields: 10_000, ..Limits::default() });
    for line in head_with_fields(10_000).split_inclusive(|byte| *byte == b'\n') {
        dialogue.receive(line).unwrap();
    }
    assert!(matches!(dialogue.said(), [Said::Head(request)] if request.fields.len() == 10_000));
}
