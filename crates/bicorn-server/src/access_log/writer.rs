//! The lines that wait, and the thread that writes them.
//!
//! The bound is on bytes: whoever submits copies lines in under a short lock and goes on, whatever the stream
//! does. The thread sleeps while there is nothing to write.
//!
//! ```text
//!            lines          1 ms, or enough lines        written, or failed
//!  asleep ─────────▶ gathering ─────────────────▶ writing ─────────────────▶ asleep
//! ```

use std::io::{ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::line::{Colours, push_notice};

/// Most bytes of lines that wait; as many again may be in the writer's hands. 1 MiB has room for 13,000 lines
/// of 80 bytes, which a busy server makes in a tenth of a second, and is little memory.
const BUFFER_BYTES: usize = 1024 * 1024;
/// How long the writer gathers lines. At 100,000 lines a second submitted in fours, writing at once made
/// `submit` cost 3.7 µs instead of 0.3, and the process a third more CPU (2 cores, log to a file).
const GATHER: Duration = Duration::from_millis(1);
/// So many bytes are enough to write: half of what a pipe takes at once on Linux.
const ENOUGH_BYTES: usize = 32 * 1024;
/// When a stream that is full and does not block is tried again. Arbitrary; not measured.
const RETRY: Duration = Duration::from_millis(10);
/// How long closing may take when the stream is blocked. Arbitrary; not measured.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// `State::wake_bytes` of a writer that has other things to do.
const NEVER: usize = usize::MAX;

/// Between those who submit and the writer.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes whoever closes.
    finished: Condvar,
}

#[derive(Debug)]
struct State {
    /// Whole lines.
    lines: Vec<u8>,
    /// The writer wants to be woken when `lines` has so many bytes.
    wake_bytes: usize,
    /// Lines that will not be written, since the start.
    dropped: u64,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// The writer shall write what there is, and end.
    Closing,
    /// Nobody waits for the writer any more: it shall try nothing again.
    Abandoned,
    /// The writer has ended.
    Finished,
}

impl Default for State {
    fn default() -> Self {
        Self { lines: Vec::new(), wake_bytes: NEVER, dropped: 0, phase: Phase::Open }
    }
}

impl Queue {
    /// Takes as many of the lines as there is room for.
    pub(super) fn push(&self, lines: &[u8]) {
        let mut state = self.lock();
        let room = match state.phase {
            Phase::Open => BUFFER_BYTES - state.lines.len(),
            Phase::Closing | Phase::Abandoned | Phase::Finished => 0,
        };
        let (fitting, rest) = lines.split_at(whole_lines(lines, room));
        state.lines.extend_from_slice(fitting);
        state.dropped += count_lines(rest);
        let wakes_writer = state.lines.len() >= state.wake_bytes;
        if wakes_writer {
            state.wake_bytes = NEVER;
        }
        drop(state);
        if wakes_writer {
            self.work.notify_one();
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Lets the writer end. False if its stream does not let it.
    pub(super) fn close(&self) -> bool {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        self.work.notify_one();
        let is_open = |state: &mut State| state.phase != Phase::Finished;
        let waited = self.finished.wait_timeout_while(state, CLOSE_TIMEOUT, is_open);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.phase == Phase::Finished {
            return true;
        }
        state.phase = Phase::Abandoned;
        state.dropped += count_lines(&mem::take(&mut state.lines));
        false
    }

    /// Waits for lines and swaps them for the empty `lines`. Says how many had been dropped by then, all of
    /// them behind or before these. `None` when there will be no more.
    fn take(&self, lines: &mut Vec<u8>) -> Option<u64> {
        let mut state = self.lock();
        while state.lines.is_empty() && state.phase == Phase::Open {
            state.wake_bytes = 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.lines.len() < ENOUGH_BYTES && state.phase == Phase::Open {
            state = self.pause(state, ENOUGH_BYTES, GATHER);
        }
        state.wake_bytes = NEVER;
        mem::swap(&mut state.lines, lines);
        (!lines.is_empty()).then_some(state.dropped)
    }

    fn pause<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        wake_bytes: usize,
        timeout: Duration,
    ) -> MutexGuard<'a, State> {
        state.wake_bytes = wake_bytes;
        self.work.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    /// No holder of the lock leaves anything half done, so what a panic poisoned is still good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's own. No error of the stream ends it, for the next write may succeed: a disk gets space, a log
/// collector starts again.
pub(super) struct Writer<Stream> {
    stream: Stream,
    colours: Colours,
    queue: Arc<Queue>,
    /// Dropped lines that the log tells of.
    reported: u64,
    /// The stream failed in the middle of a line.
    is_torn: bool,
}

impl<Stream: Write> Writer<Stream> {
    pub(super) fn new(stream: Stream, colours: Colours, queue: Arc<Queue>) -> Self {
        Self { stream, colours, queue, reported: 0, is_torn: false }
    }

    /// Writes until the queue is closed.
    pub(super) fn run(mut self) {
        let mut lines = Vec::new();
        while self.write_next(&mut lines) {}
        self.queue.lock().phase = Phase::Finished;
        self.queue.finished.notify_all();
    }

    /// Waits for lines and writes them, in the memory of `lines`. False when there will be no more.
    fn write_next(&mut self, lines: &mut Vec<u8>) -> bool {
        let Some(dropped) = self.queue.take(lines) else { return false };
        match self.write(lines) {
            Ok(()) => self.report(dropped),
            Err(unwritten) => self.queue.lock().dropped += count_lines(unwritten),
        }
        lines.clear();
        true
    }

    /// Tells of dropped lines, behind those that filled the buffer when they came.
    fn report(&mut self, dropped: u64) {
        if dropped == self.reported {
            return;
        }
        let mut notice = Vec::new();
        push_notice(&mut notice, dropped - self.reported, &self.colours);
        if self.write(&notice).is_ok() {
            self.reported = dropped;
        }
    }

    /// Writes whole lines.
    ///
    /// # Errors
    /// What was not written. Why is of no use: the log is where one would tell.
    fn write<'a>(&mut self, lines: &'a [u8]) -> Result<(), &'a [u8]> {
        if self.is_torn {
            self.write_bytes(b"\n").map_err(|_| lines)?;
            self.is_torn = false;
        }
        self.write_bytes(lines).inspect_err(|unwritten| {
            let written = &lines[..lines.len() - unwritten.len()];
            self.is_torn = written.last().is_some_and(|byte| *byte != b'\n');
        })
    }

    fn write_bytes<'a>(&mut self, bytes: &'a [u8]) -> Result<(), &'a [u8]> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.stream.write(rest) {
                Ok(0) => return Err(rest),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.may_try_again() => {}
                Err(_) => return Err(rest),
            }
        }
        Ok(())
    }

    /// Gives a stream that does not block some time. False if nobody waits for the lines any more.
    fn may_try_again(&self) -> bool {
        self.queue.pause(self.queue.lock(), NEVER, RETRY).phase != Phase::Abandoned
    }
}

