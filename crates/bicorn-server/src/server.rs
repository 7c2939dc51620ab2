//! The server as its owner sees it: start, stop listening, drain, close.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use bicorn_http::Mailbox;
use tokio::runtime::{Builder, LocalOptions};

use crate::application::Application;
use crate::board::Slot;
use crate::control::{Control, Shared};
use crate::io_thread::{self, Thread};
use crate::listener::{Listener, duplicate};
use crate::settings::Settings;

/// A running server. Dropping it closes it.
pub struct Server {
    shared: Arc<Shared>,
    threads: Vec<IoThread>,
}

struct IoThread {
    mailbox: Arc<Mailbox>,
    handle: Option<JoinHandle<()>>,
}

impl Server {
    /// Serve bound, listening sockets. Every I/O thread accepts from each of them. Others see the server in `slot`, which
    /// is its own.
    ///
    /// # Errors
    /// A socket cannot be duplicated or registered, or a thread cannot be started.
    pub fn start<A: Application>(
        application: &A,
        settings: Settings,
        slot: Slot,
        sockets: Vec<OwnedFd>,
    ) -> io::Result<Self> {
        let io_threads = settings.io_threads.max(1);
        let shared = Arc::new(Shared {
            listeners: AtomicUsize::new(sockets.len() * io_threads),
            settings,
            slot,
            control: Control::default(),
            connections: AtomicUsize::new(0),
        });
        let mut server = Self { shared, threads: Vec::with_capacity(io_threads) };
        for index in 1..io_threads {
            let copies = sockets.iter().map(duplicate).collect::<io::Result<_>>()?;
            server.spawn(index, application.clone(), copies)?;
        }
        server.spawn(0, application.clone(), sockets)?;
        Ok(server)
    }

    fn spawn<A: Application>(
        &mut self,
        index: usize,
        application: A,
        sockets: Vec<OwnedFd>,
    ) -> io::Result<()> {
        let mailbox = Arc::new(Mailbox::default());
        let (shared, inbox) = (Arc::clone(&self.shared), Arc::clone(&mailbox));
        let (started, has_started) = mpsc::sync_channel(1);
        let handle = thread::Builder::new().name(format!("bicorn-io-{index}")).spawn(move || {
            if let Err(error) = run(application, shared, inbox, sockets, &started) {
                let _ = started.send(Err(error));
            }
        })?;
        self.threads.push(IoThread { mailbox, handle: Some(handle) });
        // A thread that ends without a word has panicked on its way up.
        has_started.recv().unwrap_or_else(|_| Err(io::Error::other("an I/O thread did not start")))
    }

    /// Open connections.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Acquire)
    }

    /// Whether any listener is still open.
    pub fn is_listening(&self) -> bool {
        self.shared.listeners.load(Ordering::Acquire) > 0
    }

    /// Accept what the kernel has completed, then close the listeners; [`Notice::Changed`] tells when.
    ///
    /// [`Notice::Changed`]: crate::Notice::Changed
    pub fn stop_listening(&self) {
        self.tell(&self.shared.control.stop_listening);
    }

    /// Close idle connections, and busy ones after their exchange.
    pub fn drain(&self) {
        self.tell(&self.shared.control.drain);
    }

    /// Close connections after their next exchange: idle ones are kept for it, until their deadline. For a server that
    /// another one has taken the place of; [`Server::drain`] ends what is left of it.
    pub fn retire(&self) {
        self.tell(&self.shared.control.retire);
    }

    /// End every connection and every I/O thread, and wait for the threads: they never wait for anything
    /// themselves.
    pub fn close(&mut self) {
        self.tell(&self.shared.control.close);
        for thread in &mut self.threads {
            if let Some(handle) = thread.handle.take() {
                // A panic outside any connection was reported by the panic hook already.
                let _ = handle.join();
            }
        }
    }

    /// Wake every I/O thread that sleeps: the application queued answers for any of them.
    pub fn notify(&self) {
        for thread in &self.threads {
            thread.mailbox.notify();
        }
    }

    fn tell(&self, what: &AtomicBool) {
        what.store(true, Ordering::Release);
        for thread in &self.threads {
            thread.mailbox.wake();
        }
    }
}

fn run<A: Application>(
    application: A,
    shared: Arc<Shared>,
    mailbox: Arc<Mailbox>,
    sockets: Vec<OwnedFd>,
    started: &mpsc::SyncSender<io::Result<()>>,
) -> io::Result<()> {
    // Weak: the mailbox has the waker, the waker the runtime, and the runtime these.
    let (parking, unparking) = (Arc::downgrade(&mailbox), Arc::downgrade(&mailbox));
    let (sleeping, ending) = (application.clone(), application.clone());
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .on_thread_park(move || {
            sleeping.notify();
            if let Some(mailbox) = parking.upgrade() {
                mailbox.park();
            }
        })
        .on_thread_unpark(move || {
            if let Some(mailbox) = unparking.upgrade() {
                mailbox.unpark();
            }
        })
        .build_local(LocalOptions::default())?;
    let ended = runtime.block_on(async {
        let listeners = sockets.into_iter().map(Listener::register).collect::<io::Result<Vec<_>>>()?;
        let thread = Thread::new(application, shared, mailbox);
        let _ = started.send(Ok(()));
        io_thread::run(thread, listeners).await;
        Ok(())
    });
    // What the last connections left: their applications hear that the peer is gone.
    ending.notify();
    ended
}

impl Drop for Server {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Server")
            .field("io_threads", &self.threads.len())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}
