//! Bytes up to a blank line: no panic, and whatever is accepted keeps the rules of RFC 9112, which are
//! checked here by other means than the parser's.
#![no_main]

use bicorn_http::Version;
use bicorn_http::http1::Limits;
use bicorn_http::http1::head::{Framing, Parsed, parse};
use libfuzzer_sys::fuzz_target;

/// Longer heads are not cut at every byte, which costs the square of their length.
const CUT_BYTES: usize = 512;

/// Low enough for small inputs to cross them.
const TIGHT: Limits = Limits { head_bytes: 64, fields: 2, target_bytes: 8 };

/// What a head says, comparable across two buffers.
type Meaning = (Vec<Vec<u8>>, Vec<(Vec<u8>, Vec<u8>)>, [bool; 3], Framing, usize);

fuzz_target!(|input: &[u8]| {
    let parsed = parse(input, Limits::default());
    let Ok(Some(parsed)) = parsed else {
        return;
    };
    assert!(parsed.length <= input.len());
    let head = &input[..parsed.length];
    check_lines(head);
    check_request_line(head, &parsed);
    check_fields(head, &parsed);
    check_framing(&parsed);
    check_limits(head);
    check_cuts(head, &parsed);
});

fn meaning(parsed: &Parsed) -> Meaning {
    let head = &parsed.head;
    let parts =
        [head.method(), head.path(), head.query(), head.version().as_str().as_bytes(), head.field_block()];
    (
        parts.map(<[u8]>::to_vec).to_vec(),
        head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
        [head.expects_continue(), head.asks_for_upgrade(), parsed.keep_alive],
        parsed.framing,
        parsed.length,
    )
}

/// RFC 9112 §2.2: CRLF ends each line, an empty one the head; neither CR nor LF stands anywhere else.
fn check_lines(head: &[u8]) {
    assert!(head.ends_with(b"\r\n\r\n"));
    for (position, byte) in head.iter().enumerate() {
        match byte {
            b'\n' => assert_eq!(head[position - 1], b'\r'),
            b'\r' => assert_eq!(head[position + 1], b'\n'),
            b'\t' => {}
            byte => assert!(*byte >= b' ' && *byte != 0x7f),
        }
    }
}

/// The lines without the empty ones in front and behind.
fn lines(head: &[u8]) -> Vec<&[u8]> {
    let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty()).collect()
}

/// RFC 9112 §3.
fn check_request_line(head: &[u8], parsed: &Parsed) {
    let lines = lines(head);
    let parts: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else { panic!("{parts:?}") };
    assert_eq!(parsed.head.method(), method);
    assert!(!method.is_empty() && method.iter().all(|byte| is_token(*byte)) && method != b"CONNECT");
    let expected = if version == b"HTTP/1.0" { Version::Http10 } else { Version::Http11 };
    assert!(version == b"HTTP/1.0" || version == b"HTTP/1.1");
    assert_eq!(parsed.head.version(), expected);
    assert!(target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#'));
    let (before, query) = match target.iter().position(|byte| *byte == b'?') {
        Some(position) => (&target[..position], &target[position + 1..]),
        None => (target, &b""[..]),
    };
    assert_eq!(parsed.head.query(), query);
    match target[0] {
        b'/' => assert_eq!(parsed.head.path(), before),
        b'*' => assert!(target == b"*" && method == b"OPTIONS" && parsed.head.path() == b"*"),
        _ => {
            let lower = before.to_ascii_lowercase();
            let rest = lower.strip_prefix(b"http://").or_else(|| lower.strip_prefix(b"https://"));
            let rest = rest.expect("the target is in absolute-form");
            let host = rest.split(|byte| *byte == b'/').next().expect("split gives one part at least");
            assert!(!host.is_empty() && !host.contains(&b'@') && !host.contains(&b','));
            let path = &before[before.len() - (rest.len() - host.len())..];
            assert_eq!(parsed.head.path(), if path.is_empty() { b"/" } else { path });
        }
    }
}

/// RFC 9112 §5: each line is `name ":" OWS value OWS`, in order, as sent.
fn check_fields(head: &[u8], parsed: &Parsed) {
    let lines = lines(head);
    let mut fields = parsed.head.fields();
    assert_eq!(fields.len(), lines.len() - 1);
    for line in &lines[1..] {
        let colon = line.iter().position(|byte| *byte == b':').expect("a field has a colon");
        let (name, value) = fields.next().expect("as many fields as lines");
        assert_eq!(name, &line[..colon]);
        assert!(!name.is_empty() && name.iter().all(|byte| is_token(*byte)));
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = line[colon + 1..].iter().position(|byte| !is_space(byte)).map(|first| colon + 1 + first);
        let end = line.iter().rposition(|byte| !is_space(byte)).map_or(0, |last| last + 1);
        assert_eq!(value, start.map_or(&b""[..], |start| &line[start..end]));
    }
}

/// RFC 9112 §3.2, §6: one Host, and one way to read the length.
fn check_framing(parsed: &Parsed) {
    let values = |name: &[u8]| -> Vec<Vec<u8>> {
        let fields = parsed.head.fields().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.to_vec()).collect()
    };
    let hosts = values(b"host");
    assert!(hosts.len() == 1 || (hosts.is_empty() && parsed.head.version() == Version::Http10));
    for host in &hosts {
        assert!(
            !host.is_empty() && host.is_ascii() && !host.iter().any(|byte| b"/?#@,\\\" \t".contains(byte))
        );
    }
    assert!(values(b"content-type").len() <= 1);
    let (lengths, codings) = (values(b"content-length"), values(b"transfer-encoding"));
    match parsed.framing {
        Framing::Chunked => {
            assert!(lengths.is_empty() && codings.len() == 1 && parsed.head.version() == Version::Http11);
            assert!(codings[0].eq_ignore_ascii_case(b"chunked"));
        }
        Framing::Length(length) => {
            assert!(codings.is_empty() && lengths.len() <= 1);
            let text =
                lengths.first().map_or("0", |value| std::str::from_utf8(value).expect("digits are ASCII"));
            assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
            assert_eq!(text.parse(), Ok(length));
        }
    }
    let expectations = values(b"expect");
    assert!(expectations.iter().all(|value| value.eq_ignore_ascii_case(b"100-continue")));
    assert!(!parsed.head.expects_continue() || !expectations.is_empty());
}

/// Tighter limits only ever refuse.
fn check_limits(head: &[u8]) {
    match parse(head, TIGHT) {
        Ok(Some(parsed)) => {
            assert!(parsed.length <= TIGHT.head_bytes && parsed.head.fields().len() <= TIGHT.fields);
        }
        Ok(None) => panic!("a complete head became incomplete"),
        Err(error) => assert!(matches!(error.status(), 414 | 431), "{error}"),
    }
}

/// A head needs each of its bytes, is refused at none of them, and what follows it does not matter.
fn check_cuts(head: &[u8], parsed: &Parsed) {
    let whole = meaning(parsed);
    for behind in [&b""[..], b"\r\n", b"GET / HTTP/1.1\r\n", b"\0"] {
        let longer = [head, behind].concat();
        let again = parse(&longer, Limits::default()).expect("still accepted").expect("still complete");
        assert_eq!(meaning(&again), whole);
    }
    if head.len() > CUT_BYTES {
        return;
    }
    for end in 0..head.len() {
        let cut = parse(&head[..end], Limits::default());
        assert!(matches!(cut, Ok(None)), "cut at {end}: {cut:?}");
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
