//! An I/O thread: a tokio runtime of its own, its connections, its mailbox, its deadlines.
//!
//! ```text
//!   accept task ──▶ connection task ─┐
//!                                    ├──▶ Conversation::drive
//!   mailbox task ────────────────────┤      (one at a time: all on this thread)
//!   sweeper task ────────────────────┘
//! ```
//! The mailbox task is not woken for each command. It runs when the thread has nothing else to do, just
//! before it would sleep (tokio's `on_thread_park`), and only a sleeping thread costs a system call to wake.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bicorn_http::{Command, Mailbox};

use crate::acceptor;
use crate::application::{Application, ConnectionInfo, Notice, PeerAddress};
use crate::board::Slot;
use crate::connection::{Conversation, Seed};
use crate::connections::Connections;
use crate::control::{Leaving, Shared};
use crate::deadline::{Clock, NEVER};
use crate::default_fields::DefaultFields;
use crate::listener::Listener;
use crate::meter::Meter;
use crate::settings::Settings;
use crate::stream::Stream;

/// Bytes that one read may bring. One buffer serves all connections of the thread.
const READ_BYTES: usize = 64 * 1024;

/// The application hears of exchanges after this many, if it sleeps, and else when the thread has nothing
/// more to do. Waking it for each would cost more than a request does; see `docs/decisions/0005`.
const NOTIFY_EXCHANGES: usize = 16;

/// The mailbox is emptied after this many polls of connections even if the thread never comes to rest
/// (arbitrary: a batch of usual size).
const BUSY_POLLS: u32 = 64;

/// Connection ids are unique in the process, so that several servers can share an application.
static NEXT_CONNECTION_ID: AtomicU64 = AtomicU64::new(1);

/// A connection id that no other server of the process uses.
pub(crate) fn next_connection_id() -> u64 {
    NEXT_CONNECTION_ID.fetch_add(1, Ordering::Relaxed)
}

/// One I/O thread, as everything that runs on it sees it.
pub(crate) struct Thread<A> {
    application: A,
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    clock: Clock,
    /// There if somebody reads what it writes.
    meter: Option<Rc<Meter>>,
    connections: Connections,
    scratch: RefCell<Box<[u8]>>,
    default_fields: RefCell<DefaultFields>,
    serial: Cell<u64>,
    /// How often connections were polled.
    polls: Cell<u32>,
    /// Exchanges handed over since the application was notified.
    handed_over: Cell<usize>,
    /// Connections whose exchange waits for a place in the hand-off.
    blocked: RefCell<Vec<usize>>,
    /// How the thread ends.
    leaving: Cell<Leaving>,
    /// The tasks that accept, to be told when to stop.
    acceptors: RefCell<Vec<Waker>>,
    /// The task that empties the mailbox.
    mailbox_waker: RefCell<Option<Waker>>,
}

impl<A: Application> Thread<A> {
    pub(crate) fn new(application: A, shared: Arc<Shared>, mailbox: Arc<Mailbox>) -> Rc<Self> {
        let default_fields = DefaultFields::new(shared.settings.date_header, &shared.settings.default_fields);
        let (connections, meter) = (Connections::new(shared.slot.clone()), Meter::new(&shared.slot));
        Rc::new(Self {
            application,
            shared,
            mailbox,
            clock: Clock::new(),
            meter,
            connections,
            scratch: RefCell::new(vec![0; READ_BYTES].into_boxed_slice()),
            default_fields: RefCell::new(default_fields),
            serial: Cell::new(0),
            polls: Cell::new(0),
            handed_over: Cell::new(0),
            blocked: RefCell::default(),
            leaving: Cell::new(Leaving::Not),
            acceptors: RefCell::default(),
            mailbox_waker: RefCell::new(None),
        })
    }

