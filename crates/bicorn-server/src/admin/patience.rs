//! How long a connection may take.

use std::cell::Cell;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// From the first byte of a request to its last (arbitrary: a head of a hundred bytes comes in one piece).
const REQUEST: Duration = Duration::from_secs(5);

/// From one request to the next: longer than a usual scrape interval, so that a scraper can keep its connection.
const IDLE: Duration = Duration::from_secs(75);

/// The patience with one connection; begins when it is accepted.
#[derive(Debug)]
pub(super) struct Patience {
    /// When it was heard of last.
    heard_at: Cell<Instant>,
    /// When it ends.
    until: Cell<Instant>,
    /// A request has begun.
    is_asking: Cell<bool>,
}

impl Patience {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self { heard_at: Cell::new(now), until: Cell::new(now + REQUEST), is_asking: Cell::new(true) }
    }

    /// Bytes have come.
    pub(super) fn heard(&self) {
        let now = Instant::now();
        self.heard_at.set(now);
        if !self.is_asking.replace(true) {
            self.until.set(now + REQUEST);
        }
    }

    /// A request was answered.
    pub(super) fn answered(&self) {
        self.is_asking.set(false);
        self.until.set(Instant::now() + IDLE);
    }

    pub(super) fn heard_at(&self) -> Instant {
        self.heard_at.get()
    }

    /// Work on a connection until it is over, or patience is.
    pub(super) async fn bound(&self, connection: impl Future) {
        let mut connection = pin!(connection);
        let mut sleep = pin!(sleep_until(self.until.get()));
        std::future::poll_fn(|context| {
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            if sleep.deadline() != self.until.get() {
                sleep.as_mut().reset(self.until.get());
            }
            sleep.as_mut().poll(context)
        })
        .await;
    }
}
