//! What is answered to a request.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::metrics;
use crate::board::{Board, State};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The text format's name for itself.
const EXPOSITION: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// Answer a request; its content is not read.
pub(super) fn answer<Content>(request: &Request<Content>, board: &Board) -> Response<Whole> {
    let work = match request.uri().path() {
        "/livez" => |_: &Board| text(StatusCode::OK, "ok"),
        "/readyz" => readiness,
        "/metrics" => scrape,
        _ => return text(StatusCode::NOT_FOUND, "not found: there are /livez, /readyz and /metrics"),
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed: GET and HEAD are");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    work(board)
}

/// Whether requests are better sent here than elsewhere.
fn readiness(board: &Board) -> Response<Whole> {
    let has = |wanted| board.all_slots().any(|slot| slot.state() == wanted);
    let reason = if board.is_draining() {
        "draining"
    } else if has(State::Ready) {
        return text(StatusCode::OK, "ok");
    } else if has(State::Leaving) && !has(State::Starting) {
        "draining"
    } else {
        "starting"
    };
    text(StatusCode::SERVICE_UNAVAILABLE, reason)
}

fn scrape(board: &Board) -> Response<Whole> {
    response(StatusCode::OK, EXPOSITION, Bytes::from(metrics::write(board)))
}

fn text(status: StatusCode, content: &'static str) -> Response<Whole> {
    response(status, TEXT, Bytes::from_static(content.as_bytes()))
}

fn response(status: StatusCode, kind: HeaderValue, content: Bytes) -> Response<Whole> {
    let mut response = Response::new(Whole(Some(content)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Content in one piece.
#[derive(Debug)]
pub(super) struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
