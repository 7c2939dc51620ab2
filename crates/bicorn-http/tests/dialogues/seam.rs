//! Both halves of an exchange, and who was woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use bicorn_http::http1::{Limits, head};
use bicorn_http::{Action, Command, Exchange, ExchangeControl, ExchangeId, Mailbox, RequestHead};

/// Counts how often it was woken.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Counter {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A waker and its count.
pub(crate) fn counting_waker() -> (Waker, Arc<Counter>) {
    let counter = Arc::new(Counter::default());
    (Waker::from(Arc::clone(&counter)), counter)
}

pub(crate) const ID: ExchangeId = ExchangeId { connection: 3, serial: 7 };

/// The head of a request with these field lines.
pub(crate) fn request_head(lines: &str) -> RequestHead {
    let text = format!("POST / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
    let parsed = head::parse(text.as_bytes(), Limits::default());
    parsed.expect("the head is good").expect("the head is complete").head
}

/// An exchange, its other half, and the mailbox of its I/O thread.
pub(crate) struct Seam {
    pub(crate) exchange: Exchange,
    pub(crate) control: ExchangeControl,
    pub(crate) mailbox: Arc<Mailbox>,
    /// How often the I/O thread was woken.
    pub(crate) io_thread: Arc<Counter>,
}

impl Seam {
    pub(crate) fn new() -> Self {
        Self::with(ID, "")
    }

    pub(crate) fn with(id: ExchangeId, lines: &str) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let (waker, io_thread) = counting_waker();
        mailbox.set_waker(&waker);
        let (exchange, control) = Exchange::new(request_head(lines), id, Arc::clone(&mailbox));
        Self { exchange, control, mailbox, io_thread }
    }

    /// What the application has asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let mut commands = Vec::new();
        self.mailbox.take(&mut commands);
        commands.into_iter().map(Asked::from).collect()
    }
}

/// A command in a form that can be compared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Continue,
    Resume,
    /// The status.
    Interim(u16),
    /// The status if there is a head, the pieces of content, and whether it is the last part.
    Respond(Option<u16>, Vec<Vec<u8>>, bool),
    Close,
}

impl From<Command> for Asked {
    fn from(command: Command) -> Self {
        match command.action {
            Action::Continue => Self::Continue,
            Action::Resume => Self::Resume,
            Action::Interim(head) => Self::Interim(head.status()),
            Action::Respond(part) => {
                let status = part.head.map(|head| head.status());
                Self::Respond(status, part.body.pieces().map(<[u8]>::to_vec).collect(), part.last)
            }
            Action::Close => Self::Close,
            action @ (Action::Accept(_) | Action::Message(_) | Action::CloseFrame { .. }) => {
                panic!("no request asks for {action:?}")
            }
        }
    }
}
