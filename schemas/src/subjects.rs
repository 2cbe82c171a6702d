//! The registry subjects and their schemas.

use std::sync::atomic::{AtomicU32, Ordering};

/// One subject, with the schema and id this program writes.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// By TopicNameStrategy: the topic and `-value`.
    pub name: &'static str,
    /// The schema's id where no registry gives one, as in `ids.json`.
    pub id: u32,
    /// The `.avsc` text.
    pub schema: &'static str,
    /// The id a registry gave; 0 where none did.
    pub(crate) registered: &'static AtomicU32,
}

static EVENTS_REGISTERED: AtomicU32 = AtomicU32::new(0);
static READS_REGISTERED: AtomicU32 = AtomicU32::new(0);

/// Values of `chat.events.v1`.
pub(crate) static EVENTS: Subject = Subject {
    name: "chat.events.v1-value",
    id: 1,
    schema: include_str!("../chat.events.v1-value.avsc"),
    registered: &EVENTS_REGISTERED,
};

/// Values of `chat.reads.v1`.
pub(crate) static READS: Subject = Subject {
    name: "chat.reads.v1-value",
    id: 2,
    schema: include_str!("../chat.reads.v1-value.avsc"),
    registered: &READS_REGISTERED,
};

/// Every subject, in the order of `ids.json`.
pub fn subjects() -> [&'static Subject; 2] {
    [&EVENTS, &READS]
}

// === impl Subject ===

impl Subject {
    /// From now on this process frames the subject's values with the id that a schema registry gave its schema. Values
    /// with the built-in id stay readable.
    pub fn adopt(&self, id: u32) {
        self.registered.store(id, Ordering::Relaxed);
    }

    /// The id that values are framed with.
    pub(crate) fn written_id(&self) -> u32 {
        match self.registered.load(Ordering::Relaxed) {
            0 => self.id,
            registered => registered,
        }
    }

    /// Whether values framed with this id have this subject's schema.
    pub(crate) fn has(&self, id: u32) -> bool {
        id == self.id || id == self.written_id()
    }
}