/// The length of as many whole lines as fit into `room`.
fn whole_lines(lines: &[u8], room: usize) -> usize {
    if lines.len() <= room {
        return lines.len();
    }
    lines[..room].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

fn count_lines(lines: &[u8]) -> u64 {
    lines.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io;

    use super::super::line::PLAIN;
    use super::*;

    /// A stream that answers as told, then takes everything.
    struct Scripted<'a> {
        answers: VecDeque<io::Result<usize>>,
        written: &'a mut Vec<u8>,
    }

    impl Write for Scripted<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let length = self.answers.pop_front().unwrap_or(Ok(bytes.len()))?.min(bytes.len());
            self.written.extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn failure(kind: ErrorKind) -> io::Result<usize> {
        Err(kind.into())
    }

    /// What a stream that answers so has in the end, and how many lines it cost. Each push is written apart.
    fn outcome(answers: Vec<io::Result<usize>>, pushes: &[&str]) -> (String, u64) {
        let queue = Arc::new(Queue::default());
        let mut written = Vec::new();
        let stream = Scripted { answers: answers.into(), written: &mut written };
        let mut writer = Writer::new(stream, PLAIN, Arc::clone(&queue));
        for push in pushes {
            queue.push(push.as_bytes());
            assert!(writer.write_next(&mut Vec::new()));
        }
        (String::from_utf8(written).expect("the lines are text"), queue.dropped())
    }

    fn notice(dropped: u64) -> String {
        format!("WARNING:  {dropped} access log lines dropped, the log could not keep up\n")
    }

    #[test]
    fn short_writes_interrupts_and_full_streams_cost_nothing() {
        let answers = vec![Ok(1), failure(ErrorKind::Interrupted), Ok(2), failure(ErrorKind::WouldBlock)];
        assert_eq!(outcome(answers, &["one\n", "two\n"]), ("one\ntwo\n".to_owned(), 0));
    }

    #[test]
    fn lines_that_fail_are_counted_and_told_about_once() {
        let answers = vec![failure(ErrorKind::StorageFull), failure(ErrorKind::BrokenPipe)];
        let (text, dropped) = outcome(answers, &["1\n2\n", "3\n", "4\n", "5\n"]);
        assert_eq!((text, dropped), (format!("4\n{}5\n", notice(3)), 3));
    }

    #[test]
    fn a_stream_that_takes_nothing_has_failed() {
        assert_eq!(outcome(vec![Ok(0)], &["1\n", "2\n"]), (format!("2\n{}", notice(1)), 1));
    }

    #[test]
    fn a_torn_line_is_ended_before_the_next() {
        let answers = vec![Ok(5), failure(ErrorKind::StorageFull)];
        let (text, dropped) = outcome(answers, &["one\ntwo\n", "three\n"]);
        assert_eq!((text, dropped), (format!("one\nt\nthree\n{}", notice(1)), 1));
    }

    #[test]
    fn a_failure_between_lines_tears_nothing() {
        let answers = vec![Ok(4), failure(ErrorKind::StorageFull)];
        let (text, dropped) = outcome(answers, &["one\ntwo\n", "three\n"]);
        assert_eq!((text, dropped), (format!("one\nthree\n{}", notice(1)), 1));
    }

    #[test]
    fn a_notice_that_fails_is_tried_again() {
        let answers = vec![failure(ErrorKind::StorageFull), Ok(2), failure(ErrorKind::StorageFull)];
        let (text, dropped) = outcome(answers, &["1\n", "2\n", "3\n"]);
        assert_eq!((text, dropped), (format!("2\n3\n{}", notice(1)), 1));
    }

    #[test]
    fn the_buffer_takes_whole_lines_up_to_its_bound() {
        let queue = Queue::default();
        queue.push("x\n".repeat(BUFFER_BYTES / 2 - 1).as_bytes());
        queue.push(b"a line that is too long\n");
        queue.push(b"1\n2\n3\n");
        let mut lines = Vec::new();
        assert_eq!(queue.take(&mut lines), Some(3));
        assert_eq!((lines.len(), lines.ends_with(b"x\n1\n")), (BUFFER_BYTES, true));
    }

    #[test]
    fn whole_lines_never_end_in_a_line() {
        for (room, expected) in [(0, 0), (1, 0), (2, 2), (5, 2), (6, 6), (7, 6), (8, 8), (100, 8)] {
            assert_eq!(whole_lines(b"1\n234\n5\n", room), expected, "{room}");
        }
    }
}
