//! A descriptor that becomes readable when the loop is to be woken.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// An eventfd on Linux; elsewhere a pipe.
pub(crate) struct WakeEvent {
    reader: OwnedFd,
    /// `None` where the reader is also what is written to.
    writer: Option<OwnedFd>,
}

impl WakeEvent {
    #[cfg(target_os = "linux")]
    pub(crate) fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        Ok(Self { reader: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?, writer: None })
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&reader, true)?;
        rustix::io::ioctl_fionbio(&writer, true)?;
        Ok(Self { reader: reader.into(), writer: Some(writer.into()) })
    }

    /// The descriptor to watch.
    pub(crate) fn fd(&self) -> RawFd {
        self.reader.as_raw_fd()
    }

    /// Make the descriptor readable.
    pub(crate) fn set(&self) {
        // It can only fail when something unread is there already, and then the loop is woken anyway.
        let _ = rustix::io::write(self.writer.as_ref().unwrap_or(&self.reader), &1_u64.to_ne_bytes());
    }

    /// Make it unreadable again.
    pub(crate) fn clear(&self) {
        let mut counter = [0; 8];
        let _ = rustix::io::read(&self.reader, &mut counter);
    }
}

impl AsFd for WakeEvent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
