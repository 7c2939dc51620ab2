//! What a peer may do that costs it little and this server much.
//!
//! The h2 crate bounds what it stores; it does not bound how often a peer may make it work. This looks at the
//! header of every inbound frame (RFC 9113 §4.1) and counts. A peer that crosses a bound is told to calm down and
//! the connection ends; nothing here decides what a frame means.

use Kind::{Continuation, Headers, Other, Ping, Reset, Settings};

/// Frames are counted over this time, in milliseconds.
const PERIOD_MILLIS: u64 = 10_000;

/// PING and SETTINGS frames in a period: each is answered. Fifty times what a busy peer sends (one PING a second
/// and a few SETTINGS).
const CONTROL_FRAMES: u32 = 1_000;

/// Frames in a period that need no answer, such as PRIORITY and `WINDOW_UPDATE` (nginx closes at 10,000 a
/// connection), above one for every [`EARNING_BYTES`] that this side sends.
const OTHER_FRAMES: u32 = 10_000;

/// A peer that returns flow-control credit in the smallest sensible pieces does it for every so many bytes.
const EARNING_BYTES: u32 = 64;

/// Streams that a peer may reset in a period: that many, and more if they are less than half of those it opens. A
/// proxy in front of many users resets a few per cent; "rapid reset" (CVE-2023-44487) resets all.
const RESETS: u32 = 200;

/// Bytes of one field block before compression is undone: four times what the largest field list may have.
const FIELD_BLOCK_BYTES: usize = 256 * 1024;

const HEADER_BYTES: usize = 9;

/// Flag of HEADERS and CONTINUATION: the field block ends with this frame.
const END_HEADERS: u8 = 0x4;

/// Flag of SETTINGS: it is not one's own, but the other's that was heard.
const ACK: u8 = 0x1;

/// Bytes before the first frame: the client preface (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Headers,
    Reset,
    Settings,
    Ping,
    Continuation,
    Other,
}

/// Follows the frames of one connection.
#[derive(Debug)]
pub(super) struct Flood {
    /// The start of a frame header whose end has not arrived.
    header: [u8; HEADER_BYTES],
    header_length: usize,
    /// Bytes until the next frame header.
    skip: usize,
    /// The frame that `skip` belongs to carries a field block.
    is_block_payload: bool,
    /// Bytes of the field block that has begun and has not ended; 0 between blocks.
    block_bytes: usize,
    /// The preface is complete: its SETTINGS frame has come (RFC 9113 §3.4).
    has_begun: bool,
    /// When the period began, in milliseconds.
    since: u64,
    controls: u32,
    others: u32,
    resets: u32,
    opened: u32,
    /// Bytes sent in this period.
    sent: u32,
}

impl Flood {
    pub(super) fn new() -> Self {
        Self {
            header: [0; HEADER_BYTES],
            header_length: 0,
            skip: PREFACE_BYTES,
            is_block_payload: false,
            block_bytes: 0,
            has_begun: false,
            since: 0,
            controls: 0,
            others: 0,
            resets: 0,
            opened: 0,
            sent: 0,
        }
    }

    /// Note that bytes were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Whether the peer must go on before anything else can happen: the preface or a field block is incomplete.
    pub(super) fn is_in_head(&self) -> bool {
        !self.has_begun || self.block_bytes > 0 || (self.is_block_payload && self.skip > 0)
    }

    /// Look at what arrived at a time in milliseconds. False when the peer has gone too far.
    pub(super) fn take(&mut self, mut bytes: &[u8], now: u64) -> bool {
        self.begin_period(now);
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return true;
            }
            let missing = (HEADER_BYTES - self.header_length).min(bytes.len());
            self.header[self.header_length..self.header_length + missing].copy_from_slice(&bytes[..missing]);
            self.header_length += missing;
            bytes = &bytes[missing..];
            if self.header_length < HEADER_BYTES {
                return true;
            }
            self.header_length = 0;
            if !self.count() {
                return false;
            }
        }
    }

    fn begin_period(&mut self, now: u64) {
        if now.saturating_sub(self.since) >= PERIOD_MILLIS {
            (self.since, self.sent) = (now, 0);
            (self.controls, self.others, self.resets, self.opened) = (0, 0, 0, 0);
        }
    }

    /// Count the frame whose header is complete.
    fn count(&mut self) -> bool {
        let [high, middle, low, kind, flags, ..] = self.header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        let kind = kind_of(kind);
        self.skip = length;
        self.has_begun |= kind == Settings && flags & ACK == 0;
        self.is_block_payload = matches!(kind, Headers | Continuation);
        match kind {
            Kind::Data => return true,
            Headers => {
                self.opened = self.opened.saturating_add(1);
                self.block_bytes = 0;
            }
            Continuation => {}
            Reset => self.resets = self.resets.saturating_add(1),
            Settings | Ping => self.controls = self.controls.saturating_add(1),
            Other => self.others = self.others.saturating_add(1),
        }
        if self.is_block_payload {
            // The frame header counts as well: empty frames are not free.
            self.block_bytes += HEADER_BYTES + length;
            let is_bounded = self.block_bytes <= FIELD_BLOCK_BYTES;
            if flags & END_HEADERS != 0 {
                self.block_bytes = 0;
            }
            return is_bounded;
        }
        let earned = OTHER_FRAMES.saturating_add(self.sent / EARNING_BYTES);
        let is_reset_rapidly = self.resets >= RESETS && self.resets > self.opened / 2;
        self.controls < CONTROL_FRAMES && self.others < earned && !is_reset_rapidly
    }
}

