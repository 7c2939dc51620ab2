//! TLS: from files and settings to handshakes.
//!
//! ```text
//!   TlsSettings ─▶ Identities (files read, one configuration for each pair) ─▶ connection/handshake.rs
//!                       ▲ read again when a file changes: reload.rs
//! ```
//! The library is rustls: no renegotiation, no compression, no early data, nothing below TLS 1.2. Nothing here
//! touches a socket.

mod certificate;
mod ciphers;
mod error;
mod identities;
mod info;
mod pem;
mod private_key;
mod reload;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConnection;
use rustls::server::ClientHello;

pub use error::TlsError;
pub(crate) use identities::Host;
use identities::Identities;
pub use info::TlsInfo;
pub use reload::Reloaded;
use reload::Watch;
pub use settings::{ClientCertificates, KeyPair, TlsSettings, Versions};

/// TLS for one server, shared by its I/O threads.
#[derive(Debug)]
pub struct Tls {
    settings: TlsSettings,
    watch: Watch,
}

impl Tls {
    /// Read every file that the settings name.
    ///
    /// # Errors
    /// A file or a setting cannot be used; the text names it.
    pub fn load(settings: TlsSettings) -> Result<Self, TlsError> {
        // Stamped before they are read: a change in between is seen as one.
        let stamps = reload::stamps(&settings);
        let identities = Identities::load(&settings)?;
        Ok(Self { settings, watch: Watch::new(identities, stamps) })
    }

    /// Put certificates and keys in pairs by their position.
    ///
    /// # Errors
    /// There are keys without a certificate.
    pub fn pairs(certfiles: &[String], keyfiles: &[String]) -> Result<Vec<KeyPair>, TlsError> {
        if let Some(left_over) = keyfiles.get(certfiles.len()) {
            return Err(if certfiles.is_empty() {
                TlsError::KeyWithoutCertificate(left_over.into())
            } else {
                TlsError::KeyLeftOver(left_over.into())
            });
        }
        let keyfiles = keyfiles.iter().map(Some).chain(std::iter::repeat(None));
        let pair = |(certfile, keyfile): (&String, Option<&String>)| KeyPair {
            certfile: certfile.into(),
            keyfile: keyfile.filter(|path| !path.is_empty()).map(Into::into),
        };
        Ok(certfiles.iter().zip(keyfiles).map(pair).collect())
    }

    /// Look, at most once a second, whether a file has changed; for the time of a handshake, not of a request.
    pub(crate) fn refresh(&self) -> Option<Reloaded> {
        self.watch.refresh(&self.settings)
    }

    /// The identity for a client; `None` is never the case, as there is at least one pair.
    pub(crate) fn choose(&self, hello: &ClientHello<'_>) -> Option<Arc<Host>> {
        self.watch.identities().choose(hello).cloned()
    }

    /// How long a handshake may take.
    pub(crate) fn handshake_deadline(&self) -> Option<Duration> {
        self.settings.handshake
    }
}

/// What is known at the end of a handshake.
pub(crate) fn info(connection: &ServerConnection, host: &Host) -> Arc<TlsInfo> {
    Arc::new(TlsInfo::new(connection, host.pem()))
}
