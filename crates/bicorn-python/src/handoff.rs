//! I/O threads → loop thread.
//!
//! Exchanges come in from `application.rs` on any I/O thread and go out in `loop_thread.rs`. An I/O thread
//! that has pushed something notifies before it sleeps: that writes to an eventfd which the loop watches, and
//! only if the loop sleeps.
//! Nothing here attaches to Python: a slow application must never stop the sockets. Endpoint threads use the same road
//! for what they have for the loop.
//!
//! ```text
//!   Parked ──notify: write the eventfd──▶ Notified ──drain begins──▶ Running ──queue empty──▶ Parked
//! ```

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Wake, Waker};
use std::time::{Duration, Instant};

use bicorn_http::Exchange;
use bicorn_http::websocket::seam::Handshake;
use bicorn_server::{ConnectionInfo, Notice, Slot};
use crossbeam_channel::{Receiver, Sender, bounded};
use pyo3::pybacked::{PyBackedBytes, PyBackedStr};

use crate::endpoints::{Finished, Moved};
use crate::wake_event::WakeEvent;

/// Exchanges that may wait for the loop thread. Connections beyond it keep theirs and read nothing more:
/// at 10 µs an exchange this is 10 ms of work, at 1 ms a second.
const QUEUE_EXCHANGES: usize = 1024;

/// Of so many exchanges, one is looked at for how long it waits: reading the clock costs more than anything else that is
/// measured, and what is asked for is a distribution.
const MEASURED_EXCHANGES: usize = 8;

/// Notices that may wait; later ones are dropped, because a flood of bad requests must not fill memory.
const QUEUE_NOTICES: usize = 1024;

/// Content that the socket has taken may stay in memory up to this while the loop has nothing to do; a
/// wake-up for each large response costs more than it frees.
const RELEASE_BYTES: usize = 4 * 1024 * 1024;

/// How often an endpoint thread that stands back looks whether the loop thread has begun.
const STEP: Duration = Duration::from_micros(20);

const RUNNING: u8 = 0;
const PARKED: u8 = 1;
const NOTIFIED: u8 = 2;

/// What came for the application, and the connection it came on.
pub(crate) struct Arrival {
    pub(crate) incoming: Incoming,
    pub(crate) connection: Arc<ConnectionInfo>,
    /// When it was handed over, if that is to be known.
    handed_over: Option<Instant>,
}

impl Arrival {
    pub(crate) fn new(incoming: Incoming, connection: Arc<ConnectionInfo>) -> Self {
        Self { incoming, connection, handed_over: None }
    }
}

/// What may come for an application.
pub(crate) enum Incoming {
    Http(Exchange),
    WebSocket(Handshake),
}

/// A Python object that an I/O thread writes from.
pub(crate) enum Borrowed {
    Bytes(PyBackedBytes),
    /// Its UTF-8.
    Text(PyBackedStr),
}

impl Borrowed {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Text(text) => text.as_bytes(),
        }
    }
}

/// What waits for the loop thread.
pub(crate) struct HandOff {
    sender: Sender<Arrival>,
    receiver: Receiver<Arrival>,
    /// Exchanges whose application waits and for which something changed, by their slot on the loop thread.
    /// Each stands here at most once, so there are never more than running exchanges.
    woken: Mutex<Vec<usize>>,
    notices: Mutex<Vec<Notice>>,
    /// I/O threads that found the queue full.
    blocked: Mutex<Vec<Waker>>,
    /// Python objects that an I/O thread is done with.
    released: Mutex<Released>,
    /// What endpoint threads have for the loop; bounded by what was given to them.
    endpoints: Mutex<FromEndpoints>,
    state: AtomicU8,
    /// Exchanges that were handed over while somebody wanted to know how long they wait.
    pushed: AtomicUsize,
    /// Where it stands for how long the loop has not answered.
    slot: Slot,
    event: WakeEvent,
}

/// What endpoint threads have for the loop thread.
#[derive(Default)]
pub(crate) struct FromEndpoints {
    /// Calls that are over.
    pub(crate) finished: Vec<Finished>,
    /// Exchanges that need the loop to go on.
    pub(crate) moved: Vec<Moved>,
    /// Exchanges that were not begun, because the application is another one than when their route was proven.
    pub(crate) turned_back: Vec<Arrival>,
}

