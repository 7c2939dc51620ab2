//! Every `unsafe` of the project.

use std::fs::File;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

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
