//! Every `unsafe` of the project.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::AtomicU64;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

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

/// The same for several of them.
///
/// # Errors
/// One of them is not open, or none is free.
pub(crate) fn duplicates(fds: Vec<RawFd>) -> io::Result<Vec<OwnedFd>> {
    fds.into_iter().map(|fd| duplicate(fd).map(OwnedFd::from)).collect()
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

/// Words in memory that several processes share, from a file; unmapped when it is dropped.
#[derive(Debug)]
pub(crate) struct SharedWords {
    start: NonNull<AtomicU64>,
    count: usize,
}

// SAFETY: it stands for nothing but atomic words, which any thread may use, and unmapping is no thread's own.
unsafe impl Send for SharedWords {}
// SAFETY: as above.
unsafe impl Sync for SharedWords {}

impl SharedWords {
    /// Map a file from its start to its end, in whole words.
    ///
    /// # Errors
    /// The file is empty or cannot be mapped.
    pub(crate) fn map(file: impl AsFd) -> io::Result<Self> {
        let bytes = usize::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        let count = bytes / size_of::<AtomicU64>();
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses where, so that no memory in use is replaced.
        let start = unsafe { mmap(null_mut(), count * size_of::<AtomicU64>(), protection, flags, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, count })
    }
}

impl AsRef<[AtomicU64]> for SharedWords {
    fn as_ref(&self) -> &[AtomicU64] {
        // SAFETY: mapped until `drop`, and a mapping begins at a page; every bit pattern is a word. The file stays as
        // long as it was: on Linux it is sealed (`board.rs`), and elsewhere nobody else has its name.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.count) }
    }
}

impl Drop for SharedWords {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` has mapped, and nobody has a reference: those borrow from this.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.count * size_of::<AtomicU64>()) };
    }
}