    pub(crate) fn application(&self) -> &A {
        &self.application
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What other workers see of this server.
    pub(crate) fn slot(&self) -> &Slot {
        &self.shared.slot
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn meter(&self) -> Option<&Rc<Meter>> {
        self.meter.as_ref()
    }

    /// Whether connections close behind their exchange.
    pub(crate) fn is_draining(&self) -> bool {
        self.leaving.get() > Leaving::Not
    }

    /// Whether connections that owe nothing close at once.
    pub(crate) fn is_closing_idle(&self) -> bool {
        self.leaving.get() == Leaving::Drains
    }

    /// Note that something was handed over; the application hears of it soon.
    pub(crate) fn count_handed_over(&self) {
        self.handed_over.set(self.handed_over.get() + 1);
        if self.handed_over.get() >= NOTIFY_EXCHANGES {
            self.handed_over.set(0);
            self.application.notify();
        }
    }

    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.set(self.serial.get() + 1);
        self.serial.get()
    }

    pub(crate) fn with_scratch<R>(&self, work: impl FnOnce(&mut [u8]) -> R) -> R {
        work(&mut self.scratch.borrow_mut())
    }

    pub(crate) fn with_default_fields<R>(&self, work: impl FnOnce(&[u8]) -> R) -> R {
        work(self.default_fields.borrow_mut().at(self.clock.now()))
    }

    /// Whether the hand-off has a place; if not, the connection is driven again once it may have.
    pub(crate) fn has_place(&self, key: usize) -> bool {
        let waker = self.mailbox_waker.borrow();
        let waker = waker.as_ref().unwrap_or(Waker::noop());
        if self.application.poll_ready(waker).is_ready() {
            return true;
        }
        self.blocked.borrow_mut().push(key);
        false
    }

    /// Whether listeners are to close. The task of `acceptor` is woken when this changes.
    pub(crate) fn is_stopping(&self, acceptor: &Waker) -> bool {
        let mut acceptors = self.acceptors.borrow_mut();
        if !acceptors.iter().any(|known| known.will_wake(acceptor)) {
            acceptors.push(acceptor.clone());
        }
        self.shared.control.stop_listening.load(Ordering::Acquire)
    }

    /// Note that a listener of this thread is closed.
    pub(crate) fn listener_closed(&self) {
        let listeners = &self.shared.listeners;
        let before = listeners.fetch_update(Ordering::AcqRel, Ordering::Acquire, |open| open.checked_sub(1));
        if before == Ok(1) {
            self.application.notice(Notice::Changed);
        }
    }

    /// Serve a connection on this thread.
    pub(crate) fn adopt(self: &Rc<Self>, stream: Stream) {
        let peer = stream.peer();
        let info = Arc::new(ConnectionInfo {
            id: next_connection_id(),
            peer: peer.map(|address| address.ip()),
            client: peer.map(|address| PeerAddress {
                host: address.ip().to_string(),
                port: u64::from(address.port()),
            }),
            server: stream.server(),
            scheme: if self.settings().tls.is_some() { "https" } else { "http" },
            tls: None,
        });
        let first_serial = self.serial.get() + 1;
        let key = self
            .connections
            .insert(|key| Conversation::new(Seed { key, transport: stream, info, first_serial }, self));
        self.shared.connections.fetch_add(1, Ordering::AcqRel);
        let thread = Rc::clone(self);
        tokio::task::spawn_local(poll_fn(move |context| thread.poll_connection(key, context)));
    }

    fn poll_connection(&self, key: usize, context: &mut Context<'_>) -> Poll<()> {
        let Some(connection) = self.connections.get(key) else { return Poll::Ready(()) };
        self.polls.set(self.polls.get().wrapping_add(1));
        if self.polls.get().is_multiple_of(BUSY_POLLS) {
            // A thread with more to read than it can does not sleep: answers must go out all the same.
            self.application.notify();
            if let Some(waker) = &*self.mailbox_waker.borrow() {
                waker.wake_by_ref();
            }
        }
        self.guard(key, || {
            let mut connection = connection.borrow_mut();
            connection.wake_up(context.waker());
            connection.drive(context, self)
        })
    }

    /// Work on a connection; a panic in it ends it and nothing else.
    fn guard(&self, key: usize, work: impl FnOnce() -> Poll<()>) -> Poll<()> {
        let state = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            self.application.notice(Notice::Defect(text));
            Poll::Ready(())
        });
        if state.is_ready() {
            self.remove(key);
        } else {
            self.connections.recount(key);
        }
        state
    }

    /// Work on a connection from outside its task.
    fn drive_from_outside(&self, key: usize, prepare: impl FnOnce(&mut Conversation) -> bool) {
        let Some(connection) = self.connections.get(key) else { return };
        let Some(waker) = connection.borrow().waker() else { return };
        let mut context = Context::from_waker(&waker);
        let state = self.guard(key, || {
            let mut connection = connection.borrow_mut();
            if prepare(&mut connection) { connection.drive(&mut context, self) } else { Poll::Ready(()) }
        });
        if state.is_ready() {
            // The task finds its slot empty and ends.
            waker.wake();
        }
    }

    fn remove(&self, key: usize) {
        let Some(connection) = self.connections.remove(key) else { return };
        connection.borrow_mut().abandon();
        let is_last = self.shared.connections.fetch_sub(1, Ordering::AcqRel) == 1;
        if is_last && self.shared.control.leaving() > Leaving::Not {
            self.application.notice(Notice::Changed);
        }
    }

    /// Carry out the commands in the mailbox, and whatever waits for a place in the hand-off.
    fn empty_mailbox(&self, commands: &mut Vec<Command>) {
        self.mailbox.take(commands);
        let mut commands = commands.drain(..).peekable();
        while let Some(Command { exchange, action }) = commands.next() {
            self.drive_from_outside(exchange.connection, |connection| {
                connection.command(exchange, action, self);
                // Several commands for one connection in a row need one write.
                while let Some(next) =
                    commands.next_if(|next| next.exchange.connection == exchange.connection)
                {
                    connection.command(next.exchange, next.action, self);
                }
                true
            });
        }
        drop(commands);
        let blocked = std::mem::take(&mut *self.blocked.borrow_mut());
        for key in blocked {
            self.drive_from_outside(key, |_| true);
        }
    }

    /// End connections whose deadline has passed, and find the next deadline.
    fn sweep(&self) {
        let now = self.clock.now();
        for key in self.connections.keys() {
            let is_due =
                self.connections.get(key).is_some_and(|connection| connection.borrow().deadline() <= now);
            if is_due {
                self.drive_from_outside(key, |connection| connection.expire(self));
            }
        }
        self.clock.plan(now, self.connections.earliest_deadline().unwrap_or(NEVER));
    }

    fn close_all(&self) {
        self.shared.listeners.store(0, Ordering::Release);
        for key in self.connections.keys() {
            self.remove(key);
        }
    }
}

