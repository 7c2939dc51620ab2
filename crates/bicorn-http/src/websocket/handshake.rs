//! The opening handshake (RFC 6455 §4.2; RFC 8441 §5 over HTTP/2).
//!
//! A checked request head comes in. What comes out is either "no WebSocket", or an [`Offer`] that the
//! application decides upon, or an error that is answered before any application hears of it. Everything a
//! peer may put into these fields is looked at here, once, and in one pass.

use super::Settings;
use super::deflate::{self, Agreement};
use super::digest::{KEY_BYTES, TOKEN_BYTES, accept_token, is_key};
use super::extensions;
use crate::error::PeerError;
use crate::headers::{RequestHead, Version, is_token_byte, list_contains};

/// What a request head that asks for a WebSocket offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The answer to the key; HTTP/2 has none (RFC 8441 §5).
    token: Option<[u8; TOKEN_BYTES]>,
    subprotocols: Vec<String>,
    /// The first offer of permessage-deflate that can be agreed to.
    deflate: Option<deflate::Offer>,
}

impl Offer {
    /// The subprotocols in the peer's order of preference; each is a token.
    pub fn subprotocols(&self) -> &[String] {
        &self.subprotocols
    }
}

/// Whether an HTTP/1 head asks for a WebSocket, and what it offers. `None` for every other request, upgrades
/// to other protocols among them.
///
/// # Errors
/// It asks for a WebSocket, but not as RFC 6455 §4.2.1 requires.
pub fn check(head: &RequestHead) -> Result<Option<Offer>, PeerError> {
    if !asks_for_websocket(head) {
        return Ok(None);
    }
    if head.method() != b"GET" || head.version() == Version::Http10 {
        return Err(PeerError::WebSocketRequestLine);
    }
    let fields = Fields::of(head)?;
    fields.check_version()?;
    // Bytes behind the head are the first frames. To whom takes them for content, they are not.
    if fields.has_content {
        return Err(PeerError::WebSocketContent);
    }
    let key = fields.key.ok_or(PeerError::WebSocketKey)?;
    Ok(Some(fields.into_offer(Some(accept_token(&key)))))
}

/// What an HTTP/2 head offers that asks for a WebSocket with an extended `CONNECT` (RFC 8441 §5): method and
/// protocol are the caller's to check, and there is no key.
///
/// # Errors
/// A field is malformed, or names another version.
pub fn check_stream(head: &RequestHead) -> Result<Offer, PeerError> {
    let fields = Fields::of(head)?;
    fields.check_version()?;
    Ok(fields.into_offer(None))
}

/// The field lines that accept an offer, and the compression that they agree to. The lines belong into a 101,
/// or for an offer of [`check_stream`] into a 200.
pub fn accept(offer: &Offer, settings: &Settings) -> (Vec<u8>, Option<Agreement>) {
    let mut lines = Vec::with_capacity(USUAL_LINES_BYTES);
    if let Some(token) = &offer.token {
        // In RFC 6455's spelling, which not every client reads without regard to case.
        lines.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
        lines.extend_from_slice(token);
        lines.extend_from_slice(b"\r\n");
    }
    let agreement = offer.deflate.filter(|_| settings.per_message_deflate).map(deflate::Offer::agree);
    if let Some(agreement) = &agreement {
        // HTTP/2 has names in lower case only (RFC 9113 §8.2).
        let name =
            if offer.token.is_some() { "Sec-WebSocket-Extensions: " } else { "sec-websocket-extensions: " };
        lines.extend_from_slice(name.as_bytes());
        lines.extend_from_slice(agreement.to_string().as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    (lines, agreement)
}

/// Room for all lines with the usual extension.
const USUAL_LINES_BYTES: usize = 256;

fn asks_for_websocket(head: &RequestHead) -> bool {
    // In HTTP/1.0 an upgrade is to be ignored (RFC 9110 §7.8), so its head does not claim one. A WebSocket
    // client is told all the same, since a plain answer cannot be what it wants.
    let lists = |name: &[u8], member: &[u8]| {
        head.fields().any(|(field, value)| field.eq_ignore_ascii_case(name) && list_contains(value, member))
    };
    match head.version() {
        Version::Http11 => head.asks_for_upgrade() && lists(b"upgrade", b"websocket"),
        Version::Http10 => lists(b"upgrade", b"websocket") && lists(b"connection", b"upgrade"),
        // Asks with an extended CONNECT: see `check_stream`.
        Version::Http2 => false,
    }
}

/// The fields of a handshake.
#[derive(Default)]
struct Fields {
    key: Option<[u8; KEY_BYTES]>,
    has_version: bool,
    has_other_version: bool,
    has_content: bool,
    subprotocols: Vec<String>,
    deflate: Option<deflate::Offer>,
}

impl Fields {
    fn of(head: &RequestHead) -> Result<Self, PeerError> {
        let mut fields = Self::default();
        for (name, value) in head.fields() {
            fields.note(name, value)?;
        }
        Ok(fields)
    }

    fn note(&mut self, name: &[u8], value: &[u8]) -> Result<(), PeerError> {
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        match name.len() {
            14 if is(b"content-length") => self.has_content |= value != b"0",
            17 if is(b"transfer-encoding") => self.has_content = true,
            17 if is(b"sec-websocket-key") => {
                let key = value.try_into().ok().filter(is_key).ok_or(PeerError::WebSocketKey)?;
                if self.key.replace(key).is_some() {
                    return Err(PeerError::WebSocketKey);
                }
            }
            21 if is(b"sec-websocket-version") => {
                self.has_version = true;
                // RFC 6455 §4.4: there is no version but 13.
                self.has_other_version |= value != b"13";
            }
            22 if is(b"sec-websocket-protocol") => self.note_subprotocols(value)?,
            24 if is(b"sec-websocket-extensions") => self.note_extensions(value)?,
            _ => {}
        }
        Ok(())
    }

    fn note_subprotocols(&mut self, list: &[u8]) -> Result<(), PeerError> {
        let known = self.subprotocols.len();
        for item in list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            // Empty members of a list mean nothing (RFC 9110 §5.6.1.2).
            if item.is_empty() {
                continue;
            }
            let token = str::from_utf8(item).ok().filter(|token| token.bytes().all(is_token_byte));
            self.subprotocols.push(token.ok_or(PeerError::WebSocketSubprotocol)?.to_owned());
        }
        if self.subprotocols.len() == known { Err(PeerError::WebSocketSubprotocol) } else { Ok(()) }
    }

    fn note_extensions(&mut self, list: &[u8]) -> Result<(), PeerError> {
        for extension in extensions::parse(list).ok_or(PeerError::WebSocketExtensions)? {
            // An offer that cannot be met is passed over for the next one (RFC 7692 §5.1).
            self.deflate = self.deflate.or_else(|| deflate::Offer::of(&extension));
        }
        Ok(())
    }

    fn check_version(&self) -> Result<(), PeerError> {
        if self.has_other_version {
            Err(PeerError::WebSocketVersion)
        } else if self.has_version {
            Ok(())
        } else {
            Err(PeerError::WebSocketVersionMissing)
        }
    }

    fn into_offer(self, token: Option<[u8; TOKEN_BYTES]>) -> Offer {
        Offer { token, subprotocols: self.subprotocols, deflate: self.deflate }
    }
}
