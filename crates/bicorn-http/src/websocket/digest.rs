//! The proof that a server understood the handshake (RFC 6455 §4.2.2): base64 of a SHA-1.
//!
//! SHA-1 protects nothing here: it only shows that the other side speaks WebSocket.

use base64ct::{Base64, Encoding};
use sha1::{Digest, Sha1};

/// `Sec-WebSocket-Accept` for a key.
pub(super) fn accept_token(key: &[u8; KEY_BYTES]) -> [u8; TOKEN_BYTES] {
    let digest = Sha1::new().chain_update(key).chain_update(IDENTIFIER).finalize();
    let mut token = [0; TOKEN_BYTES];
    // 20 bytes always make 28 digits, so there is nothing to do about an error.
    let _ = Base64::encode(&digest, &mut token);
    token
}

/// Whether these bytes are 16 bytes in base64. Bits behind the last byte are not looked at, as in other servers.
pub(super) fn is_key(key: &[u8; KEY_BYTES]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.ends_with(b"==") && key[..KEY_BYTES - 2].iter().all(is_digit)
}

/// 16 bytes in base64.
pub(super) const KEY_BYTES: usize = 24;
/// 20 bytes in base64.
pub(super) const TOKEN_BYTES: usize = 28;

/// RFC 6455 §1.3.
const IDENTIFIER: &[u8; 36] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

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
