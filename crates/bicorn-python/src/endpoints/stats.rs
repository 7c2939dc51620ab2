//! What is known of a function by its last calls: whether it takes long, and whether it blocks.
//!
//! The pool wakes another thread at once for a call that is known to block, and lets quick ones wait for the thread that
//! is awake. Threads write here without a lock: a lost update costs one call's experience.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::handoff::lock;

/// A call above this takes long: switching threads costs up to half of it.
pub(super) const LONG: Duration = Duration::from_micros(200);

/// A share of `u8::MAX` above which "mostly" begins.
const MOSTLY: u8 = 128;

/// One function's experience.
#[derive(Debug)]
pub(crate) struct CallStats {
    /// What people call it; empty for a function that is no endpoint.
    name: Box<str>,
    /// How many of the last calls took long, as a share of 255; each new call weighs a quarter.
    long: AtomicU8,
    /// The same of calls that waited for something else than the interpreter.
    blocking: AtomicU8,
}

impl CallStats {
    /// No experience: a first call may take long.
    pub(crate) fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.into(), long: AtomicU8::new(1), blocking: AtomicU8::new(0) })
    }

    /// What people call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether calls mostly wait for something outside: each needs a thread of its own.
    pub(super) fn blocks(&self) -> bool {
        self.blocking.load(Ordering::Relaxed) >= MOSTLY
    }

    /// Whether a call may take long, so that nothing should wait for its end.
    pub(super) fn may_be_long(&self) -> bool {
        self.long.load(Ordering::Relaxed) > 0
    }

    /// Remember a call.
    pub(super) fn add(&self, took: Duration, is_blocking: bool) {
        blend(&self.long, took >= LONG);
        blend(&self.blocking, is_blocking);
    }
}

/// Functions that are remembered; a program that makes a new one for each call must not fill memory.
const FUNCTIONS: usize = 1024;

/// The experience with functions that the loop has had called, by an address that stands for each.
#[derive(Default)]
pub(super) struct Functions(Mutex<HashMap<usize, Arc<CallStats>>>);

impl Functions {
    pub(super) fn stats(&self, key: usize) -> Arc<CallStats> {
        let mut known = lock(&self.0);
        if let Some(stats) = known.get(&key) {
            return Arc::clone(stats);
        }
        if known.len() >= FUNCTIONS {
            known.clear();
        }
        let stats = CallStats::new("");
        known.insert(key, Arc::clone(&stats));
        stats
    }
}

fn blend(share: &AtomicU8, is_one: bool) {
    let before = share.load(Ordering::Relaxed);
    // Towards 255 rounded up and towards 0 rounded down, so that both ends are reached.
    let after = if is_one { before + (u8::MAX - before).div_ceil(4) } else { before - before.div_ceil(4) };
    if after != before {
        share.store(after, Ordering::Relaxed);
    }
}
