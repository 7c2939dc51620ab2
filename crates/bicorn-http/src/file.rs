//! A part of a file on its way to the wire.
//!
//! The application's thread opens it and learns its length; from there it is response content like any other
//! ([`ResponseBody::File`](crate::ResponseBody::File)), but nothing of it is read before the socket takes it:
//! by the kernel itself, or piece by piece with [`FileRange::read_at`]. The descriptor's own position is never
//! used, because the application may share it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes of a regular file.
#[derive(Debug, Clone)]
pub struct FileRange {
    /// Open for reading, and closed with the last range of it.
    pub file: Arc<File>,
    /// Where the range begins, in bytes from the start of the file.
    pub offset: u64,
    /// How many bytes it has. The file had them when the range was made, but may have shrunk since.
    pub length: u64,
}

impl FileRange {
    /// Whether nothing is left of it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Read the first bytes of the range, as many as `buffer` has room for.
    ///
    /// Reading blocks for as long as the disk takes, so whoever reads on an I/O thread keeps `buffer` short.
    ///
    /// # Errors
    /// The file cannot be read, or has become shorter than the range ([`io::ErrorKind::UnexpectedEof`]).
    pub fn read_at(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.length).unwrap_or(usize::MAX).min(buffer.len());
        loop {
            match self.file.read_at(&mut buffer[..wanted], self.offset) {
                Ok(0) if wanted > 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Leave out the first bytes: they are on their way.
    pub fn advance(&mut self, bytes: u64) {
        let bytes = bytes.min(self.length);
        self.offset += bytes;
        self.length -= bytes;
    }

    /// Leave out all but the first bytes.
    pub fn truncate(&mut self, bytes: u64) {
        self.length = self.length.min(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This source file, as a range.
    fn this_file(offset: u64, length: u64) -> FileRange {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/file.rs");
        FileRange { file: Arc::new(File::open(path).unwrap()), offset, length }
    }

    #[test]
    fn reading_starts_at_the_offset_and_ends_with_the_range() {
        let mut range = this_file(4, 6);
        let mut buffer = [0; 16];
        assert_eq!(range.read_at(&mut buffer).unwrap(), 6);
        assert_eq!(&buffer[..6], b"A part");
        range.advance(2);
        assert_eq!(range.read_at(&mut buffer[..1]).unwrap(), 1);
        assert_eq!(buffer[0], b'p');
        range.advance(9);
        assert!(range.is_empty());
        assert_eq!(range.read_at(&mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_file_that_became_shorter_is_an_error() {
        let range = this_file(1 << 40, 6);
        assert_eq!(range.read_at(&mut [0; 16]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
