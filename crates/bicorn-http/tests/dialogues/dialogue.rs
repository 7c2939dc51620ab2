//! A peer and an application on one engine, both played by the test.

use bicorn_http::http1::connection::Progress;
use bicorn_http::http1::{Connection, Event, Limits};
use bicorn_http::{Output, PeerError, RequestHead, ResponseBody, ResponseHead, ResponsePart, Version};

/// The server's own field lines in every head of these tests.
pub(crate) const DEFAULTS: &[u8] = b"date: now\r\nserver: test\r\n";

/// What the engine made of the peer's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Head(Request),
    /// Content in one piece, however it came.
    Content(String),
    End,
}

/// A request head in text that is easy to compare: latin-1, so that no byte is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) line: (String, String, String, Version),
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) has_content: bool,
    pub(crate) expects_continue: bool,
    pub(crate) asks_for_upgrade: bool,
}

impl Request {
    fn new(head: &RequestHead, has_content: bool) -> Self {
        Self {
            line: (text(head.method()), text(head.path()), text(head.query()), head.version()),
            fields: head.fields().map(|(name, value)| (text(name), text(value))).collect(),
            has_content,
            expects_continue: head.expects_continue(),
            asks_for_upgrade: head.asks_for_upgrade(),
        }
    }
}

/// Bytes as latin-1.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// One connection, from both sides.
pub(crate) struct Dialogue {
    pub(crate) connection: Connection,
    output: Output,
    /// Received, and not taken by the engine yet.
    unread: Vec<u8>,
    said: Vec<Said>,
}

impl Dialogue {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let connection = Connection::new(limits);
        Self { connection, output: Output::default(), unread: Vec::new(), said: Vec::new() }
    }

    /// A connection that has received this, which must be acceptable.
    pub(crate) fn after(bytes: &[u8]) -> Self {
        let mut dialogue = Self::new();
        dialogue.receive(bytes).expect("the test begins with an acceptable request");
        dialogue
    }

    /// Let the engine take as much as it will.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), PeerError> {
        self.unread.extend_from_slice(bytes);
        let mut input = &self.unread[..];
        let result = loop {
            match self.connection.read(&mut input) {
                Ok(None) => break Ok(()),
                Ok(Some(event)) => note(&mut self.said, &event),
                Err(error) => break Err(error),
            }
        };
        self.unread = input.to_vec();
        result
    }

    /// Everything said so far.
    pub(crate) fn said(&self) -> &[Said] {
        &self.said
    }

    /// The content so far, of all requests.
    pub(crate) fn content(&self) -> String {
        let content = self.said.iter().filter_map(|said| match said {
            Said::Content(content) => Some(content.as_str()),
            _ => None,
        });
        content.collect()
    }

    pub(crate) fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// Send a part of the response.
    pub(crate) fn respond(&mut self, head: Option<&ResponseHead>, content: &[u8], last: bool) -> Progress {
        self.send(head.cloned(), ResponseBody::copied(content), last)
    }

    /// Send a whole response.
    pub(crate) fn answer(&mut self, head: &ResponseHead, content: &[u8]) -> Progress {
        self.respond(Some(head), content, true)
    }

    /// Send content that is not copied.
    pub(crate) fn share(&mut self, content: &'static [u8], last: bool) -> Progress {
        self.send(None, ResponseBody::Shared(content.into()), last)
    }

    /// Send any content.
    pub(crate) fn send(&mut self, head: Option<ResponseHead>, body: ResponseBody, last: bool) -> Progress {
        self.respond_with(ResponsePart { is_whole: last && head.is_some(), head, body, trailers: None, last })
    }

    /// Send any part.
    pub(crate) fn respond_with(&mut self, part: ResponsePart) -> Progress {
        self.connection.respond(part, DEFAULTS, &mut self.output)
    }

    pub(crate) fn write_interim(&mut self, head: &ResponseHead) {
        self.connection.write_interim(head, &mut self.output);
    }

    pub(crate) fn write_continue(&mut self) {
        self.connection.write_continue(&mut self.output);
    }

    pub(crate) fn refuse(&mut self, error: PeerError) {
        self.connection.refuse(error, DEFAULTS, &mut self.output);
    }

    /// What was written since the last call.
    pub(crate) fn wire(&mut self) -> String {
        let mut written = Vec::new();
        while !self.output.is_empty() {
            if let Some(range) = self.output.file() {
                let mut buffer = [0; 4];
                let read = range.read_at(&mut buffer).expect("the file has as much");
                written.extend_from_slice(&buffer[..read]);
                self.output.advance_file(read as u64);
            } else {
                written.extend_from_slice(self.output.front());
                self.output.advance(self.output.front().len());
            }
        }
        text(&written)
    }

    /// What is to be written in front of the first file.
    pub(crate) fn bytes_before_file(&self) -> String {
        text(self.output.front())
    }

    /// What was written since the last call, without [`DEFAULTS`].
    pub(crate) fn own_wire(&mut self) -> String {
        self.wire().replace(&text(DEFAULTS), "")
    }
}

fn note(said: &mut Vec<Said>, event: &Event<'_>) {
    match event {
        Event::Head { head, has_content } => said.push(Said::Head(Request::new(head, *has_content))),
        Event::Content(piece) => match said.last_mut() {
            Some(Said::Content(content)) => content.push_str(&text(piece)),
            _ => said.push(Said::Content(text(piece))),
        },
        Event::End => said.push(Said::End),
    }
}

/// A response head with these fields.
pub(crate) fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(status);
    for (name, value) in fields {
        head.push(name.as_bytes(), value.as_bytes()).expect("the test gives a good field");
    }
    head
}

/// What a whole connection comes to, when each request is answered as soon as it is read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) said: Vec<Said>,
    pub(crate) unread: Vec<u8>,
    pub(crate) error: Option<PeerError>,
}

/// Hold a conversation with a peer whose bytes arrive in these pieces.
pub(crate) fn converse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Conversation {
    let mut dialogue = Dialogue::new();
    let ok = head(200, &[]);
    let mut error = None;
    for piece in pieces {
        let mut result = dialogue.receive(piece);
        while result.is_ok() && is_read(&dialogue.connection) {
            dialogue.answer(&ok, b"");
            if !dialogue.connection.start_next() {
                break;
            }
            result = dialogue.receive(b"");
        }
        if let Err(refused) = result {
            error = Some(refused);
            break;
        }
    }
    Conversation { said: dialogue.said, unread: dialogue.unread, error }
}

fn is_read(connection: &Connection) -> bool {
    !connection.is_reading_head() && !connection.is_reading_content()
}
