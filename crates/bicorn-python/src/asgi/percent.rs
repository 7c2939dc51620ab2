//! Percent-encoding of paths (RFC 3986 §2.1).

use std::borrow::Cow;

/// Decode `%XX`; anything else stays as it is, as `urllib.parse.unquote_to_bytes` leaves it.
pub(crate) fn percent_decode(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'%') {
        return raw.into();
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        let pair = (byte == b'%').then(|| Some((hex(*tail.first()?)?, hex(*tail.get(1)?)?))).flatten();
        if let Some((high, low)) = pair {
            decoded.push(high << 4 | low);
            rest = &tail[2..];
        } else {
            decoded.push(byte);
            rest = tail;
        }
    }
    decoded.into()
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
