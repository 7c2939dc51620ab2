//! One WebSocket: which bytes may come next, and what goes out.
//!
//! Bytes become headers, headers say whose payload follows, payloads become messages or are answered here.
//! [`State`] says how far the closing handshake is.

use bytes::Bytes;

use super::assembly::{Assembly, Piece};
use super::close;
use super::deflate::{Agreement, Compression};
use super::frame::{self, CONTROL_BYTES, Expected, Header, MAX_HEADER_BYTES, Opcode};
use super::{Event, Outgoing, Settings, State, Violation};
use crate::body::BORROW_BYTES;
use crate::output::Output;

/// The state of one WebSocket.
#[derive(Debug)]
pub struct Connection {
    max_message_bytes: usize,
    state: State,
    /// The start of a header whose end has not arrived.
    partial: Partial<MAX_HEADER_BYTES>,
    /// The frame whose payload is awaited.
    frame: Option<Header>,
    /// The message that is not complete. Control frames may come in between.
    message: Option<Assembly>,
    /// The payload so far of a control frame.
    control: Partial<CONTROL_BYTES>,
    /// The last ping whose answer found no room: see [`PONG_ROOM_BYTES`].
    owed_pong: Option<Box<[u8]>>,
    /// What was agreed to in the handshake.
    compression: Option<Box<Compression>>,
}

/// Pongs are written while fewer bytes than this wait for the socket. Beyond it, the last ping alone is
/// remembered, as RFC 6455 §5.5.3 allows: whoever pings and does not read costs no more than this.
const PONG_ROOM_BYTES: usize = 4 * 1024;

impl Connection {
    /// A connection behind its handshake.
    pub fn new(settings: Settings, deflate: Option<Agreement>) -> Self {
        let Settings { max_message_bytes, per_message_deflate: _ } = settings;
        Self {
            max_message_bytes,
            state: State::Open,
            partial: Partial::default(),
            frame: None,
            message: None,
            control: Partial::default(),
            owed_pong: None,
            compression: deflate.map(|agreement| Box::new(Compression::new(agreement))),
        }
    }

    /// How far the closing handshake is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Take one event from the front of `input`, and queue the answers that the protocol owes; `None` when
    /// all of the input is taken.
    ///
    /// # Errors
    /// The peer broke the protocol. The close frame that says so is queued, and nothing more is read.
    pub fn read(&mut self, input: &mut &[u8], output: &mut Output) -> Result<Option<Event>, Violation> {
        let result = self.parse(input, output);
        if let Err(violation) = &result {
            self.fail(*violation, output);
            *input = &[];
        }
        result
    }

    /// Like [`Connection::read`], but a violation leaves the connection open for what the application still
    /// owes: nothing more may be read, and [`Connection::fail`] is for the caller to call.
    ///
    /// # Errors
    /// The peer broke the protocol.
    pub fn parse(&mut self, input: &mut &[u8], output: &mut Output) -> Result<Option<Event>, Violation> {
        self.settle(output);
        let result = self.take_event(input, output);
        if self.state == State::Closed {
            // RFC 6455 §5.5.1: what follows a close frame means nothing.
            *input = &[];
        }
        result
    }

    /// Queue the close frame that tells the peer what it did wrong; nothing is read or written behind it.
    pub fn fail(&mut self, violation: Violation, output: &mut Output) {
        self.close(violation.code, violation.reason, output);
        self.end();
    }