/// RFC 9113 §6: the type of a frame.
fn kind_of(byte: u8) -> Kind {
    match byte {
        0 => Kind::Data,
        1 => Headers,
        3 => Reset,
        4 => Settings,
        6 => Ping,
        9 => Continuation,
        _ => Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize, kind: u8, flags: u8) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes()[1..].to_vec();
        bytes.extend_from_slice(&[kind, flags, 0, 0, 0, 1]);
        bytes.resize(HEADER_BYTES + length, 0);
        bytes
    }

    /// How many of these frames are taken, fed in pieces of `step` bytes, all at one time.
    fn taken(step: usize, frames: &[Vec<u8>], limit: usize) -> usize {
        let mut flood = Flood::new();
        assert!(flood.take(&[0; PREFACE_BYTES], 0));
        for count in 0..limit {
            let wire = frames.concat();
            if !wire.chunks(step).all(|piece| flood.take(piece, 0)) {
                return count;
            }
        }
        limit
    }

    #[test]
    fn each_flood_ends_at_its_bound_however_it_is_cut() {
        let (headers, reset) = (frame(5, 1, 4), frame(4, 3, 0));
        let table: [(&[Vec<u8>], usize); 6] = [
            (&[frame(8, 6, 0)], 999),
            (&[frame(0, 4, 1)], 999),
            (&[headers.clone(), reset.clone()], 199),
            (&[frame(5, 2, 0)], 9_999),
            (&[frame(100, 0xee, 0)], 9_999),
            (&[frame(0, 9, 0)], FIELD_BLOCK_BYTES / HEADER_BYTES),
        ];
        for (frames, count) in table {
            for step in [1, 7, 4096] {
                assert_eq!(taken(step, frames, 100_000), count, "{:?} by {step}", frames[0]);
            }
        }
    }

    #[test]
    fn few_resets_among_many_streams_are_no_flood() {
        let frames = [frame(5, 1, 4), frame(5, 1, 4), frame(5, 1, 4), frame(4, 3, 0)];
        assert_eq!(taken(4096, &frames, 10_000), 10_000);
    }

    #[test]
    fn credit_for_what_was_sent_is_no_flood() {
        let mut flood = Flood::new();
        flood.take(&[0; PREFACE_BYTES], 0);
        for _ in 0..1_000_000 {
            flood.sent(16 * 1024);
            assert!(flood.take(&frame(4, 8, 0), 0));
        }
    }

    #[test]
    fn counts_begin_anew_with_each_period() {
        let mut flood = Flood::new();
        flood.take(&[0; PREFACE_BYTES], 0);
        for now in 0..20_000 {
            assert!(flood.take(&frame(8, 6, 0), now * 20));
        }
    }

    #[test]
    fn a_field_block_is_open_until_its_last_frame() {
        let mut flood = Flood::new();
        flood.take(&[0; PREFACE_BYTES], 0);
        assert!(flood.is_in_head());
        flood.take(&frame(0, 4, 0), 0);
        assert!(!flood.is_in_head());
        flood.take(&frame(10, 1, 4)[..12], 0);
        assert!(flood.is_in_head());
        flood.take(&[0; 7], 0);
        assert!(!flood.is_in_head());
        flood.take(&frame(10, 1, 0), 0);
        assert!(flood.is_in_head());
        flood.take(&frame(3, 9, 4), 0);
        assert!(!flood.is_in_head());
    }
}
