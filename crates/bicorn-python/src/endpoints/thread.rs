//! One endpoint thread from its first job to its last.
//!
//! Attached while it works, detached while it sleeps. Between two jobs it hands the interpreter to the loop thread if
//! that waits for it, and it tells the I/O threads of several quick answers at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bicorn_server::Notice;
use pyo3::prelude::*;

use super::driver;
use super::job::{Job, Work};
use super::lane::Current;
use super::pool::{EndpointThreads, Woken};
use super::roster::Place;
use super::stats::LONG;
use super::tokens::Tokens;
use crate::asgi::scope::ScopeBuilder;
use crate::handoff::lock;
use crate::loop_thread::LoopThread;

/// Quick answers that may wait for each other before the I/O threads hear of them; the loop thread has the same bound.
const NOTIFY_JOBS: u32 = 8;
/// How long the loop thread waits for the interpreter before it is handed over between two jobs. Shorter hands it over
/// for each single completion.
const LOOP_WAITS: Duration = Duration::from_micros(200);
/// How long a thread stands back for the loop thread at most.
const STAND_BACK: Duration = Duration::from_millis(2);

/// What every endpoint thread of a server works with.
pub(crate) struct Setup {
    pub(crate) loop_thread: Arc<LoopThread>,
    /// What each exchange's context is a copy of.
    pub(crate) context: Py<PyAny>,
    /// Called once in each thread: makes it one of anyio's. What it returns is kept until the thread ends.
    pub(crate) enter: Py<PyAny>,
    /// anyio's default limiter, and its thread-locals.
    pub(crate) tokens: Tokens,
    pub(crate) locals: Py<PyAny>,
    /// Threads that have ended.
    pub(crate) gone: Gone,
}

/// Counts the threads that have ended.
#[derive(Default)]
pub(crate) struct Gone {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Setup {
    /// Let the loop do what no thread is there for.
    pub(super) fn give_back(&self, job: Job) {
        if let Work::Exchange(arrival) = job.work {
            self.loop_thread.handoff().turn_back(arrival);
            self.loop_thread.handoff().notify();
        }
        // A call stays where it is waited for until its task is cancelled; this happens when no thread can be made.
    }

