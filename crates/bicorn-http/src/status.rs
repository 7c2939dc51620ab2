//! Reason phrases.

/// Placeholder.
pub fn phrase(_status: u16) -> &'static str {
    "OK"
}
