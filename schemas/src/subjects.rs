//! The registry subjects and their schemas.

/// One subject, with the schema and id this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// By TopicNameStrategy: the topic and `-value`.
    pub name: &'static str,
    /// The schema's id where no registry gives one, as in `ids.json`.
    pub id: u32,
    /// The `.avsc` text.
    pub schema: &'static str,
}

/// Values of `chat.events.v1`.
pub(crate) const EVENTS: Subject = Subject {
    name: "chat.events.v1-value",
    id: 1,
    schema: include_str!("../chat.events.v1-value.avsc"),
};

/// Values of `chat.reads.v1`.
pub(crate) const READS: Subject = Subject {
    name: "chat.reads.v1-value",
    id: 2,
    schema: include_str!("../chat.reads.v1-value.avsc"),
};

/// Every subject, in the order of `ids.json`.
pub fn subjects() -> &'static [Subject] {
    &[EVENTS, READS]
}
