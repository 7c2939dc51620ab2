//! Close frames: codes and reasons (RFC 6455 §5.5.1, §7.4).

use super::Violation;
use super::frame::CONTROL_BYTES;

/// Whether a close frame may carry this code: what RFC 6455 §7.4 and the IANA registry define for the wire,
/// and the ranges for libraries and applications.
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Code and reason of a peer's close frame.
///
/// # Errors
/// Half a code, a code that may not be sent, or a reason that is no UTF-8.
pub(super) fn parse(payload: &[u8]) -> Result<(Option<u16>, &str), Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() {
            Ok((None, ""))
        } else {
            Err(Violation::protocol("close frame with half a code"))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !is_close_code(code) {
        return Err(Violation::protocol("invalid close code"));
    }
    let reason = str::from_utf8(reason).map_err(|_| Violation::NOT_UTF8)?;
    Ok((Some(code), reason))
}

/// Code and as much of the reason as a control frame holds.
pub(super) fn payload<'a>(code: u16, reason: &str, buffer: &'a mut [u8; CONTROL_BYTES]) -> &'a [u8] {
    let mut end = reason.len().min(CONTROL_BYTES - CODE_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let length = CODE_BYTES + end;
    buffer[..CODE_BYTES].copy_from_slice(&code.to_be_bytes());
    buffer[CODE_BYTES..length].copy_from_slice(&reason.as_bytes()[..end]);
    &buffer[..length]
}

const CODE_BYTES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_reasons_are_cut_between_characters() {
        let mut buffer = [0; CONTROL_BYTES];
        for (reason, length) in [("é".repeat(100), 2 + 122), ("a".repeat(123), 125), ("a".repeat(500), 125)]
        {
            let payload = payload(4000, &reason, &mut buffer);
            assert_eq!(payload.len(), length);
            assert_eq!(parse(payload).unwrap().1, &reason[..length - 2]);
        }
    }
}
