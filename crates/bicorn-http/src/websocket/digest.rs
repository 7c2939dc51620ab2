//! The proof that a server understood the handshake (RFC 6455 §4.2.2): base64 of a SHA-1.
//!
//! Both stand here because they are 60 lines that never change, and the crates for them bring seven more.
//! SHA-1 protects nothing here: it only shows that the other side speaks WebSocket. Not for other uses.

/// `Sec-WebSocket-Accept` for a key.
pub(super) fn accept_token(key: &[u8; KEY_BYTES]) -> [u8; TOKEN_BYTES] {
    // The key and the identifier are 60 bytes: with padding and length, two blocks.
    let mut message = [0; 2 * BLOCK_BYTES];
    let length = KEY_BYTES + IDENTIFIER.len();
    message[..KEY_BYTES].copy_from_slice(key);
    message[KEY_BYTES..length].copy_from_slice(IDENTIFIER);
    message[length] = 0x80;
    message[2 * BLOCK_BYTES - 8..].copy_from_slice(&(length as u64 * 8).to_be_bytes());
    let mut state = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    for block in message.as_chunks().0 {
        digest_block(&mut state, block);
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    base64(&digest)
}

/// Whether these bytes are 16 bytes in base64.
pub(super) fn is_key(key: &[u8; KEY_BYTES]) -> bool {
    key.ends_with(b"==") && key[..KEY_BYTES - 2].iter().all(|byte| BASE64.contains(byte))
}

/// 16 bytes in base64.
pub(super) const KEY_BYTES: usize = 24;
/// 20 bytes in base64.
pub(super) const TOKEN_BYTES: usize = 28;

const BLOCK_BYTES: usize = 64;
/// RFC 6455 §1.3.
const IDENTIFIER: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// One round of SHA-1 (FIPS 180-4 §6.1.2).
fn digest_block(state: &mut [u32; 5], block: &[u8; BLOCK_BYTES]) {
    let mut words = [0_u32; 80];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for index in 16..80 {
        words[index] =
            (words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16]).rotate_left(1);
    }
    let mut round = *state;
    for (index, word) in words.iter().enumerate() {
        let [first, second, third, fourth, fifth] = round;
        let (mix, constant) = match index / 20 {
            0 => ((second & third) | (!second & fourth), 0x5a82_7999),
            1 => (second ^ third ^ fourth, 0x6ed9_eba1),
            2 => ((second & third) | (second & fourth) | (third & fourth), 0x8f1b_bcdc),
            _ => (second ^ third ^ fourth, 0xca62_c1d6),
        };
        let next = [first.rotate_left(5), mix, fifth, constant, *word].into_iter().fold(0, u32::wrapping_add);
        round = [next, first, second.rotate_left(30), third, fourth];
    }
    for (sum, word) in state.iter_mut().zip(round) {
        *sum = sum.wrapping_add(word);
    }
}

fn base64(digest: &[u8; 20]) -> [u8; TOKEN_BYTES] {
    let mut token = [b'='; TOKEN_BYTES];
    for (group, bytes) in token.chunks_mut(4).zip(digest.chunks(3)) {
        let bits =
            bytes.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - bytes.len()));
        for (position, digit) in group.iter_mut().enumerate().take(bytes.len() + 1) {
            *digit = BASE64[(bits >> (18 - 6 * position)) as usize & 63];
        }
    }
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_those_of_the_rfc_and_of_openssl() {
        // The first one is in RFC 6455 §1.3.
        for (key, token) in [
            (b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            (b"AAAAAAAAAAAAAAAAAAAAAA==", b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
            (b"/////////////////////w==", b"XXpj4jYzLM2yUE0C7TIgMwTQh2g="),
        ] {
            assert_eq!(accept_token(key), *token, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn keys_are_sixteen_bytes_in_base64() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for bad in [b"dGhlIHNhbXBsZSBub25jZQ=A", b"dGhlIHNhbXBsZSBub25jZ===", b"dGhlIHNhbXBsZSBub25j-Q=="] {
            assert!(!is_key(bad), "{}", bad.escape_ascii());
        }
    }
}
