//! What a handshake has found out.

use std::sync::Arc;

use rustls::ServerConnection;

use super::certificate::subject;
use super::pem;

/// The facts of a TLS connection (ASGI TLS extension 0.2, "TLS Extension"). The same for all of its exchanges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsInfo {
    /// The certificate that the server showed, in PEM.
    pub server_cert: Arc<str>,
    /// The client's certificate and those that came with it, in PEM; empty when it showed none.
    pub client_cert_chain: Vec<String>,
    /// The subject of the client's certificate as RFC 4514 writes it.
    pub client_cert_name: Option<String>,
    /// The number of the version on the wire: 0x0303 is TLS 1.2.
    pub version: Option<u16>,
    /// The number of the cipher suite in IANA's registry.
    pub cipher_suite: Option<u16>,
}

impl TlsInfo {
    pub(super) fn new(connection: &ServerConnection, server_cert: &Arc<str>) -> Self {
        let chain = connection.peer_certificates().unwrap_or_default();
        Self {
            server_cert: Arc::clone(server_cert),
            client_cert_chain: chain.iter().map(|certificate| pem::certificate(certificate)).collect(),
            client_cert_name: chain.first().and_then(subject),
            version: connection.protocol_version().map(u16::from),
            cipher_suite: connection.negotiated_cipher_suite().map(|suite| u16::from(suite.suite())),
        }
    }
}