    /// Wait until so many more threads have ended, or the time is over.
    pub(super) fn wait_until_gone(&self, count: usize, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut gone = lock(&self.gone.count);
        while *gone < count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            (gone, _) = self.gone.changed.wait_timeout(gone, left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn count_gone(&self) {
        *lock(&self.gone.count) += 1;
        self.gone.changed.notify_all();
    }
}

/// Start a thread.
///
/// # Errors
/// The system has no thread to give.
pub(super) fn spawn(pool: Arc<EndpointThreads>, setup: Arc<Setup>, place: Arc<Place>) -> std::io::Result<()> {
    let named = std::thread::Builder::new().name("bicorn-endpoint".to_owned());
    named.spawn(move || {
        let born = pool.woken(true);
        attached(|py| {
            let ended = catch_unwind(AssertUnwindSafe(|| run(py, &pool, &setup, &place, born)));
            if !matches!(ended, Ok(true)) {
                pool.lose(&place);
            }
            // Python objects are dropped here, attached.
            drop((pool, place));
            setup.count_gone();
            drop(setup);
        });
    })?;
    Ok(())
}

/// Attach for the whole life of the thread.
#[expect(clippy::disallowed_methods, reason = "endpoint threads are the other threads that are Python's")]
fn attached(work: impl FnOnce(Python<'_>)) {
    Python::attach(work);
}

/// The state of one thread.
pub(super) struct EndpointThread {
    pub(super) setup: Arc<Setup>,
    /// What stands for this thread among the limiter's borrowers.
    pub(super) token: Py<PyAny>,
    /// Its own: the loop thread's must not be waited for while attached.
    pub(super) scopes: ScopeBuilder,
    /// Something was queued for the loop thread.
    pub(super) has_news_for_loop: bool,
    /// Jobs done since the I/O threads were told.
    untold: u32,
    /// The last job waited for its turn at the interpreter, and for nothing else.
    is_contended: bool,
}

/// Work until there is nothing to do; true if the pool knows that the thread leaves.
fn run(
    py: Python<'_>,
    pool: &Arc<EndpointThreads>,
    setup: &Arc<Setup>,
    place: &Arc<Place>,
    born: Woken,
) -> bool {
    driver::enter();
    if pool.arrive(py, place, born).is_none() {
        return true;
    }
    let made =
        setup.enter.bind(py).call0().and_then(|entered| Ok((entered, setup.loop_thread.new_scopes(py)?)));
    let (entered, scopes) = match made {
        Ok(made) => made,
        Err(error) => {
            setup.loop_thread.handoff().notice(Notice::Defect(format!("endpoint thread: {error}")));
            return false;
        }
    };
    let mut thread = EndpointThread {
        setup: Arc::clone(setup),
        token: entered.unbind(),
        scopes,
        has_news_for_loop: false,
        untold: 0,
        is_contended: false,
    };
    while let Some(job) = thread.next(py, pool, place) {
        thread.perform(py, pool, place, job);
        thread.stand_back(py, pool);
    }
    true
}

impl EndpointThread {
    /// The next job. What was done before is told first, unless the next one is quick.
    fn next(&mut self, py: Python<'_>, pool: &Arc<EndpointThreads>, place: &Place) -> Option<Job> {
        if self.is_contended && pool.has_enough_awake() {
            // One thread less that wants the interpreter: the others get on sooner.
            self.is_contended = false;
            self.tell();
            return pool.next_behind_others(py, place);
        }
        if let Some(job) = pool.try_next() {
            if job.stats.may_be_long() || self.untold >= NOTIFY_JOBS {
                self.tell();
            }
            return Some(job);
        }
        self.tell();
        if let Ok(total) = self.setup.tokens.total(py) {
            pool.set_limit(total);
        }
        pool.next(py, place)
    }

    fn perform(&mut self, py: Python<'_>, pool: &EndpointThreads, place: &Place, job: Job) {
        let Job { work, stats, .. } = job;
        let begun = Instant::now();
        let cpu = stats.may_be_long().then(cpu_time);
        let done = catch_unwind(AssertUnwindSafe(|| match work {
            Work::Exchange(arrival) => self.drive(py, place, arrival, &stats),
            Work::Call(call) => {
                place.set(Some(Current::Function(call.function.clone_ref(py))));
                self.setup.tokens.add(self.token.bind(py))?;
                let finished = call.run(py, &self.setup.locals);
                self.setup.tokens.discard(self.token.bind(py), self.setup.loop_thread.handoff())?;
                place.set(None);
                self.setup.loop_thread.handoff().finish(finished);
                self.has_news_for_loop = true;
                Ok(())
            }
        }));
        self.untold += 1;
        let flushed = driver::flush(py);
        match done.map(|done| done.and(flushed)) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.setup.loop_thread.handoff().notice(Notice::Defect(format!("endpoint thread: {error}")));
            }
            Err(_) => self.recover(py, place),
        }
        let took = begun.elapsed();
        let used = cpu.map_or(took, |before| cpu_time().saturating_sub(before));
        let awake = u32::try_from(pool.awake().max(1)).unwrap_or(u32::MAX);
        // Whoever shares the interpreter with others takes as many times longer as there are others, and somewhat more.
        stats.add(took, took >= LONG && took / (2 * awake) > used);
        self.is_contended = !stats.blocks() && took >= LONG && took / 2 > used;
    }

    /// A panic ends one exchange, not the thread.
    fn recover(&self, py: Python<'_>, place: &Place) {
        driver::set_driving(false);
        let defect = Notice::Defect("an endpoint thread panicked".to_owned());
        self.setup.loop_thread.handoff().notice(defect);
        if let Some(Current::Exchange(exchange, _)) = place.take() {
            let error = pyo3::exceptions::PyRuntimeError::new_err("an endpoint thread panicked");
            let _ = exchange.get().fail(py, &error);
        }
    }

    /// Wake everybody who has something to do since the last time.
    fn tell(&mut self) {
        self.untold = 0;
        self.setup.loop_thread.logs().flush();
        driver::notify();
        if std::mem::take(&mut self.has_news_for_loop) {
            self.setup.loop_thread.handoff().notify();
        }
    }

    /// Between two jobs: let the loop thread have the interpreter if it waits for it.
    fn stand_back(&self, py: Python<'_>, pool: &EndpointThreads) {
        let handoff = self.setup.loop_thread.handoff();
        if !handoff.is_waiting(LOOP_WAITS) {
            return;
        }
        driver::notify();
        pool.pause(py, || handoff.wait_until_begun(STAND_BACK));
    }
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}
