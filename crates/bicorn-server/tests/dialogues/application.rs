//! An application that only passes on what it is given, and wakes nobody before it is told to
//! ([`Application::notify`]).

use std::fmt;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use bicorn_http::websocket::seam::Handshake;
use bicorn_http::{Exchange, Received, RequestBody, ResponseBody, ResponseHead, ResponsePart};
use bicorn_server::{Application, ConnectionInfo, Notice};

use crate::waiting::{PATIENCE, wait_at_most};
use crate::websocket_sides::Socket;

/// The side of the application that the I/O threads see.
#[derive(Clone)]
pub(crate) struct Passing(Arc<Shared>);

struct Shared {
    calls: Sender<Call>,
    sockets: Sender<Socket>,
    notices: Sender<Notice>,
    asleep: Mutex<Asleep>,
    /// Called on the I/O thread before an exchange is passed on.
    hook: Hook,
    places: Mutex<Places>,
    /// Somebody found no place.
    asked: Condvar,
}

/// What to do on the I/O thread.
pub(crate) type Hook = Box<dyn Fn(&Exchange) + Send + Sync>;

/// What the test does not see before the next notification.
#[derive(Default)]
struct Asleep {
    calls: Vec<Call>,
    sockets: Vec<Socket>,
    /// Of exchanges in which something happened.
    wakers: Vec<Waker>,
}

#[derive(Default)]
struct Places {
    /// `None` is any number.
    free: Option<usize>,
    waiting: Vec<Waker>,
    /// How often there was no place.
    refused: usize,
}

impl Passing {
    pub(crate) fn new(
        calls: Sender<Call>,
        sockets: Sender<Socket>,
        notices: Sender<Notice>,
        hook: Hook,
    ) -> Self {
        let (asleep, places, asked) = Default::default();
        Self(Arc::new(Shared { calls, sockets, notices, asleep, hook, places, asked }))
    }

    fn take_place(&self) {
        if let Some(free) = &mut self.places().free {
            // Two I/O threads may have been told of the same place.
            *free = free.saturating_sub(1);
        }
    }

    /// What a waker of the test's is wrapped in, so that it hears nothing before the next notification.
    pub(crate) fn defer(&self, waker: &Waker) -> Waker {
        Arc::new(Deferred { application: self.clone(), waker: waker.clone() }).into()
    }

    fn asleep(&self) -> MutexGuard<'_, Asleep> {
        self.0.asleep.lock().expect("nobody panics with the lock")
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.places.lock().expect("nobody panics with the lock")
    }

    /// Have room for so many exchanges more, and no others.
    pub(crate) fn set_places(&self, free: usize) {
        let mut places = self.places();
        places.free = Some(free);
        let waiting = std::mem::take(&mut places.waiting);
        drop(places);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Wait until an I/O thread has found no place so many times.
    pub(crate) fn wait_until_refused(&self, times: usize) {
        let asked = self.0.asked.wait_timeout_while(self.places(), PATIENCE, |places| places.refused < times);
        let timeout = asked.expect("nobody panics with the lock").1;
        assert!(!timeout.timed_out(), "nobody asked for a place");
    }
}

impl Application for Passing {
    fn poll_ready(&self, waker: &Waker) -> Poll<()> {
        let mut places = self.places();
        if places.free != Some(0) {
            return Poll::Ready(());
        }
        places.waiting.push(waker.clone());
        places.refused += 1;
        self.0.asked.notify_all();
        Poll::Pending
    }

    fn handle(&self, exchange: Exchange, connection: &Arc<ConnectionInfo>) {
        self.take_place();
        (self.0.hook)(&exchange);
        let Exchange { head, body, response } = exchange;
        let (info, application) = (Arc::clone(connection), self.clone());
        self.asleep().calls.push(Call { head, body, response, info, application });
    }

    fn handle_websocket(&self, handshake: Handshake, connection: &Arc<ConnectionInfo>) {
        self.take_place();
        self.asleep().sockets.push(Socket::new(handshake, Arc::clone(connection), self.clone()));
    }

