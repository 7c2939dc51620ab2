//! The endpoint threads of one server: a queue, the threads that are asleep, and when another one wakes.
//!
//! With one interpreter to share, two threads that both want it are slower than one. So one thread is awake and takes
//! job after job; another wakes only
//!
//! - when nobody is awake,
//! - at once for a call that is known to block ([`CallStats`]),
//! - or when the queue is not empty a while later ([`Watch`]): whoever is awake is stuck, or too slow.
//!
//! I/O threads push and notify and never attach.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use bicorn_server::Slot;
use crossbeam_channel::{Receiver, Sender, bounded};
use pyo3::intern;
use pyo3::prelude::*;

use super::call::name_of;
use super::job::{Job, Work};
use super::lane::Current;
use super::report::Figures;
use super::roster::{Place, Roster};
use super::stats::{CallStats, Functions};
use super::thread::{self, Setup};
use super::watch::Watch;
use crate::loop_thread::LoopThread;

/// Jobs that may wait, at 150 bytes each. Exchanges stop at [`QUEUE_EXCHANGES`]; beyond it there is room for calls, of which
/// anyio's limiter lets 40 through unless it is told otherwise. Those that find no room are anyio's.
const QUEUE_JOBS: usize = QUEUE_EXCHANGES + 256;
/// Connections keep their exchange when so many jobs wait, as with the loop's hand-off.
const QUEUE_EXCHANGES: usize = 1024;
/// How long the end of a server waits for its sleeping threads to leave.
const LEAVE: Duration = Duration::from_secs(2);
/// A thread that had to wait longer for the interpreter finds it contended. Python takes it from whoever does not give it
/// after 5 ms; a machine with other work to do is late by less.
const CONTENDED: Duration = Duration::from_millis(4);
/// What a thread that arrives at the same time may take: the first thing that it does is Python, too.
const BESIDE: Duration = Duration::from_millis(1);
/// Threads that may be awake while they contend for the interpreter, in long jobs: the loop thread waits for each of
/// them, up to Python's switch interval of 5 ms.
const CONTENDING: usize = 3;
/// How many looks of the watch are let pass when the interpreter was contended: at first, and at most. Each try costs
/// whoever works a forced switch.
const PATIENCE: (u32, u32) = (8, 64);
/// How many threads one look wakes at most.
const RAMP: usize = 16;
/// Looks after which threads that were woken are not waited for any more.
const LOOKS: u32 = 50;

/// Sync endpoints and functions of one server, and the threads that run them.
pub(crate) struct EndpointThreads {
    sender: Sender<Job>,
    receiver: Receiver<Job>,
    roster: Roster,
    /// Jobs that were taken from the queue.
    taken: AtomicU64,
    /// How long those had waited there, in nanoseconds.
    waited: AtomicU64,
    /// Jobs in the queue that are known to block, and those of them for which nobody was woken yet.
    blocking: AtomicUsize,
    unattended: AtomicUsize,
    /// Looks of the watch to let pass: the interpreter was contended, and more threads would make it worse.
    patience: AtomicU32,
    /// The value that `patience` began with.
    last_patience: AtomicU32,
    /// Threads that are awake and have not got the interpreter yet, and how often the watch has let that pass.
    arriving: AtomicUsize,
    looks: AtomicU32,
    /// How many threads the next look wakes: twice as many each time, as long as the interpreter is free.
    ramp: AtomicUsize,
    /// What is known of functions that the loop has called.
    functions: Functions,
    watch: Watch,
    setup: Arc<Setup>,
}

/// When a thread was woken, or born.
#[derive(Clone, Copy)]
pub(super) struct Woken {
    at: Instant,
    /// How many jobs had been taken then.
    taken: u64,
    /// It counts among those that arrive.
    is_counted: bool,
    /// How many those were.
    beside: u32,
}

impl EndpointThreads {
    /// No thread yet: the first job brings the first.
    pub(crate) fn new(setup: Setup, limit: usize) -> Arc<Self> {
        let (sender, receiver) = bounded(QUEUE_JOBS);
        let threads = Self {
            sender,
            receiver,
            // The tokens of anyio's default limiter.
            roster: Roster::new(limit),
            taken: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            blocking: AtomicUsize::new(0),
            unattended: AtomicUsize::new(0),
            patience: AtomicU32::new(0),
            last_patience: AtomicU32::new(0),
            arriving: AtomicUsize::new(0),
            looks: AtomicU32::new(0),
            ramp: AtomicUsize::new(1),
            functions: Functions::default(),
            watch: Watch::default(),
            setup: Arc::new(setup),
        };
        threads.report();
        Arc::new(threads)
    }

    /// Whether an I/O thread may push.
    pub(crate) fn has_room(&self) -> bool {
        self.sender.len() < QUEUE_EXCHANGES
    }