/// Run an I/O thread until it is told to close.
pub(crate) async fn run<A: Application>(thread: Rc<Thread<A>>, listeners: Vec<Listener>) {
    for listener in listeners {
        tokio::task::spawn_local(acceptor::accept(Rc::clone(&thread), listener));
    }
    tokio::task::spawn_local(sweep(Rc::clone(&thread)));
    let mut commands = Vec::new();
    let work = poll_fn(|context| {
        thread.mailbox.set_waker(context.waker());
        thread.mailbox_waker.borrow_mut().get_or_insert_with(|| context.waker().clone());
        let control = &thread.shared.control;
        if control.close.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        if control.stop_listening.load(Ordering::Acquire) {
            thread.acceptors.borrow_mut().drain(..).for_each(Waker::wake);
        }
        let leaving = control.leaving();
        if leaving > thread.leaving.replace(leaving) {
            tokio::task::spawn_local(drain(Rc::clone(&thread)));
        }
        thread.empty_mailbox(&mut commands);
        Poll::Pending
    });
    // The budget that keeps tokio's tasks fair is for tasks that wait on one socket, not for one that
    // serves them all.
    tokio::task::coop::unconstrained(work).await;
    thread.close_all();
}

/// Close idle connections, after a last look at what has already arrived for them.
async fn drain<A: Application>(thread: Rc<Thread<A>>) {
    // Yielding lets the runtime collect the sockets' readiness first.
    tokio::task::yield_now().await;
    for key in thread.connections.keys() {
        thread.drive_from_outside(key, |_| true);
    }
}

async fn sweep<A: Application>(thread: Rc<Thread<A>>) {
    let mut sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
    let mut at = None;
    poll_fn(|context| {
        loop {
            let next = thread.clock.next_sweep(context.waker());
            let Some(instant) = next else {
                at = None;
                return Poll::<()>::Pending;
            };
            if at != next {
                at = next;
                sleep.as_mut().reset(instant.into());
            }
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            at = None;
            thread.sweep();
        }
    })
    .await;
}