    fn notify(&self) {
        let Asleep { calls, sockets, wakers } = std::mem::take(&mut *self.asleep());
        for call in calls {
            // The test may be over already.
            let _ = self.0.calls.send(call);
        }
        for socket in sockets {
            let _ = self.0.sockets.send(socket);
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    fn notice(&self, notice: Notice) {
        let _ = self.0.notices.send(notice);
    }
}

impl fmt::Debug for Passing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Passing")
    }
}

/// Wakes with the next notification.
struct Deferred {
    application: Passing,
    waker: Waker,
}

impl Wake for Deferred {
    fn wake(self: Arc<Self>) {
        self.application.asleep().wakers.push(self.waker.clone());
    }
}

/// An exchange in the hands of the test.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) head: bicorn_http::RequestHead,
    pub(crate) body: RequestBody,
    pub(crate) response: bicorn_http::ResponseSender,
    pub(crate) info: Arc<ConnectionInfo>,
    application: Passing,
}

impl Call {
    pub(crate) fn path(&self) -> String {
        String::from_utf8(self.head.path().to_vec()).expect("paths are ASCII")
    }

    /// Send a part, and make sure that it leaves.
    pub(crate) fn send(&self, head: Option<ResponseHead>, content: &[u8], last: bool) {
        let body = ResponseBody::copied(content);
        self.response.send(ResponsePart {
            is_whole: last && head.is_some(),
            head,
            body,
            trailers: None,
            last,
        });
        self.response.notify();
    }

    /// Begin a response with these fields.
    pub(crate) fn start(&self, status: u16, fields: &[(&str, &str)]) {
        self.send(Some(head(status, fields)), b"", false);
    }

    /// Send a part of the content.
    pub(crate) fn push(&self, content: &[u8]) {
        self.send(None, content, false);
    }

    /// End the response.
    pub(crate) fn end(&self) {
        self.send(None, b"", true);
    }

    /// Send a whole response.
    pub(crate) fn reply(&self, content: &str) {
        let length = content.len().to_string();
        self.send(Some(head(200, &[("content-length", &length)])), content.as_bytes(), true);
    }

    /// Take what arrives next.
    pub(crate) fn receive(&mut self) -> Received {
        loop {
            let received = self.body.try_receive();
            self.response.notify();
            if let Some(received) = received {
                return received;
            }
            let arrived = self.wait_at_most(PATIENCE, |waker| self.body.poll_ready(waker));
            arrived.expect("something arrives, or the peer leaves");
        }
    }

    /// Wait until there is room for more content.
    pub(crate) fn wait_for_room(&self) {
        assert!(self.has_room_within(PATIENCE));
    }

    /// Whether there is room for more content, now or soon.
    pub(crate) fn has_room_within(&self, limit: Duration) -> bool {
        self.wait_at_most(limit, |waker| self.response.poll_ready(waker)).is_some()
    }

    fn wait_at_most<T>(&self, limit: Duration, poll: impl Fn(&Waker) -> Poll<T>) -> Option<T> {
        wait_at_most(limit, |waker| poll(&self.application.defer(waker)))
    }

    /// Take all content, which must arrive complete.
    pub(crate) fn content(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.receive() {
                Received::Body { content, more } => {
                    all.extend_from_slice(&content);
                    if !more {
                        return all;
                    }
                }
                Received::Disconnected => panic!("the peer left after {} bytes", all.len()),
            }
        }
    }

    /// Wait until the peer has finished sending, or is gone.
    pub(crate) fn wait_until_peer_finished(&mut self) {
        while self.receive() != Received::Disconnected {}
        assert!(self.response.is_peer_finished());
    }

    /// Wait until the peer takes nothing any more.
    pub(crate) fn wait_until_gone(&mut self) {
        self.wait_until_peer_finished();
        assert!(self.response.is_gone());
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
