//! The open connections: there is always room for another one.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::task::AbortHandle;

use super::patience::Patience;

/// Connections at a time. A few probes and scrapers need one each; whoever opens more loses those of which nothing was
/// heard for longest, and not the probe that comes next.
const CONNECTIONS: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Table(RefCell<Vec<(Rc<Patience>, AbortHandle)>>);

impl Table {
    /// Take a connection in.
    pub(super) fn insert(&self, patience: Rc<Patience>, task: AbortHandle) {
        let mut connections = self.0.borrow_mut();
        connections.retain(|(_, task)| !task.is_finished());
        if connections.len() >= CONNECTIONS {
            let quietest =
                connections.iter().enumerate().min_by_key(|(_, (patience, _))| patience.heard_at());
            if let Some((place, _)) = quietest {
                let (_, task) = connections.swap_remove(place);
                task.abort();
            }
        }
        connections.push((patience, task));
    }
}
