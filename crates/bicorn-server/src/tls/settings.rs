//! What TLS is told, as values.

use std::path::PathBuf;
use std::time::Duration;

/// The TLS settings of one server.
#[derive(Clone)]
pub struct TlsSettings {
    /// Certificates and their keys. A client gets one whose names fit what it asks for, else the first.
    pub pairs: Vec<KeyPair>,
    /// What encrypted keys are encrypted with.
    pub password: Option<String>,
    /// Whether clients show certificates.
    pub client_certificates: ClientCertificates,
    /// File of the authorities that client certificates are checked with.
    pub ca_certs: Option<PathBuf>,
    /// An OpenSSL cipher string.
    pub ciphers: Option<String>,
    /// Which versions are spoken.
    pub versions: Versions,
    /// Whether ALPN offers HTTP/2.
    pub http2: bool,
    /// From accept to the end of the handshake; `None` is no deadline.
    pub handshake: Option<Duration>,
}

/// A certificate chain and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPair {
    /// PEM file of the chain, the server's own certificate first.
    pub certfile: PathBuf,
    /// PEM file of the key; `None` when it stands in `certfile`.
    pub keyfile: Option<PathBuf>,
}

/// Whether clients must show a certificate (the numbers of Python's `ssl.VerifyMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// 0: they are not asked.
    None,
    /// 1: they are asked, and one that is shown must be good.
    Optional,
    /// 2: they are not served without a good one.
    Required,
}

/// Protocol versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Versions {
    /// TLS 1.2 and 1.3.
    Both,
    /// TLS 1.2 alone.
    Tls12,
}

impl std::fmt::Debug for TlsSettings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The password must not get into a log.
        formatter.debug_struct("TlsSettings").field("pairs", &self.pairs).finish_non_exhaustive()
    }
}
