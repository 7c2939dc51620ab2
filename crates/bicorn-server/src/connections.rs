//! The connections of one I/O thread, counted on the board by what is spoken on them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use slab::Slab;

use crate::board::{Protocol, Slot};
use crate::connection::Conversation;

/// One place for each open connection.
#[derive(Debug)]
pub(crate) struct Connections {
    entries: RefCell<Slab<Entry>>,
    slot: Slot,
}

#[derive(Debug)]
struct Entry {
    conversation: Rc<RefCell<Conversation>>,
    /// What it is counted as. A conversation that has ended says nothing of it any more.
    protocol: Cell<Protocol>,
}

impl Connections {
    pub(crate) fn new(slot: Slot) -> Self {
        Self { entries: RefCell::default(), slot }
    }

    /// Take a connection in; `make` is told its key.
    pub(crate) fn insert(&self, make: impl FnOnce(usize) -> Conversation) -> usize {
        let mut entries = self.entries.borrow_mut();
        let vacant = entries.vacant_entry();
        let key = vacant.key();
        let conversation = make(key);
        let protocol = conversation.protocol().unwrap_or(Protocol::Http1);
        vacant.insert(Entry {
            conversation: Rc::new(RefCell::new(conversation)),
            protocol: Cell::new(protocol),
        });
        self.slot.connection_opened(protocol);
        key
    }

    pub(crate) fn get(&self, key: usize) -> Option<Rc<RefCell<Conversation>>> {
        self.entries.borrow().get(key).map(|entry| Rc::clone(&entry.conversation))
    }

    /// Something was done with a connection: it may be another conversation.
    pub(crate) fn recount(&self, key: usize) {
        let entries = self.entries.borrow();
        let Some(entry) = entries.get(key) else { return };
        let Some(protocol) = entry.conversation.borrow().protocol() else { return };
        let before = entry.protocol.replace(protocol);
        if before != protocol {
            self.slot.connection_became(before, protocol);
        }
    }

    /// Take a connection out.
    pub(crate) fn remove(&self, key: usize) -> Option<Rc<RefCell<Conversation>>> {
        let Entry { conversation, protocol } = self.entries.borrow_mut().try_remove(key)?;
        self.slot.connection_closed(protocol.get());
        Some(conversation)
    }

    pub(crate) fn keys(&self) -> Vec<usize> {
        self.entries.borrow().iter().map(|(key, _)| key).collect()
    }

    /// The earliest deadline of them all.
    pub(crate) fn earliest_deadline(&self) -> Option<u64> {
        let entries = self.entries.borrow();
        entries.iter().map(|(_, entry)| entry.conversation.borrow().deadline()).min()
    }
}
