//! How the buffer of a message grows.

/// Make room for `added` bytes behind `content`, which may become as long as `most`.
///
/// Short messages double. Long ones go on in one step: memory that was never written costs nothing, but two
/// buffers do, of which one is copied to the other. So a message takes 1 MiB more than its limit at most,
/// whatever the allocator does.
pub(super) fn reserve(content: &mut Vec<u8>, added: usize, most: usize) {
    let (length, needed) = (content.len(), content.len() + added);
    if content.capacity() >= needed {
        return;
    }
    let factor = if length < LONG_BYTES { 2 } else { LONG_FACTOR };
    let capacity = length.saturating_mul(factor).min(most).max(needed);
    content.reserve_exact(capacity - length);
}

/// Doubled, it is what may be copied.
const LONG_BYTES: usize = 256 * 1024;
/// From there to the usual limit of 16 MiB.
const LONG_FACTOR: usize = 64;
