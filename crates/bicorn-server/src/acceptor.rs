//! The task that accepts from one listener.

use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::application::{Application, Notice};
use crate::gate;
use crate::io_thread::Thread;
use crate::listener::{Listener, is_exhaustion};
use crate::stream::Stream;

/// Wait after accepting failed for want of descriptors (arbitrary: ten tries a second cost nothing and
/// recover well within a second).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Failing to accept is reported this often: a line a second says enough.
const ACCEPT_NOTICE_INTERVAL: Duration = Duration::from_secs(1);

/// What became of a look at the listener.
enum Turn {
    Accepted(io::Result<Stream>),
    /// The connection that waits is left to other workers.
    Left,
    /// Listening is to stop, and no connection waits.
    Stopped,
}

/// Accept until listening is to stop, then whatever the kernel has completed, then close the listener.
pub(crate) async fn accept<A: Application>(thread: Rc<Thread<A>>, listener: Listener) {
    let mut last_notice: Option<Instant> = None;
    let mut has_looked_again = false;
    let mut pauses = 0;
    loop {
        let accepted = poll_fn(|context| {
            let is_stopping = thread.is_stopping(context.waker());
            let accepted =
                listener.poll_accept(context, || !is_stopping && gate::is_shut(thread.slot(), pauses));
            // Stopping takes effect once the kernel's queue is empty, so that no completed connection is lost.
            if accepted.is_pending() && is_stopping {
                return Poll::Ready(Turn::Stopped);
            }
            accepted.map(|accepted| accepted.transpose().map_or(Turn::Left, Turn::Accepted))
        })
        .await;
        match accepted {
            Turn::Left => {
                pauses += 1;
                tokio::time::sleep(gate::PAUSE).await;
                continue;
            }
            Turn::Stopped if has_looked_again => break,
            Turn::Stopped => {
                // The kernel may have completed connections that the runtime has not heard of: yielding lets
                // it listen first.
                has_looked_again = true;
                tokio::task::yield_now().await;
            }
            Turn::Accepted(Ok(stream)) => {
                has_looked_again = false;
                thread.adopt(stream);
            }
            Turn::Accepted(Err(error)) if is_exhaustion(&error) => {
                if last_notice.is_none_or(|last| last.elapsed() >= ACCEPT_NOTICE_INTERVAL) {
                    last_notice = Some(Instant::now());
                    thread.application().notice(Notice::AcceptFailed(error.to_string()));
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Turn::Accepted(Err(_)) => {}
        }
        pauses = 0;
    }
    drop(listener);
    thread.listener_closed();
}
