//! One block of a DEFLATE stream (RFC 1951 §3.2.3): symbols gathered, and written in the shortest way.

use super::bits::BitWriter;
use super::huffman::{self, Code, FIXED_DISTANCES, FIXED_LITERALS};

/// The shortest and longest match of DEFLATE are 3 and 258 bytes long.
pub(super) const MAX_MATCH: usize = 258;

const END_OF_BLOCK: usize = 256;
const LITERAL_SYMBOLS: usize = 286;
const DISTANCE_SYMBOLS: usize = 30;

/// Room for a block of short messages; a longer one grows. Arbitrary.
const USUAL_SYMBOLS: usize = 1024;

/// The symbols of a block.
#[derive(Debug)]
pub(super) struct Block {
    symbols: Vec<Symbol>,
    literals: [u16; LITERAL_SYMBOLS],
    distances: [u16; DISTANCE_SYMBOLS],
    /// Bits that the symbols take with the fixed codes.
    fixed_bits: usize,
    /// Bits that follow codes and are the same in every kind of block.
    extra_bits: usize,
}

#[derive(Debug, Clone, Copy)]
enum Symbol {
    Literal(u8),
    Match { length: u16, distance: u16 },
}

/// Which symbol stands for a length or distance, and the bits behind it (RFC 1951 §3.2.5).
#[derive(Debug, Clone, Copy)]
struct Range {
    symbol: usize,
    extra: u32,
    extra_bits: u32,
}

/// Each power of two is split into `1 << split` ranges, below which each number has its own symbol.
fn range(number: u32, split: u32) -> Range {
    if number < 1 << (split + 1) {
        return Range { symbol: number as usize, extra: 0, extra_bits: 0 };
    }
    let extra_bits = number.ilog2() - split;
    let symbol = (extra_bits << split) + (number >> extra_bits);
    Range { symbol: symbol as usize, extra: number & ((1 << extra_bits) - 1), extra_bits }
}

fn length_range(length: u16) -> Range {
    // The longest one has a symbol of its own.
    let range = match length {
        258 => Range { symbol: 28, extra: 0, extra_bits: 0 },
        _ => range(u32::from(length) - 3, 2),
    };
    Range { symbol: END_OF_BLOCK + 1 + range.symbol, ..range }
}

fn distance_range(distance: u16) -> Range {
    range(u32::from(distance) - 1, 1)
}

impl Block {
    /// A block for this much content.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            symbols: Vec::with_capacity(bytes.min(USUAL_SYMBOLS)),
            literals: [0; LITERAL_SYMBOLS],
            distances: [0; DISTANCE_SYMBOLS],
            fixed_bits: 0,
            extra_bits: 0,
        }
    }

    pub(super) fn push_literal(&mut self, byte: u8) {
        self.symbols.push(Symbol::Literal(byte));
        self.literals[usize::from(byte)] += 1;
        self.fixed_bits += usize::from(FIXED_LITERALS[usize::from(byte)].length);
    }

    /// `length` bytes that stood `distance` bytes before.
    pub(super) fn push_match(&mut self, length: u16, distance: u16) {
        self.symbols.push(Symbol::Match { length, distance });
        let (length, distance) = (length_range(length), distance_range(distance));
        self.literals[length.symbol] += 1;
        self.distances[distance.symbol] += 1;
        let extra = (length.extra_bits + distance.extra_bits) as usize;
        self.extra_bits += extra;
        self.fixed_bits += extra
            + usize::from(FIXED_LITERALS[length.symbol].length)
            + usize::from(FIXED_DISTANCES[distance.symbol].length);
    }

    /// Write the block, which stands for `content`.
    pub(super) fn write(mut self, content: &[u8], writer: &mut BitWriter) {
        // Up to seven bits to the next byte, and two lengths.
        let stored_bits = 7 + 32 + content.len() * 8;
        let fixed_bits = self.fixed_bits + usize::from(FIXED_LITERALS[END_OF_BLOCK].length);
        // Codes of its own cost a small block more than they save it.
        let own = (self.symbols.len() >= MIN_DYNAMIC_SYMBOLS).then(|| self.own_codes());
        if let Some(own) = own.filter(|own| own.bits < fixed_bits.min(stored_bits)) {
            writer.put(DYNAMIC << 1, HEADER_BITS);
            own.header.write(writer);
            self.write_symbols(&own.literals, &own.distances, writer);
        } else if fixed_bits <= stored_bits {
            writer.put(FIXED << 1, HEADER_BITS);
            self.write_symbols(&FIXED_LITERALS, &FIXED_DISTANCES, writer);
        } else {
            write_stored(content, writer);
        }
    }

    fn write_symbols(&self, literals: &[Code], distances: &[Code], writer: &mut BitWriter) {
        let mut put = |code: Code, range: Range| {
            let length = u32::from(code.length);
            writer.put(u32::from(code.bits) | range.extra << length, length + range.extra_bits);
        };
        let plain = Range { symbol: 0, extra: 0, extra_bits: 0 };
        for symbol in &self.symbols {
            match *symbol {
                Symbol::Literal(byte) => put(literals[usize::from(byte)], plain),
                Symbol::Match { length, distance } => {
                    let (length, distance) = (length_range(length), distance_range(distance));
                    put(literals[length.symbol], length);
                    put(distances[distance.symbol], distance);
                }
            }
        }
        put(literals[END_OF_BLOCK], plain);
    }

    /// The best codes for these symbols, and what the block costs with them.
    fn own_codes(&mut self) -> OwnCodes {
        self.literals[END_OF_BLOCK] = 1;
        // A code with less than two symbols is legal, and more than some decoders were tested with.
        for frequency in &mut self.distances[..2] {
            *frequency = (*frequency).max(1);
        }
        let literals = huffman::codes(&self.literals, 15);
        let distances = huffman::codes(&self.distances, 15);
        let header = DynamicHeader::new(&literals, &distances);
        let cost = |frequencies: &[u16], codes: &[Code]| -> usize {
            frequencies
                .iter()
                .zip(codes)
                .map(|(count, code)| usize::from(*count) * usize::from(code.length))
                .sum()
        };
        let symbols = cost(&self.literals, &literals) + cost(&self.distances, &distances);
        OwnCodes { bits: header.bits() + symbols + self.extra_bits, literals, distances, header }
    }
}

