//! Another implementation of DEFLATE, and what it is fed.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

use crate::websocket::{BINARY, FIN, RSV1, frame};

/// The usual offer.
pub(crate) const USUAL: &str = "permessage-deflate; client_max_window_bits";

/// The peer's compressor.
pub(crate) struct Compressor(Deflate);

impl Compressor {
    pub(crate) fn new(window_bits: i32) -> Self {
        let config = DeflateConfig { window_bits: -window_bits, ..DeflateConfig::default() };
        Self(Deflate::new_with_config(config))
    }

    /// A message as RFC 7692 §7.2.1 asks for it.
    pub(crate) fn compress(&mut self, content: &[u8]) -> Vec<u8> {
        let mut compressed = self.flush(content);
        if compressed.is_empty() {
            // zlib has nothing to flush a second time.
            return vec![0];
        }
        assert_eq!(compressed.split_off(compressed.len() - 4), [0, 0, 0xff, 0xff]);
        compressed
    }

    /// Content up to the end of a byte.
    pub(crate) fn flush(&mut self, content: &[u8]) -> Vec<u8> {
        let mut compressed = vec![0; content.len() + content.len() / 8 + 64];
        let before = self.0.total_out();
        self.0.compress(content, &mut compressed, DeflateFlush::SyncFlush).expect("there is room");
        compressed.truncate(usize::try_from(self.0.total_out() - before).expect("it fits into memory"));
        compressed
    }
}

/// The peer's decompressor.
pub(crate) struct Decompressor(Inflate);

impl Decompressor {
    pub(crate) fn new(window_bits: u8) -> Self {
        Self(Inflate::new(false, window_bits))
    }

    /// The content of a compressed frame.
    pub(crate) fn decompress(&mut self, wire: &[u8], length: usize) -> Vec<u8> {
        let payload = match wire[1] {
            127 => &wire[10..],
            126 => &wire[4..],
            _ => &wire[2..],
        };
        let mut content = vec![0; length + 1];
        let before = self.0.total_out();
        let input = [payload, &[0, 0, 0xff, 0xff]].concat();
        self.0.decompress(&input, &mut content, InflateFlush::SyncFlush).expect("it is a DEFLATE stream");
        content.truncate(usize::try_from(self.0.total_out() - before).expect("it fits into memory"));
        content
    }
}

/// Contents that compress in different ways: texts, runs, noise, long and short ones.
pub(crate) fn contents() -> Vec<Vec<u8>> {
    let mut state = 1_u32;
    let mut noise = |length: usize, values: u32| -> Vec<u8> {
        let mut byte = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u8::try_from((state >> 16) % values).expect("values are bytes")
        };
        (0..length).map(|_| byte()).collect()
    };
    let mut contents: Vec<Vec<u8>> =
        vec![b"Hello".to_vec(), b"".to_vec(), b"Hello".to_vec(), vec![0; 70_000]];
    for length in [1, 2, 3, 4, 5, 63, 64, 65, 257, 258, 259, 2047, 2048, 2049, 5000, 40_000] {
        contents.extend([2, 5, 64, 256].map(|values| noise(length, values)));
        contents.push(vec![7; length]);
    }
    contents.push(include_bytes!("main.rs").to_vec());
    contents.push(include_bytes!("websocket_codec.rs").to_vec());
    contents
}

/// The longest content of any bytes.
pub(crate) fn noise() -> Vec<u8> {
    contents()
        .into_iter()
        .filter(|content| content.len() == 40_000)
        .nth(3)
        .expect("it is the fourth of its length")
}

/// A whole compressed message.
pub(crate) fn compressed(payload: &[u8]) -> Vec<u8> {
    frame(FIN | RSV1 | BINARY, payload)
}
