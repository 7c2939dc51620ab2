//! What a peer can do wrong, and the status it is answered with.
//!
//! Every variant is the peer's fault. The connection answers with [`PeerError::status`], lingers so that
//! the answer can be read, and closes: after a malformed message nothing behind it can be trusted
//! (RFC 9112 §2.2, §6.3).

use std::fmt;

/// A violation of HTTP by the peer, or a limit that it crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerError {
    /// The request line is not `method SP request-target SP HTTP-version CRLF` (RFC 9112 §3).
    RequestLine,
    /// The third and last word of the request line is no version of any protocol (RFC 9112 §2.3): not HTTP/1.
    Protocol,
    /// The request target has no form that fits its method, or holds a byte no URI may hold (RFC 9112 §3.2).
    Target,
    /// A version this server does not speak (RFC 9112 §2.3).
    Version,
    /// A field name or value with a forbidden byte, a folded line, or no colon (RFC 9112 §5).
    Field,
    /// A line that ends in something other than CRLF (RFC 9112 §2.2).
    LineEnd,
    /// No `Host`, more than one, or one that is not a `uri-host [":" port]` (RFC 9112 §3.2).
    Host,
    /// `Content-Length` is not one plain decimal number (RFC 9112 §6.3).
    ContentLength,
    /// `Transfer-Encoding` together with `Content-Length`, in HTTP/1.0, or `chunked` not as the only and
    /// final coding (RFC 9112 §6.1).
    TransferEncoding,
    /// A transfer coding that this server does not know (RFC 9112 §6.1).
    UnknownTransferCoding,
    /// A second `Content-Type` (RFC 9110 §8.3: the field is a singleton).
    ContentType,
    /// An `Expect` other than `100-continue` (RFC 9110 §10.1.1).
    Expectation,
    /// A WebSocket handshake of another version than 13 (RFC 6455 §4.4).
    WebSocketVersion,
    /// A WebSocket handshake that names no version (RFC 6455 §4.2.1).
    WebSocketVersionMissing,
    /// A WebSocket handshake that is no `GET` of HTTP/1.1 (RFC 6455 §4.2.1).
    WebSocketRequestLine,
    /// A WebSocket handshake with content, which would be the first frames to somebody else.
    WebSocketContent,
    /// No `Sec-WebSocket-Key`, more than one, or one that is not 16 bytes in base64 (RFC 6455 §4.2.1).
    WebSocketKey,
    /// A `Sec-WebSocket-Protocol` that is not a list of tokens (RFC 6455 §11.3.4).
    WebSocketSubprotocol,
    /// A `Sec-WebSocket-Extensions` outside the grammar (RFC 6455 §9.1).
    WebSocketExtensions,
    /// A method that cannot be served by an application: `CONNECT` (RFC 9110 §9.3.6).
    Method,
    /// A chunk size, extension, terminator or trailer outside the grammar (RFC 9112 §7.1).
    Chunk,
    /// The head is larger than the limit.
    HeadTooLarge,
    /// The head has more fields than the limit.
    TooManyFields,
    /// The request target is longer than the limit.
    TargetTooLong,
    /// The head or the body did not arrive in time.
    Timeout,
    /// HTTP in the clear where TLS is spoken.
    ClearText,
}

impl PeerError {
    /// The status code that tells the peer (RFC 9110 §15.5, §15.6; RFC 6585 §5).
    pub fn status(self) -> u16 {
        match self {
            Self::RequestLine
            | Self::Protocol
            | Self::Target
            | Self::Field
            | Self::LineEnd
            | Self::Host
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::ContentType
            | Self::WebSocketVersionMissing
            | Self::WebSocketRequestLine
            | Self::WebSocketContent
            | Self::WebSocketKey
            | Self::WebSocketSubprotocol
            | Self::WebSocketExtensions
            | Self::Chunk
            | Self::ClearText => 400,
            Self::Timeout => 408,
            Self::TargetTooLong => 414,
            Self::Expectation => 417,
            Self::WebSocketVersion => 426,
            Self::HeadTooLarge | Self::TooManyFields => 431,
            Self::UnknownTransferCoding | Self::Method => 501,
            Self::Version => 505,
        }
    }

    /// Field lines that the answer must carry besides the usual ones (RFC 9110 §15.5.22).
    pub fn fields(self) -> &'static [u8] {
        match self {
            Self::WebSocketVersion => b"upgrade: websocket\r\nsec-websocket-version: 13\r\n",
            _ => b"",
        }
    }

    /// Whether a WebSocket handshake was wrong, in a request that was right.
    pub fn is_websocket(self) -> bool {
        matches!(
            self,
            Self::WebSocketVersion
                | Self::WebSocketVersionMissing
                | Self::WebSocketRequestLine
                | Self::WebSocketContent
                | Self::WebSocketKey
                | Self::WebSocketSubprotocol
                | Self::WebSocketExtensions
        )
    }

    /// The text/plain content of the answer: for a malformed request uvicorn's words, for a WebSocket
    /// handshake the reason, which its author can act upon.
    pub fn content(self) -> &'static str {
        match self.status() {
            _ if self.is_websocket() || self == Self::ClearText => self.reason(),
            400 => "Invalid HTTP request received.",
            status => crate::status::phrase(status),
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::RequestLine => "malformed request line",
            Self::Protocol => "neither HTTP/1 nor HTTP/2",
            Self::Target => "malformed request target",
            Self::Version => "unsupported HTTP version",
            Self::Field => "malformed field line",
            Self::LineEnd => "line does not end in CRLF",
            Self::Host => "missing, repeated or malformed Host",
            Self::ContentLength => "malformed Content-Length",
            Self::TransferEncoding => "forbidden Transfer-Encoding",
            Self::UnknownTransferCoding => "unknown transfer coding",
            Self::ContentType => "repeated Content-Type",
            Self::Expectation => "unknown expectation",
            Self::WebSocketVersion => "unknown WebSocket version",
            Self::WebSocketVersionMissing => "missing Sec-WebSocket-Version",
            Self::WebSocketRequestLine => "WebSocket handshake is not a GET request of HTTP/1.1",
            Self::WebSocketContent => "WebSocket handshake has content",
            Self::WebSocketKey => "missing, repeated or malformed Sec-WebSocket-Key",
            Self::WebSocketSubprotocol => "malformed Sec-WebSocket-Protocol",
            Self::WebSocketExtensions => "malformed Sec-WebSocket-Extensions",
            Self::Method => "method not supported",
            Self::Chunk => "malformed chunked body",
            Self::HeadTooLarge => "request head too large",
            Self::TooManyFields => "too many field lines",
            Self::TargetTooLong => "request target too long",
            Self::Timeout => "request timed out",
            Self::ClearText => "plain HTTP request sent to a TLS port",
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.reason())
    }
}

impl std::error::Error for PeerError {}
