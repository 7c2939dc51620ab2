//! How bytes are cut into packets makes no difference.

use bicorn_http::PeerError;

use crate::dialogue::converse;
use crate::messages::ACCEPTED;
use crate::refused_content::refused_messages;
use crate::refused_heads::refused_heads;

#[test]
fn accepted_messages_mean_the_same_at_every_split() {
    for (name, message) in ACCEPTED {
        let whole = converse([*message]);
        for position in 0..=message.len() {
            let (front, back) = message.split_at(position);
            assert_eq!(converse([front, back]), whole, "{name} cut at {position}");
        }
    }
}

#[test]
fn accepted_messages_mean_the_same_in_pieces_of_any_size() {
    for (name, message) in ACCEPTED {
        let whole = converse([*message]);
        for size in 1..=message.len() {
            assert_eq!(converse(message.chunks(size)), whole, "{name} in pieces of {size}");
        }
    }
}

#[test]
fn three_pieces_are_as_good_as_two() {
    let message = b"\r\nPOST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0\r\nb:\r\n\r\nGET";
    let whole = converse([&message[..]]);
    for first in 0..=message.len() {
        for second in first..=message.len() {
            let pieces = [&message[..first], &message[first..second], &message[second..]];
            assert_eq!(converse(pieces), whole, "cut at {first} and {second}");
        }
    }
}

#[test]
fn refused_heads_are_refused_the_same_at_every_split() {
    for (name, message, error) in refused_heads() {
        for position in 0..=message.len() {
            let (front, back) = message.split_at(position);
            let refused = converse([front, back]).error;
            assert_eq!(refused.map(PeerError::status), Some(error.status()), "{name} cut at {position}");
        }
    }
}

#[test]
fn refused_heads_are_refused_the_same_byte_by_byte() {
    for (name, message, error) in refused_heads() {
        let refused = converse(message.chunks(1)).error;
        assert_eq!(refused.map(PeerError::status), Some(error.status()), "{name}");
    }
}

#[test]
fn refused_content_is_refused_the_same_at_every_split() {
    for (message, error) in refused_messages() {
        let whole = converse([&message[..]]);
        assert_eq!(whole.error, Some(error));
        for position in 0..=message.len() {
            let (front, back) = message.split_at(position);
            let cut = converse([front, back]);
            assert_eq!((cut.said, cut.error), (whole.said.clone(), Some(error)), "cut at {position}");
        }
    }
}
