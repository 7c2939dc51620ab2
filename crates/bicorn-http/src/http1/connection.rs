//! One HTTP/1 connection: which bytes may come next, and which may be written.
//!
//! ```text
//!   reading:  Head ──▶ Length | Chunked ──▶ Done ─────────────┐
//!               ▲                                             │ both: `start_next`
//!   writing:  Idle ──▶ Awaiting ──▶ Streaming ──▶ Complete ───┘
//! ```
//! One exchange is in flight at a time; bytes of a pipelined request stay with the caller until the one
//! before is answered, so answers and errors leave in order (RFC 9112 §9.3.2).

use super::chunked::{Decoder, Piece};
use super::encode::{self, Situation};
use super::head::{self, Limits};
use crate::body::ResponseBody;
use crate::error::PeerError;
use crate::headers::{RequestHead, ResponseHead, Version};
use crate::mailbox::ResponsePart;
use crate::output::Output;

/// Content that no application wants any more is read up to this, so that the connection can be used again;
/// beyond it the connection closes instead (arbitrary: a few round trips' worth).
pub const DRAIN_BYTES: u64 = 256 * 1024;

/// Something that the peer's bytes said.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A request begins. Content follows unless `has_content` is false.
    Head {
        /// The checked head.
        head: RequestHead,
        /// Whether [`Event::Content`] and [`Event::End`] follow.
        has_content: bool,
    },
    /// A piece of content.
    Content(&'a [u8]),
    /// The content is complete.
    End,
}

/// How far a response has come after a call of [`Connection::respond`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More is to come.
    Open,
    /// The response is complete.
    Complete,
    /// The application's content does not fit the length it announced: close behind what is queued.
    Broken,
}

#[derive(Debug)]
enum Reading {
    Head,
    Length(u64),
    Chunked(Box<Decoder>),
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// No request is in flight.
    Idle,
    /// The application has not answered yet.
    Awaiting,
    Streaming(encode::Framing),
    Complete,
}

/// Whether another exchange may follow on the connection (RFC 9112 §9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Kept,
    /// The next head that is written says that none may.
    Announced,
    Ended,
}

/// The state of one connection.
#[derive(Debug)]
pub struct Connection {
    limits: Limits,
    reading: Reading,
    writing: Writing,
    /// The start of a head whose end has not arrived.
    partial: Vec<u8>,
    version: Version,
    is_head: bool,
    reuse: Reuse,
    owes_continue: bool,
    /// Content read after the response was complete, in bytes.
    drained: u64,
}