    fn take_event(&mut self, input: &mut &[u8], output: &mut Output) -> Result<Option<Event>, Violation> {
        while self.state != State::Closed {
            let header = match self.frame {
                Some(header) => header,
                None => match self.take_header(input)? {
                    Some(header) => header,
                    None => return Ok(None),
                },
            };
            // A frame without payload is complete with its header.
            if input.is_empty() && header.length > 0 {
                self.frame = Some(header);
                return Ok(None);
            }
            let event = if header.opcode.is_control() {
                self.take_control(header, input, output)?
            } else {
                self.take_content(header, input)?
            };
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    fn take_header(&mut self, input: &mut &[u8]) -> Result<Option<Header>, Violation> {
        let expected =
            Expected { continuation: self.message.is_some(), compression: self.compression.is_some() };
        let known = self.partial.length;
        let parsed = if known == 0 {
            frame::parse(input, expected)?
        } else {
            self.partial.fill(input);
            frame::parse(self.partial.bytes(), expected)?
        };
        let Some((header, length)) = parsed else {
            if known == 0 {
                self.partial.fill(input);
            }
            *input = &[];
            return Ok(None);
        };
        *input = &input[length - known..];
        self.partial.length = 0;
        self.begin(header)?;
        Ok(Some(header))
    }

    fn begin(&mut self, header: Header) -> Result<(), Violation> {
        if header.opcode.is_control() {
            self.control.length = 0;
            return Ok(());
        }
        let limit = self.max_message_bytes;
        let begun = || Assembly::new(header.opcode, header.is_compressed, limit);
        self.message.get_or_insert_with(begun).declare(header.length)
    }

    /// Take payload of a data frame; the message, if it ends with it.
    fn take_content(&mut self, mut header: Header, input: &mut &[u8]) -> Result<Option<Event>, Violation> {
        let masked = take(input, header.length);
        header.length -= masked.len() as u64;
        let is_complete = header.length == 0;
        if let Some(message) = &mut self.message {
            let outstanding = header.is_last.then_some(header.length);
            let piece = Piece { masked, mask: header.mask, outstanding };
            header.mask = match &mut self.compression {
                Some(compression) if message.is_compressed => {
                    message.inflate(&piece, &mut compression.inflater)?
                }
                _ => message.append(&piece)?,
            };
        }
        self.frame = (!is_complete).then_some(header);
        if !is_complete || !header.is_last {
            return Ok(None);
        }
        let message = self.message.take().map(Assembly::finish).transpose()?;
        Ok(message.map(Event::Message))
    }

    /// Take payload of a control frame, and do what it says once it is complete.
    fn take_control(
        &mut self,
        mut header: Header,
        input: &mut &[u8],
        output: &mut Output,
    ) -> Result<Option<Event>, Violation> {
        let masked = take(input, header.length);
        header.length -= masked.len() as u64;
        let start = self.control.length;
        self.control.fill(masked);
        header.mask = frame::unmask(&mut self.control.bytes_mut()[start..], header.mask);
        if header.length > 0 {
            self.frame = Some(header);
            return Ok(None);
        }
        self.frame = None;
        match header.opcode {
            Opcode::Pong => return Ok(Some(Event::Pong(self.control.bytes().to_vec()))),
            Opcode::Close => return self.take_close(output).map(Some),
            _ if self.state == State::Open => self.answer_ping(output),
            // A close frame was our last word (RFC 6455 §5.5.1).
            _ => {}
        }
        Ok(None)
    }

    fn answer_ping(&mut self, output: &mut Output) {
        if output.len() < PONG_ROOM_BYTES {
            write_control(Opcode::Pong, self.control.bytes(), output);
        } else {
            self.owed_pong = Some(self.control.bytes().into());
        }
    }

    fn take_close(&mut self, output: &mut Output) -> Result<Event, Violation> {
        let (code, reason) = close::parse(self.control.bytes())?;
        let event = Event::Close { code, reason: reason.to_owned() };
        if self.state == State::Open {
            write_control(Opcode::Close, self.control.bytes(), output);
        }
        self.end();
        Ok(event)
    }

    /// Queue a message. Nothing is queued behind a close frame.
    pub fn send(&mut self, message: Outgoing, output: &mut Output) {
        if self.state != State::Open {
            return;
        }
        let (opcode, content) = match message {
            Outgoing::Text(content) => (Opcode::Text, content),
            Outgoing::Binary(content) => (Opcode::Binary, content),
        };
        if let Some(compression) = &mut self.compression {
            write(opcode, true, compression.deflate(&content).into(), output);
        } else {
            write(opcode, false, content, output);
        }
    }

    /// Queue a ping with at most 125 bytes of payload; what is beyond them is left out.
    pub fn ping(&mut self, payload: &[u8], output: &mut Output) {
        if self.state == State::Open {
            write_control(Opcode::Ping, &payload[..payload.len().min(CONTROL_BYTES)], output);
        }
    }

    /// Begin the closing handshake. 1005 stands for a close frame without a code; any other code that
    /// [`is_close_code`](super::is_close_code) refuses is an error of the caller, and becomes 1011. A reason
    /// is cut to 123 bytes.
    pub fn close(&mut self, code: u16, reason: &str, output: &mut Output) {
        if self.state != State::Open {
            return;
        }
        let mut buffer = [0; CONTROL_BYTES];
        let payload = match code {
            1005 => &[],
            code if close::is_close_code(code) => close::payload(code, reason, &mut buffer),
            _ => close::payload(1011, reason, &mut buffer),
        };
        write_control(Opcode::Close, payload, output);
        self.state = State::CloseSent;
        self.owed_pong = None;
    }

    /// Queue what waited for room in the output. To be called when the output has been written.
    pub fn settle(&mut self, output: &mut Output) {
        if output.len() < PONG_ROOM_BYTES
            && let Some(payload) = self.owed_pong.take()
        {
            write_control(Opcode::Pong, &payload, output);
        }
    }

    /// Give back what an idle connection need not keep. What follows is no different, but dearer.
    pub fn release(&mut self) {
        if let Some(compression) = &mut self.compression {
            compression.release();
        }
    }

    /// Nothing is read or written any more.
    fn end(&mut self) {
        self.state = State::Closed;
        self.frame = None;
        self.message = None;
        self.owed_pong = None;
        self.compression = None;
    }
}

/// Take up to `length` bytes off the front.
fn take<'a>(input: &mut &'a [u8], length: u64) -> &'a [u8] {
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(input.len());
    let (taken, rest) = input.split_at(length);
    *input = rest;
    taken
}

fn write_control(opcode: Opcode, payload: &[u8], output: &mut Output) {
    let mut header = [0; MAX_HEADER_BYTES];
    let length = frame::write(opcode, false, payload.len(), &mut header);
    output.extend(&header[..length]);
    output.extend(payload);
}

fn write(opcode: Opcode, is_compressed: bool, content: Bytes, output: &mut Output) {
    let mut header = [0; MAX_HEADER_BYTES];
    let length = frame::write(opcode, is_compressed, content.len(), &mut header);
    let is_shared = content.len() >= BORROW_BYTES;
    output.reserve(length + if is_shared { 0 } else { content.len() });
    output.extend(&header[..length]);
    if is_shared {
        output.share(content);
    } else {
        output.extend(&content);
    }
}

/// The start of something that is at most `BYTES` long.
#[derive(Debug)]
struct Partial<const BYTES: usize> {
    buffer: [u8; BYTES],
    length: usize,
}

impl<const BYTES: usize> Default for Partial<BYTES> {
    fn default() -> Self {
        Self { buffer: [0; BYTES], length: 0 }
    }
}

impl<const BYTES: usize> Partial<BYTES> {
    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.length]
    }

    /// Take as many bytes as there is room for.
    fn fill(&mut self, bytes: &[u8]) {
        let room = &mut self.buffer[self.length..];
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        self.length += count;
    }
}
