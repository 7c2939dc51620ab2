//! The management listener: whether the service lives, whether it is ready, and what it does, for whoever operates it.
//!
//! ```text
//!   probe, Prometheus ──▶ its own sockets ──▶ thread `bicorn-admin`: hyper ──▶ board
//! ```
//! It shares nothing with the service but the board, so that it answers while the loop, the I/O threads or the start-up
//! of the application are blocked: another thread, another runtime, another HTTP engine. It is never reached through the
//! application's listeners. Whoever reaches it may read everything; it changes nothing.

mod answers;
mod carrier;
mod exposition;
mod metrics;
mod patience;
mod table;

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::oneshot;

use crate::board::Board;
use crate::listener::{Listener, is_exhaustion};
use crate::stream::Stream;
use carrier::Carrier;
use patience::Patience;
use table::Table;

/// What hyper may hold of a request head, and of an answer before it is written (the least that it allows).
const BUFFER_BYTES: usize = 8 * 1024;

/// Wait after accepting failed for want of descriptors, as on the service's own listeners.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running management listener. Dropping it closes it.
pub struct Admin {
    /// The thread ends when this is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Answer on bound, listening sockets. From now on the servers that start with this board measure what they do.
    ///
    /// # Errors
    /// A socket cannot be registered, or the thread cannot be started.
    pub fn start(board: Board, sockets: Vec<OwnedFd>) -> io::Result<Self> {
        board.measure();
        let (stop, stopped) = oneshot::channel();
        let (started, has_started) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("bicorn-admin".to_owned()).spawn(move || {
            if let Err(error) = run(&board, sockets, stopped, &started) {
                let _ = started.send(Err(error));
            }
        })?;
        let admin = Self { stop: Some(stop), thread: Some(thread) };
        // A thread that ends without a word has panicked on its way up.
        has_started.recv().unwrap_or_else(|_| Err(io::Error::other("the admin thread did not start")))?;
        Ok(admin)
    }

    /// Close listeners and connections, and wait for the thread: it never waits for anything itself.
    pub fn close(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Admin").field("is_closed", &self.thread.is_none()).finish_non_exhaustive()
    }
}

fn run(
    board: &Board,
    sockets: Vec<OwnedFd>,
    stopped: oneshot::Receiver<()>,
    started: &mpsc::SyncSender<io::Result<()>>,
) -> io::Result<()> {
    let runtime =
        Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let table = Rc::new(Table::default());
        for socket in sockets {
            let listener = Listener::register(socket)?;
            tokio::task::spawn_local(accept(listener, board.clone(), Rc::clone(&table)));
        }
        let _ = started.send(Ok(()));
        let _ = stopped.await;
        Ok(())
    })
}

async fn accept(listener: Listener, board: Board, table: Rc<Table>) {
    loop {
        match poll_fn(|context| listener.poll_accept(context, || false)).await {
            Ok(Some(stream)) => {
                let patience = Rc::new(Patience::new());
                let task = tokio::task::spawn_local(serve(stream, board.clone(), Rc::clone(&patience)));
                table.insert(patience, task.abort_handle());
            }
            Err(error) if is_exhaustion(&error) => tokio::time::sleep(ACCEPT_PAUSE).await,
            Ok(None) | Err(_) => {}
        }
    }
}

/// Answer on one connection, as long as there is patience with it.
async fn serve(stream: Stream, board: Board, patience: Rc<Patience>) {
    let service = service_fn(|request| {
        patience.answered();
        std::future::ready(Ok::<_, Infallible>(answers::answer(&request, &board)))
    });
    let connection = http1::Builder::new()
        // Deadlines are those of `patience`.
        .header_read_timeout(None)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(Carrier::new(stream, Rc::clone(&patience)), service);
    // An error says what the peer did wrong; there is nobody to tell.
    patience.bound(connection).await;
}
