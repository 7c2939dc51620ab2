//! Everything that is read from the files, ready for handshakes.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{
    ClientHello, NoClientAuth, ServerSessionMemoryCache, WebPkiClientVerifier, danger::ClientCertVerifier,
};
use rustls::sign::SingleCertAndKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::certificate::{Identity, authorities};
use super::ciphers;
use super::error::TlsError;
use super::settings::{ClientCertificates, TlsSettings, Versions};

/// Sessions that clients without tickets may resume; 256 is the library's own figure.
const SESSIONS: usize = 256;

/// One identity and what a handshake under it needs.
#[derive(Debug)]
pub(crate) struct Host {
    identity: Identity,
    pub(crate) config: Arc<ServerConfig>,
}

impl Host {
    /// The certificate in PEM.
    pub(crate) fn pem(&self) -> &Arc<str> {
        &self.identity.pem
    }

    /// Whether the client can check this certificate's signatures, and has a cipher suite for them.
    fn suits(&self, hello: &ClientHello<'_>) -> bool {
        let key = &self.identity.key.key;
        let mut suites = self.config.crypto_provider().cipher_suites.iter();
        key.choose_scheme(hello.signature_schemes()).is_some()
            && suites.any(|suite| {
                hello.cipher_suites().contains(&suite.suite())
                    && suite.usable_for_signature_algorithm(key.algorithm())
            })
    }

    fn has_name(&self, name: &str) -> bool {
        self.identity.names.iter().any(|known| known == name)
    }
}

/// All identities of a server; at least one.
#[derive(Debug)]
pub(crate) struct Identities {
    hosts: Vec<Arc<Host>>,
}

impl Identities {
    /// Read every file and prepare every identity.
    ///
    /// # Errors
    /// A file or a setting cannot be used.
    pub(super) fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        let mut provider = default_provider();
        if let Some(text) = &settings.ciphers {
            provider.cipher_suites = ciphers::choose(text, &provider.cipher_suites)?;
        }
        let provider = Arc::new(provider);
        let other = |error: &dyn std::fmt::Display| TlsError::Other(error.to_string());
        let common = Common {
            verifier: verifier(settings, &provider)?,
            versions: versions(settings.versions, &provider),
            // Sessions are shared between identities: a session is only resumed under the name it began with.
            sessions: ServerSessionMemoryCache::new(SESSIONS),
            ticketer: Ticketer::new().map_err(|error| other(&error))?,
            provider,
        };
        let host = |pair| {
            let identity = Identity::load(pair, settings.password.as_deref(), &common.provider)?;
            let config = common.config(&identity, settings).map_err(|error| other(&error))?;
            Ok(Arc::new(Host { identity, config: Arc::new(config) }))
        };
        Ok(Self { hosts: settings.pairs.iter().map(host).collect::<Result<_, _>>()? })
    }

    /// The identity for a client: by the exact name it asks for, by a wildcard, else the first. Among several
    /// that fit, the first whose kind of key the client knows.
    pub(super) fn choose(&self, hello: &ClientHello<'_>) -> Option<&Arc<Host>> {
        let name = hello.server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let wildcard = name.as_ref().and_then(|name| Some(format!("*.{}", name.split_once('.')?.1)));
        let named = |name: &Option<String>| {
            let hosts =
                self.hosts.iter().filter(|host| name.as_ref().is_some_and(|name| host.has_name(name)));
            hosts.collect::<Vec<_>>()
        };
        let (exact, wild) = (named(&name), named(&wildcard));
        let fitting = exact.into_iter().chain(wild).chain(&self.hosts);
        fitting.into_iter().find(|host| host.suits(hello)).or_else(|| self.hosts.first())
    }
}

/// What is the same for all identities.
struct Common {
    provider: Arc<CryptoProvider>,
    versions: Vec<&'static SupportedProtocolVersion>,
    verifier: Arc<dyn ClientCertVerifier>,
    sessions: Arc<ServerSessionMemoryCache>,
    ticketer: Arc<dyn rustls::server::ProducesTickets>,
}

impl Common {
    fn config(&self, identity: &Identity, settings: &TlsSettings) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&self.versions)?
            .with_client_cert_verifier(Arc::clone(&self.verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.key))));
        config.alpn_protocols = if settings.http2 { vec![b"h2".to_vec()] } else { Vec::new() };
        config.alpn_protocols.push(b"http/1.1".to_vec());
        // Without a string, the client knows best which cipher its processor is quick at.
        config.ignore_client_order = settings.ciphers.is_some();
        config.session_storage = Arc::clone(&self.sessions) as _;
        config.ticketer = Arc::clone(&self.ticketer);
        Ok(config)
    }
}

/// The versions asked for, without one that has no cipher suite.
fn versions(versions: Versions, provider: &CryptoProvider) -> Vec<&'static SupportedProtocolVersion> {
    let wanted: &[&SupportedProtocolVersion] = match versions {
        Versions::Both => &[&version::TLS13, &version::TLS12],
        Versions::Tls12 => &[&version::TLS12],
    };
    let has_suite = |version: &&&SupportedProtocolVersion| {
        provider.cipher_suites.iter().any(|suite| suite.version().version == version.version)
    };
    wanted.iter().filter(has_suite).copied().collect()
}

fn verifier(
    settings: &TlsSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    // A file that is named is read even if nobody needs it, so that a mistake in it shows.
    let roots = settings.ca_certs.as_deref().map(authorities).transpose()?;
    if settings.client_certificates == ClientCertificates::None {
        return Ok(Arc::new(NoClientAuth));
    }
    let roots = roots.ok_or(TlsError::NoAuthorities)?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match settings.client_certificates {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required | ClientCertificates::None => builder,
    };
    builder.build().map_err(|error| TlsError::Other(error.to_string()))
}
