//! Bytes and files that wait for the socket.
//!
//! A file stands in the queue as a range; whoever writes asks [`Output::file`] whether one is next and moves its
//! bytes by his own means. Nothing here reads it.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use crate::body::FILE_BYTES;
use crate::file::FileRange;

/// Segments that one vectored write may take (Linux allows 1,024; 16 keep the array on the stack).
pub const WRITE_SEGMENTS: usize = 16;

/// A queue of bytes to write: small ones contiguous, large ones borrowed, files as ranges.
#[derive(Debug, Default)]
pub struct Output {
    /// Written up to `front_offset`; the last one grows while it is `Owned`.
    segments: VecDeque<Segment>,
    /// How much of the first segment is written; 0 for a file, whose range says it.
    front_offset: usize,
    /// Sum of all segments in memory less `front_offset`.
    remaining: usize,
    /// Segments that are files.
    files: usize,
    /// An emptied buffer, kept for the next answer while the connection is busy.
    spare: Vec<u8>,
}

/// Never empty.
#[derive(Debug)]
enum Segment {
    Owned(Vec<u8>),
    Shared(Bytes),
    File(FileRange),
}

impl Segment {
    /// The bytes of a segment in memory.
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Shared(bytes) => bytes,
            Self::File(_) => &[],
        }
    }

    fn is_file(&self) -> bool {
        matches!(self, Self::File(_))
    }
}

/// A segment of this length is not made to grow: growing doubles it, and the unused half is memory too.
const SEGMENT_BYTES: usize = 32 * 1024;

/// Room for a response head in front of reserved content (arbitrary: a usual one).
const USUAL_HEAD_BYTES: usize = 512;

/// A spare buffer above this is given back to the allocator (arbitrary: a usual response head and body).
const SPARE_BYTES: usize = 4 * 1024;

impl Output {
    /// Bytes in memory that are not written yet.
    pub fn len(&self) -> usize {
        self.remaining
    }

    /// Whether everything is written, files included.
    pub fn is_empty(&self) -> bool {
        self.remaining == 0 && self.files == 0
    }

    /// What is not written yet, in the measure of [`ResponseBody::cost`](crate::ResponseBody::cost).
    pub fn held(&self) -> usize {
        self.remaining + self.files * FILE_BYTES
    }

    /// Copy bytes behind what is queued.
    pub fn extend(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.remaining += bytes.len();
        if let Some(Segment::Owned(last)) = self.segments.back_mut()
            && (last.len() < SEGMENT_BYTES || last.capacity() - last.len() >= bytes.len())
        {
            last.extend_from_slice(bytes);
            return;
        }
        let mut owned = std::mem::take(&mut self.spare);
        owned.extend_from_slice(bytes);
        self.segments.push_back(Segment::Owned(owned));
    }

    /// Make room for bytes that will be copied, if there are many and nothing is queued.
    pub fn reserve(&mut self, bytes: usize) {
        if self.segments.is_empty() && bytes > SPARE_BYTES {
            self.spare.reserve_exact(bytes.min(SEGMENT_BYTES) + USUAL_HEAD_BYTES);
        }
    }

