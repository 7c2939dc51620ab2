//! What is counted in a slot only when somebody wants to read it: [`Board::is_measured`](super::Board::is_measured).
//!
//! I/O threads write what requests are and take (`meter.rs`); the side of the application writes how long exchanges
//! waited for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::histogram::{self, Counted};
use super::slot::{FIGURES, Slot};

/// Gauges, which begin again with each worker.
const IN_FLIGHT: usize = FIGURES;
const ENDPOINT_GAUGES: usize = FIGURES + 1;
pub(super) const GAUGES: std::ops::Range<usize> = IN_FLIGHT..ENDPOINT_GAUGES + 4;

const COUNTERS: usize = FIGURES + 8;
const ENDPOINT_JOBS: usize = COUNTERS + 6;
const ENDPOINT_WAITED: usize = COUNTERS + 7;
const HANDOFF_WAIT: usize = COUNTERS + 8;
const LOOP_LAG: usize = HANDOFF_WAIT + HISTOGRAM_WORDS;
const REQUESTS: usize = LOOP_LAG + HISTOGRAM_WORDS;
const DURATIONS: usize = REQUESTS + METHODS * STATUSES;
pub(super) const END: usize = DURATIONS + METHODS * CLASSES * HISTOGRAM_WORDS;

/// Whole cache lines.
const HISTOGRAM_WORDS: usize = histogram::WORDS.next_multiple_of(8);

const METHODS: usize = Method::ALL.len();
/// One word for requests without a response, one for each status from 100 to 599.
const STATUSES: usize = 501 + 3;
/// Requests without a response, and the hundreds.
const CLASSES: usize = 6;

/// What is told apart of methods: a client may send any word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the methods of RFC 9110 §9.3 and RFC 5789 by their names")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Patch,
    Options,
    /// Any other method, and requests that were too malformed to have one.
    Other,
}

impl Method {
    /// Each one.
    pub const ALL: [Self; 8] =
        [Self::Get, Self::Head, Self::Post, Self::Put, Self::Delete, Self::Patch, Self::Options, Self::Other];

    /// What it is called in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
            Self::Other => "other",
        }
    }

    /// The method of a request.
    pub fn of(name: &[u8]) -> Self {
        let known = Self::ALL.into_iter().filter(|method| *method != Self::Other);
        known.into_iter().find(|method| method.name().as_bytes() == name).unwrap_or(Self::Other)
    }
}

/// Sums that only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    /// Bytes of request content, as they are given to applications.
    RequestBytes,
    /// Bytes of response content, as applications give them.
    ResponseBytes,
    /// WebSocket messages from peers.
    MessagesReceived,
    /// WebSocket messages to peers.
    MessagesSent,
}

/// What can be told of endpoint threads at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EndpointThreads {
    /// How many there are.
    pub threads: u64,
    /// How many of them are at work.
    pub busy: u64,
    /// How many there may be.
    pub limit: u64,
    /// Jobs that wait.
    pub queued: u64,
}

impl Slot {
    /// A request has arrived.
    pub fn request_begun(&self) {
        self.add(IN_FLIGHT, 1);
    }

    /// A request is over, after so long; `status` is `None` if it was never answered.
    pub fn request_ended(&self, method: Method, status: Option<u16>, time: Duration) {
        self.lower(IN_FLIGHT);
        // Looked up once: this is done for each request.
        let words = self.part(0, END);
        words[REQUESTS + method as usize * STATUSES + place_of(status)].fetch_add(1, Ordering::Relaxed);
        let start = DURATIONS + (method as usize * CLASSES + class(status)) * HISTOGRAM_WORDS;
        histogram::observe(&words[start..start + histogram::WORDS], &histogram::REQUESTS, time);
    }

    /// Count a request that was answered before it was one.
    pub fn count_request(&self, method: Method, status: Option<u16>) {
        self.add(REQUESTS + method as usize * STATUSES + place_of(status), 1);
    }

    /// Requests that are not over.
    pub fn requests_in_flight(&self) -> u64 {
        self.read(IN_FLIGHT)
    }

    /// Each status that requests with a method were answered with, and how many.
    pub fn requests(&self, method: Method) -> impl Iterator<Item = (Option<u16>, u64)> {
        let words = self.part(REQUESTS + method as usize * STATUSES, STATUSES);
        let counts = words.iter().map(|word| word.load(Ordering::Relaxed));
        counts.enumerate().filter(|(_, count)| *count > 0).map(|(place, count)| (status_at(place), count))
    }

    /// How long requests took, by the hundreds of their status; 0 stands for those without one.
    pub fn durations(&self, method: Method) -> [Counted; CLASSES] {
        std::array::from_fn(|class| {
            let start = DURATIONS + (method as usize * CLASSES + class) * HISTOGRAM_WORDS;
            histogram::read(self.part(start, histogram::WORDS))
        })
    }

    /// Add to a sum.
    pub fn count(&self, counter: Counter, amount: u64) {
        if amount > 0 {
            self.add(COUNTERS + counter as usize, amount);
        }
    }

    /// What a sum is.
    pub fn counted(&self, counter: Counter) -> u64 {
        self.read(COUNTERS + counter as usize)
    }

    /// An exchange waited so long before the loop began it.
    pub fn handoff_waited(&self, time: Duration) {
        histogram::observe(self.part(HANDOFF_WAIT, histogram::WORDS), &histogram::WAITS, time);
    }

