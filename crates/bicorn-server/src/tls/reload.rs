//! Certificates are read again when their files change, without a restart.
//!
//! ```text
//!   handshake ─▶ looked within the last second? ─ yes ─▶ go on
//!                     │ no
//!                     ▼ modification time, size and inode of each file
//!                 unchanged ─▶ go on
//!                 changed ──▶ read: good ─▶ use it from here on
//!                                   bad ──▶ keep the old; when the next look finds the same, say so once
//! ```
//! The second look is for whoever writes certificate and key one after the other: files that do not fit
//! together for a moment are no mistake. The I/O thread that finds the change reads the files itself: it takes
//! about a millisecond, once in the life of a certificate, and no client is served the old one any more.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::identities::Identities;
use super::settings::TlsSettings;

/// Files are looked at this often at most (a second is soon enough for what changes once in weeks).
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What a look at changed files led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// What is in the files now is in use.
    Done,
    /// It cannot be used, and the former certificates stay; the text says why and names the file.
    Refused(String),
}

/// By what a changed file is told: modification time, size, device and inode. `None`: it is not there.
type Stamp = Option<(i64, i64, u64, u64, u64)>;

/// The identities in use, and the files that they came from.
#[derive(Debug)]
pub(super) struct Watch {
    identities: RwLock<Arc<Identities>>,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    looked: Instant,
    /// Of the files in use.
    used: Vec<Stamp>,
    /// Of files that could not be used, and whether somebody was told.
    refused: Option<(Vec<Stamp>, bool)>,
}

impl Watch {
    pub(super) fn new(identities: Identities, used: Vec<Stamp>) -> Self {
        let seen = Seen { looked: Instant::now(), used, refused: None };
        Self { identities: RwLock::new(Arc::new(identities)), seen: Mutex::new(seen) }
    }

    pub(super) fn identities(&self) -> Arc<Identities> {
        Arc::clone(&self.identities.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn refresh(&self, settings: &TlsSettings) -> Option<Reloaded> {
        // Another I/O thread is looking already: nobody waits for it.
        let mut seen = self.seen.try_lock().ok()?;
        if seen.looked.elapsed() < LOOK_INTERVAL {
            return None;
        }
        seen.looked = Instant::now();
        self.look(settings, &mut seen)
    }

    fn look(&self, settings: &TlsSettings, seen: &mut MutexGuard<'_, Seen>) -> Option<Reloaded> {
        let stamps = stamps(settings);
        if stamps == seen.used {
            seen.refused = None;
            return None;
        }
        let told =
            seen.refused.as_ref().filter(|(refused, _)| *refused == stamps).map(|(_, is_told)| *is_told);
        if told == Some(true) {
            return None;
        }
        match Identities::load(settings) {
            Ok(identities) => {
                *self.identities.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identities);
                seen.used = stamps;
                seen.refused = None;
                Some(Reloaded::Done)
            }
            Err(error) => {
                let is_second_look = told.is_some();
                seen.refused = Some((stamps, is_second_look));
                is_second_look.then(|| Reloaded::Refused(error.to_string()))
            }
        }
    }
}

/// How the files are now.
pub(super) fn stamps(settings: &TlsSettings) -> Vec<Stamp> {
    let pairs = settings.pairs.iter().flat_map(|pair| std::iter::once(&pair.certfile).chain(&pair.keyfile));
    pairs.chain(&settings.ca_certs).map(stamp).collect()
}

fn stamp(path: &PathBuf) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.dev(), metadata.ino()))
}
