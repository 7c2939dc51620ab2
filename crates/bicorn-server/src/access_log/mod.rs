//! The access log: a line for each response, formatted where it ends and written by a thread of its own.
//!
//! An I/O thread calls `record` for each response and `submit` once for all that one turn of it produced.
//! `line.rs` makes the bytes, `writer.rs` brings them to the stream. A stream that blocks or fails costs lines,
//! which are counted and told about, but never makes a connection wait.

mod line;
mod writer;

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

pub use line::AccessRecord;
use line::{COLOURED, Colours, PLAIN, push_line};
use writer::{Queue, Writer};

/// Where access lines go. Clones share one stream and one writer, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    queue: Arc<Queue>,
    colours: Colours,
    /// `None` once it is closed.
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl AccessLog {
    /// Starts the writer. `file` is a duplicate of the stream's descriptor, so that closing it closes nothing
    /// else.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn new(file: File, use_colors: bool) -> io::Result<Self> {
        Self::start(file, if use_colors { COLOURED } else { PLAIN })
    }

    fn start(stream: impl Write + Send + 'static, colours: Colours) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let writer = Writer::new(stream, colours, Arc::clone(&queue));
        let thread = thread::Builder::new().name("bicorn-access-log".to_owned()).spawn(|| writer.run())?;
        Ok(Self(Arc::new(Handle { queue, colours, writer: Mutex::new(Some(thread)) })))
    }

    /// Puts the line of one response at the end of `batch`. Takes no lock.
    pub fn record(&self, batch: &mut Vec<u8>, record: &AccessRecord<'_>) {
        push_line(batch, record, &self.0.colours);
    }

    /// Hands all lines of `batch` over and leaves it empty, with its memory. Lines that find no room are
    /// dropped. Takes one lock, for as long as it takes to copy the batch, and does not wait for the stream.
    pub fn submit(&self, batch: &mut Vec<u8>) {
        self.0.queue.push(batch);
        batch.clear();
    }

    /// Lines that were submitted and will not appear, since the start.
    pub fn dropped(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// Writes what was submitted and ends the writer; lines submitted later are dropped. Waits for a second at
    /// most, which only a blocked stream needs. Dropping the last clone does the same.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Handle {
    fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && self.queue.close()
        {
            // It has nothing left to do but return. Had it panicked, there would be nobody to tell.
            drop(writer.join());
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, PipeReader, Read, pipe};
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use super::*;

    const RECORD: AccessRecord<'_> = AccessRecord {
        client: Some(("127.0.0.1", 50_000)),
        method: "GET",
        path: b"/a",
        query: b"b=1",
        version: "1.1",
        status: 200,
    };
    const LINE: &str = "INFO:     127.0.0.1:50000 - \"GET /a?b=1 HTTP/1.1\" 200 OK\n";

    fn log_into_pipe() -> (AccessLog, PipeReader) {
        let (reader, writer) = pipe().expect("a process may have a few pipes");
        let log = AccessLog::new(File::from(OwnedFd::from(writer)), false).expect("a thread can start");
        (log, reader)
    }

    /// Submits `count` lines, in batches as a busy I/O thread would.
    fn submit_lines(log: &AccessLog, count: u64) {
        let mut batch = Vec::new();
        for index in 1..=count {
            log.record(&mut batch, &RECORD);
            if index % 1000 == 0 || index == count {
                log.submit(&mut batch);
                assert!(batch.is_empty() && batch.capacity() > 0);
            }
        }
    }

    fn read_all(mut reader: PipeReader) -> String {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("the log is text");
        text
    }

    #[test]
    fn close_writes_what_was_submitted() {
        let (log, reader) = log_into_pipe();
        submit_lines(&log, 3);
        log.clone().close();
        log.close();
        submit_lines(&log, 2);
        assert_eq!(log.dropped(), 2);
        assert_eq!(read_all(reader), LINE.repeat(3));
    }

    #[test]
    fn dropping_the_last_clone_closes() {
        let (log, reader) = log_into_pipe();
        let clone = log.clone();
        drop(log);
        submit_lines(&clone, 1);
        drop(clone);
        assert_eq!(read_all(reader), LINE);
    }

    #[test]
    fn a_line_is_written_without_being_waited_for() {
        let (log, mut reader) = log_into_pipe();
        submit_lines(&log, 1);
        let mut line = vec![0; LINE.len()];
        reader.read_exact(&mut line).unwrap();
        assert_eq!(line, LINE.as_bytes());
    }

    #[test]
    fn a_blocked_stream_costs_lines_and_the_log_says_how_many() {
        const SUBMITTED: u64 = 100_000;
        let (log, reader) = log_into_pipe();
        // Nobody reads: more than pipe, writer and buffer hold.
        submit_lines(&log, SUBMITTED);
        assert!(log.dropped() > 0);
        let (mut written, mut missing) = (0, 0);
        let mut lines = BufReader::new(reader).lines();
        while written + missing < SUBMITTED {
            let line = lines.next().unwrap().unwrap();
            if let Some(notice) = line.strip_prefix("WARNING:  ") {
                let (count, text) = notice.split_once(' ').unwrap();
                assert_eq!(text, "access log lines dropped, the log could not keep up");
                missing += count.parse::<u64>().unwrap();
            } else {
                assert_eq!(line, LINE.trim_end());
                written += 1;
            }
        }
        assert_eq!(missing, log.dropped());
    }

    #[test]
    fn closing_a_blocked_log_gives_up() {
        let (log, reader) = log_into_pipe();
        submit_lines(&log, 100_000);
        let start = Instant::now();
        log.close();
        assert!(start.elapsed() < Duration::from_secs(5));
        drop(reader);
    }

    #[test]
    fn a_full_disk_costs_lines() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let log = AccessLog::new(full, false).unwrap();
        submit_lines(&log, 3);
        log.close();
        assert_eq!(log.dropped(), 3);
    }

    #[test]
    fn a_closed_pipe_costs_lines() {
        let (log, reader) = log_into_pipe();
        drop(reader);
        submit_lines(&log, 2);
        log.close();
        assert_eq!(log.dropped(), 2);
    }
}