    /// Queue a job; nobody is woken before [`EndpointThreads::notify`].
    ///
    /// False: the queue is full, and the job is dropped.
    pub(crate) fn push(&self, job: Job) -> bool {
        if job.is_blocking {
            self.blocking.fetch_add(1, Ordering::Relaxed);
            self.unattended.fetch_add(1, Ordering::Relaxed);
        }
        let Err(refused) = self.sender.try_send(job) else { return true };
        if refused.into_inner().is_blocking {
            self.blocking.fetch_sub(1, Ordering::Relaxed);
        }
        false
    }

    /// Wake who is needed for what was pushed.
    pub(crate) fn notify(self: &Arc<Self>) {
        if self.receiver.is_empty() {
            return;
        }
        self.report();
        // Pairs with the fence in `fall_asleep`: either the sleeper sees the job, or it is seen asleep here.
        fence(Ordering::SeqCst);
        let mut needed = 0;
        if self.unattended.load(Ordering::Relaxed) > 0 {
            needed = self.unattended.swap(0, Ordering::Relaxed);
        }
        if self.roster.awake() == 0 {
            needed = needed.max(1);
        }
        if needed > 0 {
            self.wake(needed);
        } else {
            self.watch.arm(self);
        }
    }

    /// Wake threads, or start them if none sleeps, as far as the limit allows.
    fn wake(self: &Arc<Self>, count: usize) {
        self.arriving.fetch_add(count, Ordering::Relaxed);
        let (woken, born) = self.roster.wake(count);
        self.arriving.fetch_sub(count - woken, Ordering::Relaxed);
        for place in born {
            if thread::spawn(Arc::clone(self), Arc::clone(&self.setup), Arc::clone(&place)).is_err() {
                // No memory or no process for it now. The others go on; without any, the loop takes the exchanges back.
                self.arriving.fetch_sub(1, Ordering::Relaxed);
                if self.roster.lose(&place) {
                    std::iter::from_fn(|| self.try_next()).for_each(|job| self.setup.give_back(job));
                }
            }
        }
    }

    /// Called by [`Watch`]: the queue is not empty though somebody is awake.
    pub(super) fn help(self: &Arc<Self>) {
        // Whoever waits for the interpreter will take what is in the queue; another would wait beside it.
        let is_taken =
            self.arriving.load(Ordering::Relaxed) > 0 || self.setup.loop_thread.handoff().is_running();
        if is_taken && self.looks.fetch_add(1, Ordering::Relaxed) < LOOKS {
            return;
        }
        self.looks.store(0, Ordering::Relaxed);
        let patience = self.patience.load(Ordering::Relaxed);
        if patience > 0 {
            self.patience.store(patience - 1, Ordering::Relaxed);
            return;
        }
        self.wake(self.ramp.load(Ordering::Relaxed).min(self.receiver.len()).max(1));
    }

    /// A thread that was woken has the interpreter; it may have had to wait for it.
    fn was_contended(&self, is_contended: bool) {
        let (first, most) = PATIENCE;
        let patience = if is_contended {
            self.ramp.store(1, Ordering::Relaxed);
            (self.last_patience.load(Ordering::Relaxed) * 2).clamp(first, most)
        } else {
            let ramp = self.ramp.load(Ordering::Relaxed);
            self.ramp.store((ramp * 2).min(RAMP), Ordering::Relaxed);
            0
        };
        self.last_patience.store(patience, Ordering::Relaxed);
        self.patience.store(patience, Ordering::Relaxed);
    }

