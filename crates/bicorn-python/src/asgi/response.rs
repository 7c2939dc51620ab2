//! The order of a response's events, and the content they may carry (ASGI HTTP 2.3, "Response Start",
//! "Response Body"; "Extensions").
//!
//! ```text
//!     │ early hint
//!     ▼
//!   AwaitingStart ──start──▶ HeadHeld ──body, or end of the tick──▶ Streaming ──last body──▶ Complete
//!         │                     │                                       │                        ▲
//!         │                     │            last body, with trailers   ▼         last trailers  │
//!         │                     │            announced            AwaitingTrailers ──────────────┤
//!         └──────── replace ────┴────────────────────────────────────────────────────────────────┘
//! ```
//! A body may also be a file. ASGI's text on early hints has them behind the start; a 103 cannot follow the final
//! head, so they come before it, as under uvicorn.
//!
//! The head waits for the first body of the same loop tick, so that a short response leaves in one write and
//! an application that fails right behind its start still gets a 500.

use bicorn_http::{ResponseBody, ResponseHead, ResponsePart};

/// How far the response has come. Orders that ASGI forbids are missing transitions.
#[derive(Debug)]
enum State {
    AwaitingStart,
    HeadHeld(ResponseHead),
    Streaming,
    /// With the trailers so far.
    AwaitingTrailers(ResponseHead),
    Complete,
}

/// The type of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    EarlyHint,
    Start,
    Body,
    PathSend,
    ZeroCopySend,
    Trailers,
}

impl Kind {
    /// From ASGI's name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "http.response.start" => Some(Self::Start),
            "http.response.body" => Some(Self::Body),
            "http.response.early_hint" => Some(Self::EarlyHint),
            "http.response.pathsend" => Some(Self::PathSend),
            "http.response.zerocopysend" => Some(Self::ZeroCopySend),
            "http.response.trailers" => Some(Self::Trailers),
            _ => None,
        }
    }
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
    announces_trailers: bool,
    /// An event with content came, empty or not.
    has_content: bool,
}

/// What an event comes to: a part to send, an error to raise, or both.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) part: Option<ResponsePart>,
    pub(super) error: Option<&'static str>,
}

impl Response {
    pub(super) fn new() -> Self {
        Self {
            state: State::AwaitingStart,
            content: Content::Free,
            announces_trailers: false,
            has_content: false,
        }
    }

    /// The type of the event that usually comes next; `None` once the response is complete.
    pub(super) fn expects(&self) -> Option<&'static str> {
        match self.state {
            State::AwaitingStart => Some("http.response.start"),
            State::HeadHeld(_) | State::Streaming => Some("http.response.body"),
            State::AwaitingTrailers(_) => Some("http.response.trailers"),
            State::Complete => None,
        }
    }

    /// Whether an event may come next.
    pub(super) fn admits(&self, kind: Kind) -> bool {
        match self.state {
            State::AwaitingStart => matches!(kind, Kind::Start | Kind::EarlyHint),
            // ASGI "Path Send": not mixed with other content.
            State::HeadHeld(_) | State::Streaming if kind == Kind::PathSend => !self.has_content,
            State::HeadHeld(_) | State::Streaming => matches!(kind, Kind::Body | Kind::ZeroCopySend),
            State::AwaitingTrailers(_) => kind == Kind::Trailers,
            State::Complete => false,
        }
    }

    pub(super) fn is_started(&self) -> bool {
        !matches!(self.state, State::AwaitingStart)
    }

    /// Whether bytes of it have left.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.state, State::Streaming | State::AwaitingTrailers(_) | State::Complete)
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Hold the head of a response to a request with this method.
    pub(super) fn start(&mut self, head: ResponseHead, method: &[u8], announces_trailers: bool) {
        self.content = match (method, head.status()) {
            (b"HEAD", _) => Content::Dropped,
            (_, 204 | 304) => Content::Forbidden,
            _ if head.has_transfer_encoding() => Content::Free,
            _ => head.content_length().map_or(Content::Free, Content::Length),
        };
        self.state = State::HeadHeld(head);
        self.announces_trailers = announces_trailers;
    }

    /// The head alone, if it still waits for content.
    pub(super) fn release_head(&mut self) -> Option<ResponsePart> {
        matches!(self.state, State::HeadHeld(_)).then(|| self.part(ResponseBody::Empty, false))
    }

    /// Add content, as far as the head allows it.
    pub(super) fn add(&mut self, body: ResponseBody, last: bool) -> Verdict {
        let refused = |text| Verdict { part: None, error: Some(text) };
        self.has_content = true;
        let body = match &mut self.content {
            Content::Free => body,
            Content::Dropped => ResponseBody::Empty,
            Content::Forbidden if body.is_empty() => body,
            Content::Forbidden => return refused(LONGER),
            Content::Length(remaining) => {
                let Some(rest) = remaining.checked_sub(body.len()) else { return refused(LONGER) };
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

    /// Add trailers: the part that ends the response, unless more of them follow. Where nobody wants them, or
    /// there can be no content, the response ends without.
    pub(super) fn add_trailers(
        &mut self,
        fields: &ResponseHead,
        more: bool,
        are_wanted: bool,
    ) -> Option<ResponsePart> {
        let State::AwaitingTrailers(trailers) = &mut self.state else { return None };
        trailers.append(fields);
        if more {
            return None;
        }
        let State::AwaitingTrailers(trailers) = std::mem::replace(&mut self.state, State::Complete) else {
            return None;
        };
        let has_place = !matches!(self.content, Content::Dropped | Content::Forbidden);
        let are_sent = are_wanted && has_place && !trailers.lines().is_empty();
        let trailers = are_sent.then(|| Box::new(trailers));
        Some(ResponsePart { head: None, body: ResponseBody::Empty, trailers, last: true, is_whole: false })
    }

    /// A whole response in place of one that has not begun.
    pub(super) fn replace(&mut self, head: ResponseHead, body: ResponseBody) -> ResponsePart {
        self.state = State::HeadHeld(head);
        self.announces_trailers = false;
        self.part(body, true)
    }

    fn part(&mut self, body: ResponseBody, last: bool) -> ResponsePart {
        let next = match (last, self.announces_trailers) {
            (false, _) => State::Streaming,
            (true, false) => State::Complete,
            (true, true) => State::AwaitingTrailers(ResponseHead::new(200)),
        };
        let last = matches!(next, State::Complete);
        let head = match std::mem::replace(&mut self.state, next) {
            State::HeadHeld(head) => Some(head),
            State::AwaitingStart | State::Streaming | State::AwaitingTrailers(_) | State::Complete => None,
        };
        // Whole, if the one event with content is also the first thing of the response to leave.
        let is_whole = last && head.is_some();
        ResponsePart { head, body, trailers: None, last, is_whole }
    }
}
