//! Huffman codes: from how often symbols occur to the bits that stand for them (RFC 1951 §3.2.2).

/// The bits of one symbol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Code {
    /// In the order in which they are written: the code's first bit is the lowest.
    pub(super) bits: u16,
    /// 0 for a symbol that does not occur.
    pub(super) length: u8,
}

/// Symbols of the largest alphabet, literals and lengths.
const MAX_SYMBOLS: usize = 288;
/// The longest code of DEFLATE.
const LENGTH_LIMIT: u8 = 15;

/// Codes for symbols with these frequencies, none longer than `limit` bits.
pub(super) fn codes<const SYMBOLS: usize>(frequencies: &[u16; SYMBOLS], limit: usize) -> [Code; SYMBOLS] {
    let mut used = [(0_u16, 0_u16); MAX_SYMBOLS];
    let mut count = 0;
    for (symbol, frequency) in (0..).zip(frequencies) {
        if *frequency > 0 {
            used[count] = (*frequency, symbol);
            count += 1;
        }
    }
    let used = &mut used[..count];
    used.sort_unstable();
    let mut counts = count_lengths(used);
    limit_lengths(&mut counts, limit);
    // The rarest symbols get the longest codes.
    let mut codes = [Code::default(); SYMBOLS];
    let lengths =
        (1..=LENGTH_LIMIT).rev().flat_map(|length| std::iter::repeat_n(length, counts[usize::from(length)]));
    for ((_, symbol), length) in used.iter().zip(lengths) {
        codes[usize::from(*symbol)].length = length;
    }
    number(&mut codes);
    codes
}

/// How many codes of each length make the shortest text (Huffman's algorithm with two queues).
fn count_lengths(used: &[(u16, u16)]) -> [usize; MAX_SYMBOLS] {
    let mut counts = [0; MAX_SYMBOLS];
    if used.len() < 2 {
        counts[1] = used.len();
        return counts;
    }
    // Inner nodes in the order in which they are made, which is that of their weights.
    let mut weights = [0_u32; MAX_SYMBOLS];
    let mut parents = [0_u16; MAX_SYMBOLS];
    let mut leaf_parents = [0_u16; MAX_SYMBOLS];
    let (mut leaf, mut inner) = (0, 0);
    let nodes = used.len() - 1;
    for (node, number) in (0..nodes).zip(0_u16..) {
        for _ in 0..2 {
            let is_leaf = leaf < used.len() && (inner == node || u32::from(used[leaf].0) <= weights[inner]);
            if is_leaf {
                weights[node] += u32::from(used[leaf].0);
                leaf_parents[leaf] = number;
                leaf += 1;
            } else {
                weights[node] += weights[inner];
                parents[inner] = number;
                inner += 1;
            }
        }
    }
    // The last one is the root; each is made before its parent.
    let mut depths = [0_usize; MAX_SYMBOLS];
    for node in (0..nodes - 1).rev() {
        depths[node] = depths[usize::from(parents[node])] + 1;
    }
    for parent in &leaf_parents[..used.len()] {
        counts[depths[usize::from(*parent)] + 1] += 1;
    }
    counts
}

/// Shorten codes that are too long, and lengthen others until all of them fit again.
fn limit_lengths(counts: &mut [usize; MAX_SYMBOLS], limit: usize) {
    counts[limit] += counts[limit + 1..].iter().sum::<usize>();
    counts[limit + 1..].fill(0);
    let space = |counts: &[usize; MAX_SYMBOLS]| -> usize {
        (1..=limit).map(|length| counts[length] << (limit - length)).sum()
    };
    for _ in 1 << limit..space(counts) {
        // One code less at the limit, and two where a shorter one was.
        counts[limit] -= 1;
        if let Some(length) = (1..limit).rev().find(|length| counts[*length] > 0) {
            counts[length] -= 1;
            counts[length + 1] += 2;
        }
    }
}

/// Give out the bits by length and symbol (RFC 1951 §3.2.2).
const fn number<const SYMBOLS: usize>(codes: &mut [Code; SYMBOLS]) {
    let mut next = [0_u16; LENGTH_LIMIT as usize + 2];
    let mut symbol = 0;
    while symbol < SYMBOLS {
        next[codes[symbol].length as usize + 1] += 1;
        symbol += 1;
    }
    next[1] = 0;
    let mut length = 1;
    while length <= LENGTH_LIMIT as usize {
        next[length + 1] = (next[length] + next[length + 1]) << 1;
        length += 1;
    }
    symbol = 0;
    while symbol < SYMBOLS {
        let length = codes[symbol].length;
        if length > 0 {
            let bits = next[length as usize];
            next[length as usize] = bits.wrapping_add(1);
            codes[symbol].bits = bits.reverse_bits() >> (16 - length);
        }
        symbol += 1;
    }
}

/// The codes of blocks that bring none (RFC 1951 §3.2.6): literals and lengths.
pub(super) static FIXED_LITERALS: [Code; 288] = {
    let mut codes = [Code { bits: 0, length: 8 }; 288];
    let mut symbol = 144;
    while symbol < 280 {
        codes[symbol].length = if symbol < 256 { 9 } else { 7 };
        symbol += 1;
    }
    number(&mut codes);
    codes
};

/// The same for distances.
pub(super) static FIXED_DISTANCES: [Code; 30] = {
    let mut codes = [Code { bits: 0, length: 5 }; 30];
    number(&mut codes);
    codes
};

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths<const SYMBOLS: usize>(codes: &[Code; SYMBOLS]) -> [u8; SYMBOLS] {
        codes.map(|code| code.length)
    }

    #[test]
    fn frequent_symbols_have_short_codes() {
        assert_eq!(lengths(&codes(&[10, 1, 1, 5], 15)), [1, 3, 3, 2]);
        assert_eq!(lengths(&codes(&[1, 1, 1, 1], 15)), [2; 4]);
        assert_eq!(lengths(&codes(&[0, 7, 0, 3], 15)), [0, 1, 0, 1]);
        assert_eq!(lengths(&codes(&[0, 7, 0, 0], 15)), [0, 1, 0, 0]);
        assert_eq!(lengths(&codes(&[0, 0, 0, 0], 15)), [0; 4]);
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 1951 §3.2.2: lengths 3, 3, 3, 3, 3, 2, 4, 4 give these codes.
        let mut codes = [3, 3, 3, 3, 3, 2, 4, 4].map(|length| Code { bits: 0, length });
        number(&mut codes);
        let expected = [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111];
        let bits = codes.map(|code| code.bits.reverse_bits() >> (16 - code.length));
        assert_eq!(bits, expected);
    }

    #[test]
    fn no_code_is_longer_than_the_limit_and_all_fit() {
        // Fibonacci numbers make the deepest tree.
        let mut frequencies = [1_u16; 20];
        for index in 2..frequencies.len() {
            frequencies[index] = frequencies[index - 1] + frequencies[index - 2];
        }
        for limit in [5, 7, 15] {
            let codes = codes(&frequencies, limit);
            let space: usize = codes.iter().map(|code| 1 << (limit - usize::from(code.length))).sum();
            assert!(space <= 1 << limit, "{limit}: {codes:?}");
            assert!(codes.iter().all(|code| (1..=limit).contains(&usize::from(code.length))), "{limit}");
        }
    }
}