#[derive(Default)]
struct Released {
    objects: Vec<Borrowed>,
    /// Sum of their lengths.
    bytes: usize,
}

impl HandOff {
    /// An empty hand-off that serves so many I/O threads.
    pub(crate) fn new(io_threads: usize, slot: Slot) -> std::io::Result<Self> {
        // Each I/O thread may have asked `poll_ready` before another one pushed.
        let (sender, receiver) = bounded(QUEUE_EXCHANGES + io_threads);
        Ok(Self {
            sender,
            receiver,
            woken: Mutex::default(),
            notices: Mutex::default(),
            blocked: Mutex::default(),
            released: Mutex::default(),
            endpoints: Mutex::default(),
            state: AtomicU8::new(PARKED),
            pushed: AtomicUsize::new(0),
            slot,
            event: WakeEvent::new()?,
        })
    }

    /// The descriptor that becomes readable when there is work and the loop sleeps.
    pub(crate) fn fd(&self) -> RawFd {
        self.event.fd()
    }

    /// Whether an I/O thread may push; if not, `waker` is woken when there is room.
    pub(crate) fn poll_ready(&self, waker: &Waker) -> Poll<()> {
        if self.sender.len() < QUEUE_EXCHANGES {
            return Poll::Ready(());
        }
        {
            let mut blocked = lock(&self.blocked);
            // One waker for each I/O thread, however many of its connections ask.
            if !blocked.iter().any(|known| known.will_wake(waker)) {
                blocked.push(waker.clone());
            }
        }
        // The loop thread may have made room between the two looks.
        if self.sender.len() < QUEUE_EXCHANGES { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Hand an exchange over.
    pub(crate) fn push(&self, mut arrival: Arrival) {
        if self.is_measured()
            && self.pushed.fetch_add(1, Ordering::Relaxed).is_multiple_of(MEASURED_EXCHANGES)
        {
            arrival.handed_over = Some(Instant::now());
        }
        // There is room: `poll_ready` said so, and the queue has a spare place for each I/O thread. If that
        // were ever wrong, dropping the exchange closes its connection.
        let _ = self.sender.try_send(arrival);
    }

    pub(crate) fn notice(&self, notice: Notice) {
        let mut notices = lock(&self.notices);
        if notices.len() < QUEUE_NOTICES || notice == Notice::Changed {
            notices.push(notice);
        }
    }

    /// Give a Python object back, to be dropped where Python may be touched: with the next batch, or at once
    /// when much memory waits for it.
    pub(crate) fn release(&self, object: Borrowed) {
        let mut released = lock(&self.released);
        released.bytes += object.as_bytes().len();
        released.objects.push(object);
    }

    /// Wake the loop if it sleeps and something waits for it.
    pub(crate) fn notify(&self) {
        // Before the look: what is told of a turn that has begun since means nothing.
        let turn = self.slot.turn();
        let is_asleep = self.state.load(Ordering::SeqCst) == PARKED && !self.is_empty();
        if is_asleep
            && self.state.compare_exchange(PARKED, NOTIFIED, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        {
            self.slot.loop_woken(turn);
            self.event.set();
        }
    }

    /// Whether the loop thread was woken so long ago and has not begun: it waits for the interpreter.
    pub(crate) fn is_waiting(&self, time: Duration) -> bool {
        self.state.load(Ordering::Relaxed) == NOTIFIED && self.slot.loop_stalled_for() >= time
    }

    /// Whether the loop thread is at work, and has the interpreter most of the time.
    pub(crate) fn is_running(&self) -> bool {
        self.state.load(Ordering::Relaxed) == RUNNING
    }

    /// Wait, detached, until the loop thread has begun or the time is over.
    pub(crate) fn wait_until_begun(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        while self.state.load(Ordering::Relaxed) == NOTIFIED && Instant::now() < deadline {
            std::thread::park_timeout(STEP);
        }
    }

    /// A call of the loop's is over.
    pub(crate) fn finish(&self, finished: Finished) {
        lock(&self.endpoints).finished.push(finished);
    }

    /// An exchange goes on in the loop.
    pub(crate) fn move_to_loop(&self, moved: Moved) {
        lock(&self.endpoints).moved.push(moved);
    }

    /// An exchange is the loop's after all.
    pub(crate) fn turn_back(&self, arrival: Arrival) {
        lock(&self.endpoints).turned_back.push(arrival);
    }

    pub(crate) fn take_from_endpoints(&self) -> FromEndpoints {
        std::mem::take(&mut *lock(&self.endpoints))
    }

    /// The loop thread begins to work: nobody needs to wake it.
    pub(crate) fn begin(&self) {
        let was_woken = self.state.swap(RUNNING, Ordering::SeqCst) == NOTIFIED;
        let lag = self.slot.loop_begins();
        if let Some(lag) = lag.filter(|_| was_woken && self.is_measured()) {
            self.slot.loop_lagged(lag);
        }
    }

    fn is_measured(&self) -> bool {
        self.slot.board().is_measured()
    }

    /// Take the wake-up back; the loop would see it again otherwise.
    pub(crate) fn acknowledge(&self) {
        self.event.clear();
    }

    /// Wait, up to a second, until there is a wake-up: for loops that cannot watch a descriptor.
    pub(crate) fn wait(&self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let timeout = Timespec { tv_sec: 1, tv_nsec: 0 };
        let _ = poll(&mut [PollFd::new(&self.event, PollFlags::IN)], Some(&timeout));
        self.acknowledge();
    }

    /// The loop thread goes to sleep. False when there is more to do.
    pub(crate) fn park(&self) -> bool {
        // Before it may be woken again.
        self.slot.loop_rests();
        self.state.store(PARKED, Ordering::SeqCst);
        if self.is_empty() {
            return true;
        }
        self.begin();
        false
    }

    fn is_empty(&self) -> bool {
        self.receiver.is_empty()
            && lock(&self.woken).is_empty()
            && lock(&self.notices).is_empty()
            && lock(&self.released).bytes < RELEASE_BYTES
            && lock(&self.endpoints).is_empty()
    }

    /// The next exchange.
    pub(crate) fn next(&self) -> Option<Arrival> {
        let arrival = self.receiver.try_recv().ok()?;
        if let Some(handed_over) = arrival.handed_over {
            self.slot.handoff_waited(handed_over.elapsed());
        }
        Some(arrival)
    }

    /// Wake I/O threads that found the queue full.
    pub(crate) fn unblock(&self) {
        let blocked = std::mem::take(&mut *lock(&self.blocked));
        blocked.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn take_woken(&self) -> Vec<usize> {
        std::mem::take(&mut *lock(&self.woken))
    }

    pub(crate) fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut *lock(&self.notices))
    }

    pub(crate) fn take_released(&self) -> Vec<Borrowed> {
        std::mem::take(&mut *lock(&self.released)).objects
    }
}

impl FromEndpoints {
    fn is_empty(&self) -> bool {
        self.finished.is_empty() && self.moved.is_empty() && self.turned_back.is_empty()
    }
}

/// Lock what is never held across a call into Python; a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes the application of one exchange, from any I/O thread; the loop hears of it by
/// [`HandOff::notify`].
pub(crate) struct ExchangeWaker {
    handoff: Arc<HandOff>,
    /// The exchange's slot on the loop thread.
    key: usize,
    /// `key` stands in `HandOff::woken`.
    is_queued: AtomicBool,
}

impl ExchangeWaker {
    pub(crate) fn new(handoff: Arc<HandOff>, key: usize) -> Arc<Self> {
        Arc::new(Self { handoff, key, is_queued: AtomicBool::new(false) })
    }

    /// The loop thread has taken the key: the next wake counts again.
    pub(crate) fn rearm(&self) {
        self.is_queued.store(false, Ordering::SeqCst);
    }
}

impl Wake for ExchangeWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::SeqCst) {
            lock(&self.handoff.woken).push(self.key);
        }
    }
}

/// Content borrowed from a Python object until the socket has taken it.
pub(crate) struct BorrowedContent {
    object: Option<Borrowed>,
    handoff: Arc<HandOff>,
}

impl BorrowedContent {
    pub(crate) fn new(object: Borrowed, handoff: Arc<HandOff>) -> Self {
        Self { object: Some(object), handoff }
    }
}

impl AsRef<[u8]> for BorrowedContent {
    fn as_ref(&self) -> &[u8] {
        self.object.as_ref().map_or(&[], Borrowed::as_bytes)
    }
}

impl Drop for BorrowedContent {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            self.handoff.release(object);
        }
    }
}
