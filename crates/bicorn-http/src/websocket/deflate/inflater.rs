//! DEFLATE → messages (RFC 1951, RFC 7692 §7.2.2), never more than may be kept.
//!
//! zlib-rs does the work. Its state takes 47 KiB whatever the window is, so a connection has one only while a
//! message is incomplete. In between it keeps the history that the next message may refer to, which is as
//! long as the agreed window. To set up a state with 4 KiB of it takes 0.3 µs.

use std::cell::Cell;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::MAX_WINDOW_BITS;
use crate::websocket::{Violation, growth};

/// The receiver's half of permessage-deflate.
pub(in crate::websocket) struct Inflater {
    /// The end of all messages so far: at least a window, if there was as much.
    history: Vec<u8>,
    /// How much history the peer may refer to. 0 if it forgets each message.
    window_bytes: usize,
    /// The message that is not complete.
    stream: Option<Stream>,
}

struct Stream {
    inflate: Inflate,
    /// A final block (BFINAL) has ended, and nothing has followed.
    is_ended: bool,
    /// How many final blocks may follow.
    ends_left: u64,
}

/// Compressed bytes for which a message may have one final block. Each costs as much as a message to go on
/// from; a sender has no use for more than one.
const BYTES_PER_END: u64 = 256;

/// The end of an empty stored block, which a sender leaves out (RFC 7692 §7.2.1); and a final empty block,
/// which stands for nothing where a block may begin.
const TAIL: [u8; 6] = [0x00, 0x00, 0xff, 0xff, 0x03, 0x00];

/// Some versions of zlib use 9 bits where 8 are asked for.
const LEAST_WINDOW_BITS: u8 = 9;

/// History beyond the window that may gather, so that short messages need not move it each time.
const SLACK_BYTES: usize = 4 * 1024;

thread_local! {
    /// The last state that this thread was done with.
    static SPARE: Cell<Option<Inflate>> = const { Cell::new(None) };
}

impl Inflater {
    /// For a peer with a window of `window_bits`, 8 to 15.
    pub(super) fn new(window_bits: u8, keeps_history: bool) -> Self {
        let window_bytes = if keeps_history { 1 << window_bits.max(LEAST_WINDOW_BITS) } else { 0 };
        Self { history: Vec::new(), window_bytes, stream: None }
    }

    /// Take compressed bytes; what they stand for goes behind `content`, up to `limit` bytes in all.
    pub(in crate::websocket) fn inflate(
        &mut self,
        mut input: &[u8],
        content: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Violation> {
        let history = &self.history[self.history.len().saturating_sub(self.window_bytes)..];
        let stream = self.stream.get_or_insert_with(|| Stream::new(history));
        stream.ends_left += input.len() as u64;
        while !input.is_empty() {
            if stream.is_ended {
                stream.begin_again(history, content)?;
            }
            stream.run(&mut input, content, limit)?;
        }
        Ok(())
    }

    /// The message is complete.
    pub(in crate::websocket) fn finish(
        &mut self,
        content: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), Violation> {
        // RFC 7692 §7.2.3.6: even an empty message has a byte. Without any, there is nothing to end.
        if let Some(mut stream) = self.stream.take() {
            // A final block may be the end, although RFC 7692 §7.2.3.5 asks for one byte more.
            if !stream.is_ended {
                let (mut tail, length) = (&TAIL[..], content.len());
                stream.run(&mut tail, content, limit)?;
                // In the middle of a block it would be taken for content.
                if !stream.is_ended || !tail.is_empty() || content.len() > length {
                    return Err(Violation::protocol("compressed message is cut off"));
                }
            }
            SPARE.set(Some(stream.inflate));
        }
        self.remember(content);
        Ok(())
    }

    fn remember(&mut self, content: &[u8]) {
        let recent = &content[content.len().saturating_sub(self.window_bytes)..];
        if self.history.len() + recent.len() > self.window_bytes + SLACK_BYTES {
            let kept = self.window_bytes - recent.len();
            self.history.drain(..self.history.len().saturating_sub(kept));
        }
        if self.history.capacity() < self.history.len() + recent.len() {
            let most = self.window_bytes + SLACK_BYTES - self.history.len();
            self.history.reserve_exact(recent.len().max(self.history.len()).min(most));
        }
        self.history.extend_from_slice(recent);
    }

    /// Keep no more than the window.
    pub(super) fn release(&mut self) {
        self.history.drain(..self.history.len().saturating_sub(self.window_bytes));
        self.history.shrink_to_fit();
    }
}

impl Stream {
    fn new(history: &[u8]) -> Self {
        let mut inflate = SPARE.take().unwrap_or_else(|| Inflate::new(false, MAX_WINDOW_BITS));
        inflate.reset(false);
        let mut stream = Self { inflate, is_ended: false, ends_left: BYTES_PER_END };
        stream.set_history(history);
        stream
    }

