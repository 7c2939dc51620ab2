//! Why TLS cannot be had as asked for, in one line that names the file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A mistake in the TLS settings or in a file that they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsError {
    /// A file that an option names cannot be used.
    File {
        /// The option, as on the command line.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There are keys, but no certificate.
    KeyWithoutCertificate(PathBuf),
    /// More key files than certificate files.
    KeyLeftOver(PathBuf),
    /// Clients are to be checked, but not with what.
    NoAuthorities,
    /// An item of the cipher string that stands for nothing here, and what would.
    Cipher {
        /// The item as given.
        item: String,
        /// What items are possible.
        possible: String,
    },
    /// The cipher string leaves no cipher suite.
    NoCiphers(String),
    /// What the TLS library refuses although all of the above is right.
    Other(String),
}

impl TlsError {
    pub(super) fn file(option: &'static str, path: &Path, reason: impl Into<String>) -> Self {
        Self::File { option, path: path.to_owned(), reason: reason.into() }
    }

    pub(super) fn unreadable(option: &'static str, path: &Path, error: &io::Error) -> Self {
        let reason = match error.kind() {
            io::ErrorKind::NotFound => "no such file".to_owned(),
            io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
            io::ErrorKind::IsADirectory => "is a directory".to_owned(),
            _ => error.to_string(),
        };
        Self::file(option, path, reason)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { option, path, reason } => {
                write!(formatter, "cannot use {option} {}: {reason}", path.display())
            }
            Self::KeyWithoutCertificate(path) => {
                write!(formatter, "cannot use --ssl-keyfile {}: --ssl-certfile is missing", path.display())
            }
            Self::KeyLeftOver(path) => write!(
                formatter,
                "cannot use --ssl-keyfile {}: there are more key files than --ssl-certfile",
                path.display()
            ),
            Self::NoAuthorities => formatter.write_str(
                "--ssl-cert-reqs 1 and 2 need --ssl-ca-certs: the authorities that client certificates are checked with",
            ),
            Self::Cipher { item, possible } => {
                write!(formatter, "cannot use --ssl-ciphers: '{item}' is not possible; what is: {possible}")
            }
            Self::NoCiphers(text) => {
                write!(formatter, "cannot use --ssl-ciphers: no cipher suite is left of '{text}'")
            }
            Self::Other(text) => write!(formatter, "cannot set up TLS: {text}"),
        }
    }
}

impl std::error::Error for TlsError {}
