//! A whole connection: cut anywhere, the same events come out.
//!
//! The first four bytes say how long the pieces are, in turn; the rest is what the peer sends. Each request
//! is answered as soon as it is read.
#![no_main]

use bicorn_http::http1::connection::Progress;
use bicorn_http::http1::{Connection, Event, Limits};
use bicorn_http::{Output, PeerError, RequestHead, ResponseBody, ResponseHead, ResponsePart};
use libfuzzer_sys::fuzz_target;

/// The longest piece but for the input itself.
const PIECE_BYTES: u8 = 32;

/// What the engine understood.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    /// Request line, fields, and what follows from them.
    Head(Vec<Vec<u8>>, [bool; 3]),
    /// Content in one piece, however it came.
    Content(Vec<u8>),
    End,
}

#[derive(Debug)]
struct Conversation {
    said: Vec<Said>,
    /// Received, and not taken by the engine.
    unread: Vec<u8>,
    error: Option<PeerError>,
    wire: Vec<u8>,
}

fuzz_target!(|input: &[u8]| {
    let Some((sizes, sent)) = input.split_first_chunk::<4>() else { return };
    let whole = converse([sent].into_iter());
    compare(&whole, &converse_and_end(cut(sent, *sizes), &whole));
    compare(&whole, &converse_and_end(sent.chunks(1), &whole));
});

/// The same, unless the peer broke the rules: then the same up to there. Which of several violations is seen
/// first may depend on what has arrived.
fn compare(whole: &Conversation, pieces: &Conversation) {
    assert_eq!(pieces.said, whole.said);
    assert_eq!(pieces.error.is_some(), whole.error.is_some(), "{:?} {:?}", pieces.error, whole.error);
    if whole.error.is_none() {
        assert_eq!(pieces.unread, whole.unread);
        assert_eq!(pieces.wire, whole.wire);
    }
}

fn cut(sent: &[u8], sizes: [u8; 4]) -> impl Iterator<Item = &[u8]> {
    let mut sizes = sizes.into_iter().cycle().map(|size| usize::from(size % PIECE_BYTES) + 1);
    let mut rest = sent;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, behind) = rest.split_at(sizes.next()?.min(rest.len()));
        rest = behind;
        Some(piece)
    })
}

/// What is wrong with an unfinished line of a head is seen when the line ends: end it, if the whole input was
/// refused.
fn converse_and_end<'a>(pieces: impl Iterator<Item = &'a [u8]>, whole: &Conversation) -> Conversation {
    let line_end: &[u8] = if whole.error.is_some() { b"\r\n" } else { b"" };
    converse(pieces.chain([line_end]))
}

fn converse<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Conversation {
    let mut connection = Connection::new(Limits::default());
    let mut output = Output::default();
    let (mut said, mut unread, mut error) = (Vec::new(), Vec::new(), None);
    for piece in pieces {
        unread.extend_from_slice(piece);
        if let Err(refused) = take(&mut connection, &mut unread, &mut said, &mut output) {
            connection.refuse(refused, b"", &mut output);
            error = Some(refused);
            break;
        }
    }
    let mut wire = Vec::new();
    while !output.is_empty() {
        wire.extend_from_slice(output.front());
        output.advance(output.front().len());
    }
    Conversation { said, unread, error, wire }
}

/// Take all that can be taken, and answer all that can be answered.
fn take(
    connection: &mut Connection,
    unread: &mut Vec<u8>,
    said: &mut Vec<Said>,
    output: &mut Output,
) -> Result<(), PeerError> {
    loop {
        let mut input = &unread[..];
        let result = read(connection, &mut input, said);
        let taken = unread.len() - input.len();
        unread.drain(..taken);
        result?;
        if connection.is_reading_head() || connection.is_reading_content() || connection.is_answered() {
            return Ok(());
        }
        connection.write_continue(output);
        let part = ResponsePart {
            head: Some(ResponseHead::new(200)),
            body: ResponseBody::copied(b"hello"),
            trailers: None,
            last: true,
            is_whole: true,
        };
        assert_eq!(connection.respond(part, b"", output), Progress::Complete);
        if !connection.start_next() {
            assert!(!connection.keeps_alive());
            return Ok(());
        }
    }
}

fn read(connection: &mut Connection, input: &mut &[u8], said: &mut Vec<Said>) -> Result<(), PeerError> {
    while let Some(event) = connection.read(input)? {
        match event {
            Event::Head { head, has_content } => said.push(head_said(&head, has_content)),
            Event::Content(piece) => match said.last_mut() {
                Some(Said::Content(content)) => content.extend_from_slice(piece),
                _ => said.push(Said::Content(piece.to_vec())),
            },
            Event::End => said.push(Said::End),
        }
    }
    Ok(())
}

fn head_said(head: &RequestHead, has_content: bool) -> Said {
    let parts = [head.method(), head.path(), head.query(), head.version().as_str().as_bytes()];
    let fields = head.fields().flat_map(|(name, value)| [name, value]);
    let facts = [has_content, head.expects_continue(), head.asks_for_upgrade()];
    Said::Head(parts.into_iter().chain(fields).map(<[u8]>::to_vec).collect(), facts)
}