    /// Queue bytes without a copy.
    pub fn share(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.remaining += bytes.len();
            self.segments.push_back(Segment::Shared(bytes));
        }
    }

    /// Queue a part of a file.
    pub fn send_file(&mut self, range: FileRange) {
        if !range.is_empty() {
            self.files += 1;
            self.segments.push_back(Segment::File(range));
        }
    }

    /// What of a file is to be written before anything else.
    pub fn file(&self) -> Option<&FileRange> {
        match self.segments.front() {
            Some(Segment::File(range)) => Some(range),
            _ => None,
        }
    }

    /// Note that the first bytes of [`Output::file`] are on their way.
    pub fn advance_file(&mut self, written: u64) {
        if let Some(Segment::File(range)) = self.segments.front_mut() {
            range.advance(written);
            if range.is_empty() {
                self.files -= 1;
                self.segments.pop_front();
            }
        }
    }

    /// The first unwritten bytes; empty when there are none, or when a file comes first.
    pub fn front(&self) -> &[u8] {
        self.segments.front().map_or(&[], |segment| &segment.as_slice()[self.front_offset..])
    }

    /// Whether one plain write can take everything, or everything in front of the first file.
    pub fn is_contiguous(&self) -> bool {
        self.segments.get(1).is_none_or(Segment::is_file)
    }

    /// Whether a file follows [`Output::front`] immediately.
    pub fn leads_to_file(&self) -> bool {
        self.segments.get(1).is_some_and(Segment::is_file)
    }

    /// Fill `slices` with the first segments, up to a file, and return how many there are.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; WRITE_SEGMENTS]) -> usize {
        let mut count = 0;
        let in_memory = self.segments.iter().take_while(|segment| !segment.is_file());
        for (slot, segment) in slices.iter_mut().zip(in_memory) {
            let skip = if count == 0 { self.front_offset } else { 0 };
            *slot = IoSlice::new(&segment.as_slice()[skip..]);
            count += 1;
        }
        count
    }

    /// Note that the first `written` bytes are on their way; there must be so many in front of the first file.
    pub fn advance(&mut self, written: usize) {
        self.remaining -= written;
        self.front_offset += written;
        while let Some(front) = self.segments.front().filter(|segment| !segment.is_file()) {
            let length = front.as_slice().len();
            if self.front_offset < length {
                break;
            }
            self.front_offset -= length;
            if let Some(Segment::Owned(mut buffer)) = self.segments.pop_front()
                && buffer.capacity() <= SPARE_BYTES
            {
                buffer.clear();
                self.spare = buffer;
            }
        }
    }

    /// Take up to `limit` of the first bytes, without a copy where they are borrowed and many; empty when a file comes
    /// first.
    pub fn take(&mut self, limit: usize) -> Bytes {
        let start = self.front_offset;
        let bytes = match self.segments.front() {
            Some(Segment::Shared(bytes)) if bytes.len() - start >= limit || self.is_contiguous() => {
                bytes.slice(start..bytes.len().min(start.saturating_add(limit)))
            }
            _ => self.copy_front(limit),
        };
        self.advance(bytes.len());
        bytes
    }

    /// The first bytes of as many segments as it takes.
    fn copy_front(&self, limit: usize) -> Bytes {
        let mut slices = [IoSlice::new(&[]); WRITE_SEGMENTS];
        let count = self.slices(&mut slices);
        let length = slices[..count].iter().map(|slice| slice.len()).sum::<usize>().min(limit);
        let mut bytes = Vec::with_capacity(length);
        for slice in &slices[..count] {
            bytes.extend_from_slice(&slice[..slice.len().min(length - bytes.len())]);
        }
        bytes.into()
    }

    /// Throw away what is not written, and every buffer.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Give back the memory kept for the next answer: for a connection that goes idle.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_across_partial_writes() {
        let mut output = Output::default();
        output.extend(b"head");
        output.share(Bytes::from_static(b"large"));
        output.extend(b"tail");
        let mut written = Vec::new();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_SEGMENTS];
            let count = output.slices(&mut slices);
            let all: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
            let take = all.len().min(3);
            written.extend_from_slice(&all[..take]);
            output.advance(take);
        }
        assert_eq!(written, b"headlargetail");
        assert!(output.front().is_empty());
    }

    #[test]
    fn what_is_taken_is_what_was_queued() {
        for limit in [1, 2, 3, 5, 7, 100] {
            let mut output = Output::default();
            output.extend(b"ab");
            output.share(Bytes::from_static(b"cdefgh"));
            output.extend(b"i");
            let mut taken = Vec::new();
            while !output.is_empty() {
                let bytes = output.take(limit);
                assert!((1..=limit).contains(&bytes.len()), "{limit}: {bytes:?}");
                taken.extend_from_slice(&bytes);
            }
            assert_eq!(taken, b"abcdefghi", "{limit}");
        }
    }

    #[test]
    fn borrowed_bytes_are_taken_without_a_copy() {
        let shared = Bytes::from(vec![7; 100]);
        let mut output = Output::default();
        output.extend(b"head");
        output.share(shared.clone());
        assert_eq!(output.take(50).len(), 50);
        assert_eq!(output.take(50).as_ptr(), shared[46..].as_ptr());
    }

    #[test]
    fn a_file_is_next_once_everything_before_it_is_written() {
        let file = std::sync::Arc::new(std::fs::File::open("/dev/null").unwrap());
        let mut output = Output::default();
        output.extend(b"head");
        output.send_file(FileRange { file, offset: 3, length: 5 });
        output.extend(b"");
        output.extend(b"tail");
        assert!(output.leads_to_file() && output.is_contiguous() && output.file().is_none());
        let mut slices = [IoSlice::new(&[]); WRITE_SEGMENTS];
        assert_eq!(output.slices(&mut slices), 1);
        assert_eq!((output.len(), output.held()), (8, 8 + FILE_BYTES));
        output.advance(4);
        assert!(output.front().is_empty());
        output.advance_file(2);
        assert_eq!(output.file().map(|range| (range.offset, range.length)), Some((5, 3)));
        output.advance_file(3);
        assert_eq!(output.front(), b"tail");
        output.advance(4);
        assert!(output.is_empty() && output.held() == 0);
    }
}
