//! Bits, packed into bytes from the lowest one (RFC 1951 §3.1.1).

/// Bytes under construction.
#[derive(Debug)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// Bits that are not in `bytes` yet.
    pending: u64,
    /// How many; fewer than 32 between calls.
    count: u32,
}

impl BitWriter {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), pending: 0, count: 0 }
    }

    /// Append the lowest `count` bits of `bits`, at most 32; the others must be 0.
    pub(super) fn put(&mut self, bits: u32, count: u32) {
        self.pending |= u64::from(bits) << self.count;
        self.count += count;
        if self.count >= u32::BITS {
            let [first, second, third, fourth, ..] = self.pending.to_le_bytes();
            self.bytes.extend_from_slice(&[first, second, third, fourth]);
            self.pending >>= u32::BITS;
            self.count -= u32::BITS;
        }
    }

    /// Fill the last byte with zeros.
    pub(super) fn align(&mut self) {
        let bytes = self.pending.to_le_bytes();
        self.bytes.extend_from_slice(&bytes[..self.count.div_ceil(8) as usize]);
        self.pending = 0;
        self.count = 0;
    }

    /// Append whole bytes to an aligned end.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }
}