    /// How long exchanges waited for the loop.
    pub fn handoff_waits(&self) -> Counted {
        histogram::read(self.part(HANDOFF_WAIT, histogram::WORDS))
    }

    /// The loop took so long to begin after it was woken.
    pub fn loop_lagged(&self, time: Duration) {
        histogram::observe(self.part(LOOP_LAG, histogram::WORDS), &histogram::WAITS, time);
    }

    /// How long the loop took to begin.
    pub fn loop_lags(&self) -> Counted {
        histogram::read(self.part(LOOP_LAG, histogram::WORDS))
    }

    /// Say how it is with the endpoint threads.
    pub fn set_endpoint_threads(&self, figures: EndpointThreads) {
        let EndpointThreads { threads, busy, limit, queued } = figures;
        for (place, figure) in [threads, busy, limit, queued].into_iter().enumerate() {
            self.set(ENDPOINT_GAUGES + place, figure);
        }
    }

    /// How it was with the endpoint threads when one of them was heard of last.
    pub fn endpoint_threads(&self) -> EndpointThreads {
        let [threads, busy, limit, queued] = std::array::from_fn(|place| self.read(ENDPOINT_GAUGES + place));
        EndpointThreads { threads, busy, limit, queued }
    }

    /// An endpoint thread has taken a job that waited for so long.
    pub fn endpoint_job_waited(&self, time: Duration) {
        self.add(ENDPOINT_JOBS, 1);
        self.add(ENDPOINT_WAITED, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Jobs that endpoint threads have taken, and how long these had waited together.
    pub fn endpoint_jobs(&self) -> (u64, Duration) {
        (self.read(ENDPOINT_JOBS), Duration::from_nanos(self.read(ENDPOINT_WAITED)))
    }
}

fn class(status: Option<u16>) -> usize {
    status.map_or(0, |status| usize::from(status / 100).min(CLASSES - 1))
}

/// The place of a status among the words of a method.
fn place_of(status: Option<u16>) -> usize {
    status.map_or(0, |status| usize::from(status.clamp(100, 599)) - 99)
}

fn status_at(place: usize) -> Option<u16> {
    u16::try_from(place).ok().filter(|place| *place > 0).map(|place| place + 99)
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_request_is_in_flight_and_then_counted() {
        let slot = Slot::alone();
        slot.set_state(State::Starting);
        slot.request_begun();
        slot.request_begun();
        slot.request_ended(Method::Post, Some(201), Duration::from_millis(1));
        slot.count_request(Method::Other, Some(400));
        assert_eq!(slot.requests_in_flight(), 1);
        assert_eq!(slot.requests(Method::Post).collect::<Vec<_>>(), [(Some(201), 1)]);
        assert_eq!(slot.requests(Method::Other).collect::<Vec<_>>(), [(Some(400), 1)]);
        assert_eq!(slot.durations(Method::Post).map(|counted| counted.count()), [0, 0, 1, 0, 0, 0]);
        slot.set_state(State::Free);
        assert_eq!((slot.requests_in_flight(), slot.requests(Method::Post).count()), (0, 1));
    }

    #[test]
    fn every_status_has_a_place_of_its_own() {
        let slot = Slot::alone();
        let statuses: Vec<Option<u16>> = std::iter::once(None).chain((100..600).map(Some)).collect();
        for status in &statuses {
            slot.count_request(Method::Get, *status);
        }
        let counted: Vec<(Option<u16>, u64)> = statuses.iter().map(|status| (*status, 1)).collect();
        assert_eq!(slot.requests(Method::Get).collect::<Vec<_>>(), counted);
        for other in Method::ALL.into_iter().filter(|method| *method != Method::Get) {
            assert_eq!(slot.requests(other).count(), 0, "{}", other.name());
        }
        assert_eq!(slot.durations(Method::Get).map(|counted| counted.count()), [0; CLASSES]);
    }

    #[test]
    fn figures_have_places_of_their_own() {
        let slot = Slot::alone();
        let counters =
            [Counter::RequestBytes, Counter::ResponseBytes, Counter::MessagesReceived, Counter::MessagesSent];
        for (amount, counter) in counters.into_iter().enumerate() {
            slot.count(counter, amount as u64 + 1);
        }
        slot.handoff_waited(Duration::from_secs(1));
        slot.loop_lagged(Duration::from_secs(2));
        slot.endpoint_job_waited(Duration::from_secs(3));
        let figures = EndpointThreads { threads: 1, busy: 2, limit: 3, queued: 4 };
        slot.set_endpoint_threads(figures);
        assert_eq!(counters.map(|counter| slot.counted(counter)), [1, 2, 3, 4]);
        assert_eq!((slot.handoff_waits().sum, slot.loop_lags().sum), (1_000_000_000, 2_000_000_000));
        assert_eq!(slot.endpoint_jobs(), (1, Duration::from_secs(3)));
        assert_eq!(slot.endpoint_threads(), figures);
        assert_eq!(slot.requests_in_flight(), 0);
        assert!(Method::ALL.into_iter().all(|method| slot.requests(method).count() == 0));
    }

    #[test]
    fn methods_are_known_by_their_exact_names() {
        for method in Method::ALL {
            assert_eq!(Method::of(method.name().as_bytes()), method);
        }
        for name in ["get", "GETX", "", "CONNECT", "other"] {
            assert_eq!(Method::of(name.as_bytes()), Method::Other, "{name}");
        }
    }
}
