//! The registry subjects and their schemas.

use std::sync::atomic::{AtomicU32, Ordering};

/// One version of a subject: a schema and its id.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// By TopicNameStrategy: the topic and `-value`.
    pub name: &'static str,
    /// Its rank among the subject's versions: 1, 2 …
    pub version: u32,
    /// The schema's id where no registry gives one, as in `ids.json`.
    pub id: u32,
    /// The `.avsc` text.
    pub schema: &'static str,
    /// The id a registry gave; 0 where none did.
    pub(crate) registered: &'static AtomicU32,
}

static EVENTS_1_REGISTERED: AtomicU32 = AtomicU32::new(0);
static EVENTS_2_REGISTERED: AtomicU32 = AtomicU32::new(0);
static EVENTS_3_REGISTERED: AtomicU32 = AtomicU32::new(0);
static READS_REGISTERED: AtomicU32 = AtomicU32::new(0);

/// Values of `chat.events.v1` that need nothing newer.
pub(crate) static EVENTS_1: Subject = Subject {
    name: "chat.events.v1-value",
    version: 1,
    id: 1,
    schema: include_str!("../golden/chat.events.v1-value.1.avsc"),
    registered: &EVENTS_1_REGISTERED,
};

/// Values of `chat.events.v1` that say what is pinned.
pub(crate) static EVENTS_2: Subject = Subject {
    name: EVENTS_1.name,
    version: 2,
    id: 3,
    schema: include_str!("../golden/chat.events.v1-value.2.avsc"),
    registered: &EVENTS_2_REGISTERED,
};

/// Values of `chat.events.v1` that say that an admin acts.
pub(crate) static EVENTS_3: Subject = Subject {
    name: EVENTS_1.name,
    version: 3,
    id: 4,
    schema: include_str!("../chat.events.v1-value.avsc"),
    registered: &EVENTS_3_REGISTERED,
};

/// Values of `chat.reads.v1`.
pub(crate) static READS: Subject = Subject {
    name: "chat.reads.v1-value",
    version: 1,
    id: 2,
    schema: include_str!("../chat.reads.v1-value.avsc"),
    registered: &READS_REGISTERED,
};

/// Every version of every subject, older ones first: a registry is given them in this order.
pub fn subjects() -> [&'static Subject; 4] {
    [&EVENTS_1, &EVENTS_2, &EVENTS_3, &READS]
}

/// Which of a subject's versions an id names. What a registry gave comes before the built-in ids, which it may have given
/// to another version; of versions with one id the oldest counts. 0 for none.
pub(crate) fn version_of<const N: usize>(versions: [&Subject; N], id: u32) -> u32 {
    let registered = versions.iter().find(|version| version.written_id() == id);
    let named = registered.or_else(|| versions.iter().find(|version| version.id == id));
    named.map_or(0, |version| version.version)
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
