//! A certificate chain and its key, out of files; and what is written in certificates.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::error::TlsError;
use super::pem;
use super::private_key::private_key;
use super::settings::KeyPair;

const CERTFILE: &str = "--ssl-certfile";
const KEYFILE: &str = "--ssl-keyfile";
const CA_CERTS: &str = "--ssl-ca-certs";

/// What a server shows to clients that ask for one of `names`.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    /// The DNS names of the certificate, in lower case; `*.` in front stands for one label.
    pub(super) names: Vec<String>,
    /// The server's own certificate.
    pub(super) pem: Arc<str>,
}

impl Identity {
    /// Read a pair.
    ///
    /// # Errors
    /// A file cannot be read, has not what it should, or the two do not belong together.
    pub(super) fn load(
        pair: &KeyPair,
        password: Option<&str>,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let certfile = pair.certfile.as_path();
        let chain = certificates(CERTFILE, certfile)?;
        let (option, keyfile) = match &pair.keyfile {
            Some(keyfile) => (KEYFILE, keyfile.as_path()),
            None => (CERTFILE, certfile),
        };
        let key = key(option, keyfile, password)?;
        let signing_key = provider.key_provider.load_private_key(key).map_err(|_| {
            TlsError::file(option, keyfile, "the private key is damaged or of an unknown kind")
        })?;
        let names = dns_names(&chain[0]);
        let pem = pem::certificate(&chain[0]).into();
        let key = CertifiedKey::new(chain, signing_key);
        match key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let reason =
                    format!("the private key is not that of the certificate in {}", certfile.display());
                return Err(TlsError::file(option, keyfile, reason));
            }
            Err(error) => return Err(TlsError::file(CERTFILE, certfile, unusable(&error))),
        }
        Ok(Self { key: Arc::new(key), names, pem })
    }
}

fn unusable(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => format!("the certificate cannot be used: {reason:?}"),
        other => format!("the certificate cannot be used: {other}"),
    }
}

/// Authorities that client certificates are checked with.
///
/// # Errors
/// The file cannot be read or has none.
pub(super) fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CA_CERTS, path)? {
        roots.add(certificate).map_err(|error| TlsError::file(CA_CERTS, path, unusable(&error)))?;
    }
    Ok(roots)
}

/// All certificates of a file; never none.
fn certificates(option: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(option, path)?;
    let sections = pem::sections(&text).map_err(|reason| TlsError::file(option, path, reason))?;
    let certificates: Vec<_> = sections
        .into_iter()
        .filter(|section| ["CERTIFICATE", "X509 CERTIFICATE"].contains(&section.label))
        .map(|section| CertificateDer::from(section.content))
        .collect();
    if certificates.is_empty() {
        return Err(TlsError::file(option, path, "there is no PEM certificate in it"));
    }
    Ok(certificates)
}

fn key(
    option: &'static str,
    path: &Path,
    password: Option<&str>,
) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(option, path)?;
    let sections = pem::sections(&text).map_err(|reason| TlsError::file(option, path, reason))?;
    let key = sections.iter().find_map(|section| private_key(section, password));
    let missing = match option {
        CERTFILE => "there is no private key in it, and no --ssl-keyfile was given",
        _ => "there is no PEM private key in it",
    };
    key.unwrap_or_else(|| Err(missing.to_owned())).map_err(|reason| TlsError::file(option, path, reason))
}

fn read(option: &'static str, path: &Path) -> Result<String, TlsError> {
    let bytes = fs::read(path).map_err(|error| TlsError::unreadable(option, path, &error))?;
    // Comments between sections may be in any encoding; the sections are ASCII.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The DNS names in a certificate's subjectAltName. A certificate that cannot be taken apart has none.
fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some((_, names))) = certificate.tbs_certificate().get_extension::<SubjectAltName>() else {
        return Vec::new();
    };
    let dns = names.0.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase()),
        _ => None,
    });
    dns.collect()
}

/// The subject of a certificate as RFC 4514 writes it.
pub(super) fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    Certificate::from_der(certificate)
        .ok()
        .map(|certificate| certificate.tbs_certificate().subject().to_string())
}