    fn set_history(&mut self, history: &[u8]) {
        if !history.is_empty() {
            // At the start of a raw stream it cannot fail. Without it, the stream would be refused later.
            let _ = self.inflate.set_dictionary(history);
        }
    }

    /// Go on behind a final block: a new stream, with the same history.
    fn begin_again(&mut self, history: &[u8], content: &[u8]) -> Result<(), Violation> {
        let too_many = Violation::protocol("too many final blocks");
        self.ends_left = self.ends_left.checked_sub(BYTES_PER_END).ok_or(too_many)?;
        let recent = &content[content.len().saturating_sub(MAX_WINDOW_BYTES)..];
        let kept = history.len().min(MAX_WINDOW_BYTES - recent.len());
        self.inflate.reset(false);
        self.set_history(&[&history[history.len() - kept..], recent].concat());
        self.is_ended = false;
        Ok(())
    }

    /// Inflate until the input is used up, or a final block ends.
    fn run(&mut self, input: &mut &[u8], content: &mut Vec<u8>, limit: usize) -> Result<(), Violation> {
        loop {
            let (start, room) = make_room(content, input.len(), limit);
            let (taken, given) = (self.inflate.total_in(), self.inflate.total_out());
            let result = self.inflate.decompress(input, &mut content[start..], InflateFlush::SyncFlush);
            let count = |total: u64, before: u64| usize::try_from(total - before).unwrap_or(0);
            let given = count(self.inflate.total_out(), given);
            *input = &input[count(self.inflate.total_in(), taken)..];
            content.truncate(start + given);
            let status = result.map_err(|_| INVALID)?;
            if content.len() > limit {
                return Err(Violation::TOO_BIG);
            }
            match status {
                Status::StreamEnd => {
                    self.is_ended = true;
                    return Ok(());
                }
                _ if given == room => {}
                _ if input.is_empty() => return Ok(()),
                // There was room and there is input: nothing else can be the matter.
                _ => return Err(INVALID),
            }
        }
    }
}

const INVALID: Violation = Violation::protocol("invalid compressed data");

/// What a stream remembers, whatever was agreed to: what is older than the peer's window, but of the same
/// message, is not worth an error.
const MAX_WINDOW_BYTES: usize = 1 << MAX_WINDOW_BITS;

/// Lengthen `content` by what the input may become, but one byte beyond the limit at most, which shows that
/// it is crossed. Gives the old length, and by how much.
fn make_room(content: &mut Vec<u8>, input: usize, limit: usize) -> (usize, usize) {
    let start = content.len();
    let wanted = input.saturating_mul(USUAL_RATIO).clamp(LEAST_ROOM_BYTES, MOST_ROOM_BYTES);
    let room = wanted.min((limit - start).saturating_add(1));
    growth::reserve(content, room, limit.saturating_add(1));
    content.resize(start + room, 0);
    (start, room)
}

/// Text is compressed to a quarter or so.
const USUAL_RATIO: usize = 4;
/// What a short message becomes (arbitrary).
const LEAST_ROOM_BYTES: usize = 256;
/// Room that is made at once. It is set to zero first, and may be in vain.
const MOST_ROOM_BYTES: usize = 16 * 1024;

impl std::fmt::Debug for Inflater {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Inflater").field("window_bytes", &self.window_bytes).finish_non_exhaustive()
    }
}
