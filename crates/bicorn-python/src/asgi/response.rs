//! The order of a response's events, and the content they may carry (ASGI HTTP 2.3, "Response Start",
//! "Response Body").
//!
//! ```text
//!   AwaitingStart ──start──▶ HeadHeld ──body, or end of the tick──▶ Streaming ──last body──▶ Complete
//!         │                     │
//!         └──────── replace ────┴──────────────────────────────────────────────────────────▶ Complete
//! ```
//! The head waits for the first body of the same loop tick, so that a short response leaves in one write and
//! an application that fails right behind its start still gets a 500.

use bicorn_http::{ResponseBody, ResponseHead, ResponsePart};

/// How far the response has come. Orders that ASGI forbids are missing transitions.
#[derive(Debug)]
enum State {
    AwaitingStart,
    HeadHeld(ResponseHead),
    Streaming,
    Complete,
}

/// How much content the response may have.
#[derive(Debug, Clone, Copy)]
enum Content {
    /// Any amount: the engine frames it.
    Free,
    /// Exactly so many bytes more.
    Length(u64),
    /// None: 204 and 304.
    Forbidden,
    /// Whatever comes is dropped: HEAD.
    Dropped,
}

/// uvicorn's words for content that does not fit its announced length.
const LONGER: &str = "Response content longer than Content-Length";
const SHORTER: &str = "Response content shorter than Content-Length";

/// A response in the making.
#[derive(Debug)]
pub(super) struct Response {
    state: State,
    content: Content,
}

/// What an event comes to: a part to send, an error to raise, or both.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) part: Option<ResponsePart>,
    pub(super) error: Option<&'static str>,
}

impl Response {
    pub(super) fn new() -> Self {
        Self { state: State::AwaitingStart, content: Content::Free }
    }

    /// The type of the event that may come next; `None` once the response is complete.
    pub(super) fn expects(&self) -> Option<&'static str> {
        match self.state {
            State::AwaitingStart => Some("http.response.start"),
            State::HeadHeld(_) | State::Streaming => Some("http.response.body"),
            State::Complete => None,
        }
    }

    pub(super) fn is_started(&self) -> bool {
        !matches!(self.state, State::AwaitingStart)
    }

    /// Whether bytes of it have left.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.state, State::Streaming | State::Complete)
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Hold the head of a response to a request with this method.
    pub(super) fn start(&mut self, head: ResponseHead, method: &[u8]) {
        self.content = match (method, head.status()) {
            (b"HEAD", _) => Content::Dropped,
            (_, 204 | 304) => Content::Forbidden,
            _ if head.has_transfer_encoding() => Content::Free,
            _ => head.content_length().map_or(Content::Free, Content::Length),
        };
        self.state = State::HeadHeld(head);
    }

    /// The head alone, if it still waits for content.
    pub(super) fn release_head(&mut self) -> Option<ResponsePart> {
        matches!(self.state, State::HeadHeld(_)).then(|| self.part(ResponseBody::Empty, false))
    }

    /// Add content, as far as the head allows it.
    pub(super) fn add(&mut self, body: ResponseBody, last: bool) -> Verdict {
        let refused = |text| Verdict { part: None, error: Some(text) };
        let body = match &mut self.content {
            Content::Free => body,
            Content::Dropped => ResponseBody::Empty,
            Content::Forbidden if body.is_empty() => body,
            Content::Forbidden => return refused(LONGER),
            Content::Length(remaining) => {
                let Some(rest) = remaining.checked_sub(body.len() as u64) else { return refused(LONGER) };
                if last && rest > 0 {
                    // With the head still here nothing has left, and a 500 can take its place.
                    let part = matches!(self.state, State::Streaming).then(|| self.part(body, false));
                    return Verdict { part, error: Some(SHORTER) };
                }
                *remaining = rest;
                body
            }
        };
        Verdict { part: Some(self.part(body, last)), error: None }
    }

    /// A whole response in place of one that has not begun.
    pub(super) fn replace(&mut self, head: ResponseHead, body: ResponseBody) -> ResponsePart {
        self.state = State::HeadHeld(head);
        self.part(body, true)
    }

    fn part(&mut self, body: ResponseBody, last: bool) -> ResponsePart {
        let next = if last { State::Complete } else { State::Streaming };
        let head = match std::mem::replace(&mut self.state, next) {
            State::HeadHeld(head) => Some(head),
            State::AwaitingStart | State::Streaming | State::Complete => None,
        };
        // Whole, if the one event with content is also the first thing of the response to leave.
        let is_whole = last && head.is_some();
        ResponsePart { head, body, trailers: None, last, is_whole }
    }
}
