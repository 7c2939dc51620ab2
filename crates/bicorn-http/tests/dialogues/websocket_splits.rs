//! How frames are cut into packets makes no difference.

use crate::websocket::Peer;
use crate::websocket_messages::accepted;
use crate::websocket_violations::refused;

/// Longer inputs are not cut at every byte, which costs the square of their length.
const CUT_BYTES: usize = 600;

#[test]
fn messages_mean_the_same_at_every_split() {
    for (name, bytes, _) in accepted() {
        let whole = Peer::new().converse([&bytes[..]]);
        for position in (0..=bytes.len()).step_by(bytes.len().div_ceil(CUT_BYTES)) {
            let (front, back) = bytes.split_at(position);
            assert_eq!(Peer::new().converse([front, back]), whole, "{name} cut at {position}");
        }
    }
}

#[test]
fn messages_mean_the_same_in_pieces_of_any_size() {
    for (name, bytes, _) in accepted() {
        let whole = Peer::new().converse([&bytes[..]]);
        for size in [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 100, 1000] {
            assert_eq!(Peer::new().converse(bytes.chunks(size)), whole, "{name} in pieces of {size}");
        }
    }
}

#[test]
fn violations_are_the_same_at_every_split() {
    for (name, _, bytes) in refused() {
        let whole = Peer::new().converse([&bytes[..]]);
        for position in 0..=bytes.len() {
            let (front, back) = bytes.split_at(position);
            assert_eq!(Peer::new().converse([front, back]), whole, "{name} cut at {position}");
        }
        assert_eq!(Peer::new().converse(bytes.chunks(1)), whole, "{name} byte by byte");
    }
}