    pub(super) fn slot(&self) -> &Slot {
        self.setup.loop_thread.slot()
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// How many jobs have been taken from the queue, and how many stand in it.
    pub(super) fn progress(&self) -> (u64, u64) {
        (self.taken.load(Ordering::Relaxed), self.receiver.len() as u64)
    }

    /// The next job, after a sleep if there is none. `None`: leave.
    pub(super) fn next(&self, py: Python<'_>, place: &Place) -> Option<Job> {
        loop {
            if let Some(job) = self.try_next() {
                return Some(job);
            }
            let woken = py.detach(|| self.fall_asleep(place))?;
            self.arrive(py, place, woken)?;
        }
    }

    /// A thread has got the interpreter since it was woken. It lies down again if the interpreter was contended and
    /// others get on without it. `None`: leave.
    pub(super) fn arrive(&self, py: Python<'_>, place: &Place, mut woken: Woken) -> Option<()> {
        loop {
            let is_contended = woken.at.elapsed() > CONTENDED + BESIDE * woken.beside;
            if woken.is_counted {
                self.arriving.fetch_sub(1, Ordering::Relaxed);
            }
            self.was_contended(is_contended);
            // Whoever has the interpreter gets on with the queue, or is in a long job beside others.
            let is_superfluous =
                self.awake() > CONTENDING || self.taken.load(Ordering::Relaxed) > woken.taken;
            if !(is_contended && is_superfluous && self.has_enough_awake()) {
                return Some(());
            }
            woken = py.detach(|| self.fall_asleep_behind_others(place))?;
        }
    }

    /// The moment of waking, by somebody else or by oneself.
    pub(super) fn woken(&self, by_others: bool) -> Woken {
        let beside = u32::try_from(self.arriving.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let taken = self.taken.load(Ordering::Relaxed);
        Woken { at: Instant::now(), taken, is_counted: by_others, beside }
    }

    /// Do something detached between two jobs.
    pub(super) fn pause(&self, py: Python<'_>, work: impl Send + FnOnce()) {
        self.arriving.fetch_add(1, Ordering::Relaxed);
        py.detach(work);
        self.arriving.fetch_sub(1, Ordering::Relaxed);
    }

    /// The next job after a sleep, though there may be one now.
    pub(super) fn next_behind_others(&self, py: Python<'_>, place: &Place) -> Option<Job> {
        let woken = py.detach(|| self.fall_asleep_behind_others(place))?;
        self.arrive(py, place, woken)?;
        self.next(py, place)
    }

    /// Whether others are awake, and nothing in the queue needs a thread of its own.
    pub(super) fn has_enough_awake(&self) -> bool {
        self.awake() > 1 && self.blocking.load(Ordering::Relaxed) == 0
    }

    /// Threads that are not asleep.
    pub(super) fn awake(&self) -> usize {
        self.roster.awake()
    }

    /// The next job, if there is one.
    pub(super) fn try_next(&self) -> Option<Job> {
        let job = self.receiver.try_recv().ok()?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        if job.is_blocking {
            self.blocking.fetch_sub(1, Ordering::Relaxed);
        }
        let waited = u64::try_from(job.queued_at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.waited.fetch_add(waited, Ordering::Relaxed);
        self.report_job(Duration::from_nanos(waited));
        Some(job)
    }

    /// Sleep until woken, unless there is something to do. `None`: leave.
    fn fall_asleep(&self, place: &Place) -> Option<Woken> {
        self.roster.lie_down(place)?;
        self.report();
        fence(Ordering::SeqCst);
        let gets_up = !self.receiver.is_empty() && self.roster.get_up(place);
        if !gets_up {
            self.roster.sleep(place)?;
        }
        Some(self.woken(!gets_up))
    }

    /// Sleep though the queue is not empty: others are awake.
    fn fall_asleep_behind_others(&self, place: &Place) -> Option<Woken> {
        self.roster.lie_down(place)?;
        fence(Ordering::SeqCst);
        // The others may lie down for the same reason: the last one stays.
        let stays = self.awake() == 0 && !self.receiver.is_empty() && self.roster.get_up(place);
        if !stays {
            self.roster.sleep(place)?;
        }
        Some(self.woken(!stays))
    }

    /// A thread has ended without asking for the next job: by a defect.
    pub(super) fn lose(self: &Arc<Self>, place: &Place) {
        self.roster.lose(place);
        // What waits must not wait for the next push.
        self.notify();
    }

    /// Whether anyio's limiter lets another call through.
    pub(crate) fn has_token(&self, py: Python<'_>) -> PyResult<bool> {
        self.setup.tokens.has_free(py)
    }

    /// Follow anyio's limiter.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.roster.set_limit(limit);
    }

    /// Answer everything that threads drive, or would drive, in the application's place; how much there was.
    pub(crate) fn abandon(&self, py: Python<'_>, loop_thread: &Arc<LoopThread>) -> PyResult<usize> {
        let queued: Vec<Job> = std::iter::from_fn(|| self.try_next()).collect();
        let mut count = 0;
        for job in queued {
            if let Work::Exchange(arrival) = job.work {
                loop_thread.refuse(py, arrival)?;
                count += 1;
            }
        }
        for place in self.roster.places() {
            let Some(current) = place.take() else { continue };
            let text =
                intern!(py, "cannot cancel %s: it still runs, and its endpoint thread is left to itself");
            match current {
                Current::Exchange(exchange, endpoint) => {
                    loop_thread.logs().error(py, (text, endpoint.name()))?;
                    exchange.get().abandon(py)?;
                    count += 1;
                }
                // Whoever waits for it is a task, and counted there.
                Current::Function(function) => {
                    loop_thread.logs().error(py, (text, name_of(function.bind(py))?))?;
                }
            }
        }
        Ok(count)
    }

    /// What is known of a function, by an address that stands for it.
    pub(crate) fn call_stats(&self, key: usize) -> Arc<CallStats> {
        self.functions.stats(key)
    }

    pub(crate) fn figures(&self) -> Figures {
        let threads = self.roster.threads();
        Figures {
            threads,
            busy: self.awake().min(threads),
            limit: self.roster.limit(),
            queued: self.receiver.len(),
            jobs: self.taken.load(Ordering::Relaxed),
            waited: Duration::from_nanos(self.waited.load(Ordering::Relaxed)),
        }
    }

    /// Have every thread leave that is asleep, and the others when their job is done. Called detached; waits for the
    /// sleepers. A thread whose job does not end is left behind: nothing can end it.
    pub(crate) fn stop(&self) {
        self.watch.stop();
        let sleepers = self.roster.stop();
        self.setup.wait_until_gone(sleepers, LEAVE);
    }
}