impl Connection {
    /// A connection on which nothing has been read.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            reading: Reading::Head,
            writing: Writing::Idle,
            partial: Vec::new(),
            version: Version::Http11,
            is_head: false,
            reuse: Reuse::Kept,
            owes_continue: false,
            drained: 0,
        }
    }

    /// Take one event from the front of `input`; `None` when more bytes, or an answer, must come first.
    ///
    /// # Errors
    /// The peer broke the protocol: answer with [`Connection::refuse`] and close.
    pub fn read<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, PeerError> {
        let event = match &mut self.reading {
            Reading::Done => return Ok(None),
            Reading::Head => return self.read_head(input),
            Reading::Length(0) => Event::End,
            Reading::Length(_) if input.is_empty() => return Ok(None),
            Reading::Length(remaining) => {
                let take = usize::try_from(*remaining).unwrap_or(usize::MAX).min(input.len());
                let (content, rest) = input.split_at(take);
                *input = rest;
                *remaining -= take as u64;
                Event::Content(content)
            }
            Reading::Chunked(decoder) => match decoder.decode(input)? {
                Piece::Data(content) => Event::Content(content),
                Piece::End => Event::End,
                Piece::NeedMore => return Ok(None),
            },
        };
        match &event {
            Event::End => self.reading = Reading::Done,
            Event::Content(content) if self.writing == Writing::Complete => {
                self.drained += content.len() as u64;
            }
            _ => {}
        }
        Ok(Some(event))
    }

    fn read_head<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Event<'a>>, PeerError> {
        if input.is_empty() {
            return Ok(None);
        }
        let parsed = if self.partial.is_empty() {
            let parsed = head::parse(input, self.limits)?;
            if parsed.is_none() {
                self.partial.extend_from_slice(input);
            }
            let used = parsed.as_ref().map_or(input.len(), |parsed| parsed.length);
            *input = &input[used..];
            parsed
        } else {
            self.continue_head(input)?
        };
        let Some(parsed) = parsed else { return Ok(None) };
        self.partial = Vec::new();
        self.version = parsed.head.version();
        self.is_head = parsed.head.method() == b"HEAD";
        self.keep_if(parsed.keep_alive);
        self.owes_continue = parsed.head.expects_continue();
        self.drained = 0;
        self.writing = Writing::Awaiting;
        self.reading = match parsed.framing {
            head::Framing::Length(0) => Reading::Done,
            head::Framing::Length(length) => Reading::Length(length),
            head::Framing::Chunked => Reading::Chunked(Box::default()),
        };
        let has_content = !matches!(self.reading, Reading::Done);
        Ok(Some(Event::Head { head: parsed.head, has_content }))
    }

    /// Go on with a head that came in pieces. Only a line end, or the limit, is worth another look, so that
    /// a peer that sends byte by byte costs no more than the number of its lines.
    fn continue_head(&mut self, input: &mut &[u8]) -> Result<Option<head::Parsed>, PeerError> {
        let known = self.partial.len();
        let is_first_line = memchr::memchr(b'\n', &self.partial).is_none();
        let brings_line_end = memchr::memchr(b'\n', input).is_some();
        self.partial.extend_from_slice(input);
        let is_over = self.partial.len() >= self.limits.head_limit();
        if !(is_first_line || brings_line_end || is_over) {
            *input = &[];
            return Ok(None);
        }
        let parsed = head::parse(&self.partial, self.limits)?;
        let used = parsed.as_ref().map_or(input.len(), |parsed| parsed.length.saturating_sub(known));
        *input = &input[used..];
        Ok(parsed)
    }

    /// Write a part of the response. `defaults` are the server's own field lines, for the head.
    pub fn respond(&mut self, part: ResponsePart, defaults: &[u8], output: &mut Output) -> Progress {
        let ResponsePart { head, body, trailers, last, is_whole } = part;
        if matches!(body, ResponseBody::Copied { .. }) {
            output.reserve(body.cost());
        }
        if let (Some(head), Writing::Awaiting) = (head, self.writing) {
            self.write_head(&head, (last && is_whole).then_some(body.len()), defaults, output);
        }
        let Writing::Streaming(mut framing) = self.writing else { return Progress::Broken };
        let fits = encode::body(&mut framing, body, output);
        self.writing = Writing::Streaming(framing);
        if !fits {
            self.reuse = Reuse::Ended;
            return Progress::Broken;
        }
        if !last {
            return Progress::Open;
        }
        self.writing = Writing::Complete;
        if encode::end(framing, trailers.as_deref(), output) {
            Progress::Complete
        } else {
            self.reuse = Reuse::Ended;
            Progress::Broken
        }
    }

    fn write_head(
        &mut self,
        head: &ResponseHead,
        only_part: Option<u64>,
        defaults: &[u8],
        output: &mut Output,
    ) {
        let is_too_much_to_drain = match self.reading {
            Reading::Length(remaining) => remaining > DRAIN_BYTES,
            _ => false,
        };
        // A peer that still waits for `100 Continue` may or may not send the content after this answer:
        // only closing leaves no doubt (RFC 9110 §10.1.1).
        let is_waiting = self.owes_continue && !matches!(self.reading, Reading::Done);
        let closes = self.reuse == Reuse::Announced || head.has_connection_close();
        self.keep_if(!closes && !is_too_much_to_drain && !is_waiting);
        let situation =
            Situation { version: self.version, is_head: self.is_head, keep_alive: self.keeps_alive() };
        let framing = encode::head(head, defaults, situation, only_part, output);
        self.keep_if(framing != encode::Framing::UntilClose);
        self.owes_continue = false;
        self.writing = Writing::Streaming(framing);
    }

    /// Write `100 Continue` if the peer waits for it and no answer has been given (RFC 9110 §15.2.1).
    pub fn write_continue(&mut self, output: &mut Output) {
        if self.owes_continue && self.writing == Writing::Awaiting {
            output.extend(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.owes_continue = false;
    }

    /// Write an interim response (RFC 9110 §15.2), unless the answer has begun or the peer speaks 1.0.
    pub fn write_interim(&mut self, head: &ResponseHead, output: &mut Output) {
        if self.version == Version::Http11 && self.writing == Writing::Awaiting {
            encode::interim(head, output);
        }
    }

    /// Write the 101 behind which the connection speaks another protocol (RFC 9110 §15.2.2): the protocol's own
    /// field lines, the server's, then the application's.
    pub fn switch_protocol(
        &mut self,
        lines: &[u8],
        defaults: &[u8],
        head: &ResponseHead,
        output: &mut Output,
    ) {
        self.reuse = Reuse::Ended;
        self.writing = Writing::Complete;
        encode::switch(lines, defaults, head, output);
    }

    /// Answer an error of the peer, unless an answer has begun; the connection must be closed behind it.
    pub fn refuse(&mut self, error: PeerError, defaults: &[u8], output: &mut Output) {
        self.reuse = Reuse::Ended;
        self.reading = Reading::Done;
        if !matches!(self.writing, Writing::Idle | Writing::Awaiting) {
            return;
        }
        self.writing = Writing::Complete;
        let content = error.content();
        output.extend(b"HTTP/1.1 ");
        encode::write_decimal(u64::from(error.status()), output);
        for part in [" ", crate::status::phrase(error.status()), "\r\n"] {
            output.extend(part.as_bytes());
        }
        output.extend(defaults);
        output.extend(error.fields());
        output.extend(b"content-type: text/plain; charset=utf-8\r\ncontent-length: ");
        encode::write_decimal(content.len() as u64, output);
        output.extend(b"\r\nconnection: close\r\n\r\n");
        if !self.is_head {
            output.extend(content.as_bytes());
        }
    }

    fn keep_if(&mut self, may_be_kept: bool) {
        if !may_be_kept {
            self.reuse = Reuse::Ended;
        }
    }

    /// Close after the exchange in flight, and say so in its head if that is not written yet.
    pub fn stop_keep_alive(&mut self) {
        self.reuse = Reuse::Ended;
    }

    /// Close behind the exchange in flight if its head is still to come, else behind the next one: the peer is told
    /// before (RFC 9112 §9.6).
    pub fn announce_close(&mut self) {
        if self.reuse == Reuse::Kept {
            self.reuse = Reuse::Announced;
        }
    }

    /// Begin the next exchange. False when the connection must be closed instead, or the exchange is not
    /// over; see [`Connection::is_over`].
    pub fn start_next(&mut self) -> bool {
        if !self.is_over() || !self.keeps_alive() {
            return false;
        }
        self.reading = Reading::Head;
        self.writing = Writing::Idle;
        self.is_head = false;
        true
    }

    /// Whether the request is read and the response written.
    pub fn is_over(&self) -> bool {
        matches!(self.reading, Reading::Done) && self.writing == Writing::Complete
    }

    /// Whether the response is complete.
    pub fn is_answered(&self) -> bool {
        self.writing == Writing::Complete
    }

    /// Whether nothing of a request has arrived since the last exchange.
    pub fn is_idle(&self) -> bool {
        matches!(self.reading, Reading::Head) && self.partial.is_empty()
    }

    /// Whether the next bytes belong to a head.
    pub fn is_reading_head(&self) -> bool {
        matches!(self.reading, Reading::Head)
    }

    /// Whether the next bytes belong to content.
    pub fn is_reading_content(&self) -> bool {
        matches!(self.reading, Reading::Length(_) | Reading::Chunked(_))
    }

    /// Whether a response has begun or is complete.
    pub fn has_begun_answer(&self) -> bool {
        matches!(self.writing, Writing::Streaming(_) | Writing::Complete)
    }

    /// Whether a response has begun that ends only with the connection.
    pub fn is_delimited_by_close(&self) -> bool {
        self.writing == Writing::Streaming(encode::Framing::UntilClose)
    }

    /// Whether the connection may be used for another exchange.
    pub fn keeps_alive(&self) -> bool {
        self.reuse != Reuse::Ended
    }

    /// Whether the rest of the request is short enough to read it for nobody ([`DRAIN_BYTES`]).
    pub fn may_drain(&self) -> bool {
        self.drained <= DRAIN_BYTES && self.keeps_alive()
    }
}
