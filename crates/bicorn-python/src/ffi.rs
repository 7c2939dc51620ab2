//! Every `unsafe` of the project.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

#[cfg(target_os = "linux")]
use rustix::ioctl::{Getter, ioctl};

/// Duplicate a descriptor that Python owns.
///
/// # Errors
/// The descriptor is not open, or none is free.
pub(crate) fn duplicate(fd: RawFd) -> io::Result<File> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(9));
    }
    // SAFETY: `fd` is not -1, and it is borrowed for the duration of one `dup` call only, which fails with
    // EBADF if Python has closed it.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let owned: OwnedFd = borrowed.try_clone_to_owned()?;
    Ok(File::from(owned))
}

/// Bytes that were written to a socket and that the peer has not acknowledged (`SIOCOUTQ`).
#[cfg(target_os = "linux")]
pub(crate) fn unsent_bytes(socket: BorrowedFd<'_>) -> Option<usize> {
    /// `SIOCOUTQ`, which is `TIOCOUTQ` on every Linux.
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: SIOCOUTQ writes one int and reads nothing (tcp(7), unix(7)); `Getter` gives it room for one.
    let queued = unsafe { ioctl(socket, Getter::<SIOCOUTQ, i32>::new()) };
    queued.ok().and_then(|queued| usize::try_from(queued).ok())
}

/// Elsewhere it cannot be told.
#[cfg(not(target_os = "linux"))]
pub(crate) fn unsent_bytes(_socket: BorrowedFd<'_>) -> Option<usize> {
    None
}