/// Kinds of blocks, behind the bit that says that more follow.
const FIXED: u32 = 1;
const DYNAMIC: u32 = 2;
const HEADER_BITS: u32 = 3;

/// Not worth a look below this.
const MIN_DYNAMIC_SYMBOLS: usize = 100;

struct OwnCodes {
    literals: [Code; LITERAL_SYMBOLS],
    distances: [Code; DISTANCE_SYMBOLS],
    header: DynamicHeader,
    bits: usize,
}

/// The lengths of a block's own codes, run-length and Huffman encoded (RFC 1951 §3.2.7).
struct DynamicHeader {
    literals: usize,
    distances: usize,
    /// Symbols of the third alphabet with what follows them.
    runs: Vec<Range>,
    codes: [Code; 19],
    /// How many of `codes` are told, in [`CODE_ORDER`].
    told: usize,
}

const CODE_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

impl DynamicHeader {
    fn new(literals: &[Code], distances: &[Code]) -> Self {
        let used = |codes: &[Code], least: usize| {
            codes.iter().rposition(|code| code.length > 0).map_or(least, |last| least.max(last + 1))
        };
        let (literal_count, distance_count) = (used(literals, 257), used(distances, 1));
        let lengths: Vec<u8> = literals[..literal_count]
            .iter()
            .chain(&distances[..distance_count])
            .map(|code| code.length)
            .collect();
        let mut runs = Vec::with_capacity(lengths.len());
        for run in lengths.chunk_by(|left, right| left == right) {
            push_run(run[0], run.len(), &mut runs);
        }
        let mut frequencies = [0_u16; 19];
        for run in &runs {
            frequencies[run.symbol] += 1;
        }
        let codes = huffman::codes(&frequencies, 7);
        let told = CODE_ORDER.iter().rposition(|symbol| codes[*symbol].length > 0).map_or(4, |last| last + 1);
        Self { literals: literal_count, distances: distance_count, runs, codes, told: told.max(4) }
    }

    fn bits(&self) -> usize {
        let runs =
            self.runs.iter().map(|run| usize::from(self.codes[run.symbol].length) + run.extra_bits as usize);
        5 + 5 + 4 + 3 * self.told + runs.sum::<usize>()
    }

    fn write(&self, writer: &mut BitWriter) {
        let number = |count: usize, least: usize| u32::try_from(count - least).unwrap_or(0);
        writer.put(number(self.literals, 257), 5);
        writer.put(number(self.distances, 1), 5);
        writer.put(number(self.told, 4), 4);
        for symbol in &CODE_ORDER[..self.told] {
            writer.put(u32::from(self.codes[*symbol].length), 3);
        }
        for run in &self.runs {
            let code = self.codes[run.symbol];
            let length = u32::from(code.length);
            writer.put(u32::from(code.bits) | run.extra << length, length + run.extra_bits);
        }
    }
}

/// Say `count` times `length`: 16 repeats the last length, 17 and 18 repeat zeros.
fn push_run(length: u8, mut count: usize, runs: &mut Vec<Range>) {
    let plain = Range { symbol: usize::from(length), extra: 0, extra_bits: 0 };
    if length > 0 {
        runs.push(plain);
        count -= 1;
    }
    while count >= 3 {
        let (symbol, least, most, extra_bits) = match (length, count) {
            (0, 11..) => (18, 11, 138, 7),
            (0, _) => (17, 3, 10, 3),
            _ => (16, 3, 6, 2),
        };
        let taken = count.min(most);
        runs.push(Range { symbol, extra: u32::try_from(taken - least).unwrap_or(0), extra_bits });
        count -= taken;
    }
    runs.extend(std::iter::repeat_n(plain, count));
}

/// Content as it is, in pieces whose length 16 bits can say.
fn write_stored(content: &[u8], writer: &mut BitWriter) {
    for piece in content.chunks(usize::from(u16::MAX)) {
        writer.put(0, HEADER_BITS);
        writer.align();
        let length = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        writer.extend(&length.to_le_bytes());
        writer.extend(&(!length).to_le_bytes());
        writer.extend(piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_the_rfc() {
        // RFC 1951 §3.2.5, first and last of some rows.
        for (length, symbol, extra_bits) in [
            (3, 257, 0),
            (10, 264, 0),
            (11, 265, 1),
            (18, 268, 1),
            (19, 269, 2),
            (66, 276, 3),
            (67, 277, 4),
            (227, 284, 5),
            (257, 284, 5),
            (258, 285, 0),
        ] {
            let range = length_range(length);
            assert_eq!((range.symbol, range.extra_bits), (symbol, extra_bits), "length {length}");
        }
        for (distance, symbol, extra_bits) in [
            (1, 0, 0),
            (4, 3, 0),
            (5, 4, 1),
            (7, 5, 1),
            (9, 6, 2),
            (256, 15, 6),
            (257, 16, 7),
            (4096, 23, 10),
            (32_768, 29, 13),
        ] {
            let range = distance_range(distance);
            assert_eq!((range.symbol, range.extra_bits), (symbol, extra_bits), "distance {distance}");
        }
    }
}
