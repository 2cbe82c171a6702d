//! What later events make of an earlier message: edits, its deletion, reactions.
//!
//! What is known of a message is a join of the events about it: their order does not matter, and neither does taking
//! one twice. So stored rows, events that are not stored yet and a re-run of either may overlap in any way.
//!
//! Who may change what is decided by two events alone, the message and the one about it, so that everyone who reads
//! the log decides alike and nobody waits for a room's state: an edit counts only if its sender is the message's
//! author; a deletion and a reaction count whoever sent them. Gateways check rights before they produce.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{
    event::{Body, Event, Kind},
    ids::{Seq, UserId},
};

/// One change of one message, as its event says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amendment {
    /// The message.
    pub target: Seq,
    /// Who changed it.
    pub by: UserId,
    /// The event's rank.
    pub seq: Seq,
    /// The event's time, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What changed.
    pub change: Change,
}

/// What an event changes about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It says this now.
    Edited(String),
    /// It is taken back.
    Deleted,
    /// A reaction was set or withdrawn.
    Reacted {
        /// The reaction.
        emoji: String,
        /// Set (`true`) or withdrawn.
        on: bool,
    },
}

/// Everything known of the changes of one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amended {
    /// The last edit of each user who sent one. All are kept because the author is not known here: somebody else's
    /// edit must not hide theirs.
    edits: BTreeMap<UserId, Edit>,
    deletion: Option<Deletion>,
    /// The last word of each user on each emoji.
    reactions: BTreeMap<(String, UserId), (Seq, bool)>,
}

/// An edit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// Its event.
    pub seq: Seq,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The text.
    pub text: String,
}

/// A deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Its event.
    pub seq: Seq,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Who took the message back.
    pub by: UserId,
}

/// How many users react in one way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reactions<'a> {
    /// The reaction.
    pub emoji: &'a str,
    /// How many users, at least one.
    pub count: usize,
    /// Whether the one who looks is among them.
    pub is_own: bool,
}

/// The changes of a stretch of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amendments(BTreeMap<Seq, Amended>);

// === impl Amendment ===

impl Amendment {
    /// The change an event makes; `None` where it makes none, or names a target that did not exist yet.
    pub fn of(event: &Event, seq: Seq, at_ms: i64) -> Option<Self> {
        let (target, change) = match &event.body {
            Body::Edit { target, text } => (*target, Change::Edited(text.clone())),
            Body::Delete { target } => (*target, Change::Deleted),
            Body::Reaction { target, emoji, on } => {
                let (emoji, on) = (emoji.clone(), *on);
                (*target, Change::Reacted { emoji, on })
            }
            _ => return None,
        };
        let can_be = (Seq(1)..seq).contains(&target) && !event.key.is_inbox();
        can_be.then(|| Self {
            target,
            by: event.sender.id.clone(),
            seq,
            at_ms,
            change,
        })
    }
}

impl Kind {
    /// Whether an event of this type can be edited, deleted and reacted to.
    pub fn is_amendable(self) -> bool {
        matches!(self, Self::Message | Self::Notice)
    }

    /// Whether an event of this type changes another one.
    pub fn amends(self) -> bool {
        matches!(self, Self::Edit | Self::Delete | Self::Reaction)
    }
}

// === impl Amended ===

impl Amended {
    /// Learns of a change. The later edit of a user wins, the later word on a reaction, and the first deletion.
    pub fn take(&mut self, amendment: Amendment) {
        let Amendment { by, seq, at_ms, .. } = amendment;
        match amendment.change {
            Change::Edited(text) => {
                let edit = Edit { seq, at_ms, text };
                match self.edits.get_mut(&by) {
                    Some(known) if known.seq >= seq => {}
                    Some(known) => *known = edit,
                    None => drop(self.edits.insert(by, edit)),
                }
            }
            Change::Deleted => {
                let is_first = |known: &Deletion| seq < known.seq;
                if self.deletion.as_ref().is_none_or(is_first) {
                    self.deletion = Some(Deletion { seq, at_ms, by });
                }
            }
            Change::Reacted { emoji, on } => {
                let known = self.reactions.entry((emoji, by)).or_insert((seq, on));
                if known.0 < seq {
                    *known = (seq, on);
                }
            }
        }
    }

    /// The last event that changed it; zero for none.
    pub fn last_change(&self) -> Seq {
        let edits = self.edits.values().map(|edit| edit.seq);
        let reactions = self.reactions.values().map(|(seq, _)| *seq);
        let deletion = self.deletion.iter().map(|deletion| deletion.seq);
        let changes = edits.chain(reactions).chain(deletion);
        changes.max().unwrap_or(Seq::ZERO)
    }

    /// Its deletion, which nothing undoes.
    pub fn deletion(&self) -> Option<&Deletion> {
        self.deletion.as_ref()
    }

    /// What the author made of it last; nothing of a deleted message.
    pub fn edit(&self, author: &UserId) -> Option<&Edit> {
        self.edits.get(author).filter(|_| self.deletion.is_none())
    }

    /// How many react in which way, the first reaction first; nothing of a deleted message.
    pub fn reactions(&self, viewer: &UserId) -> Vec<Reactions<'_>> {
        let mut found: Vec<(Seq, Reactions<'_>)> = Vec::new();
        if self.deletion.is_some() {
            return Vec::new();
        }
        for ((emoji, user), (seq, _)) in self.reactions.iter().filter(|(_, (_, on))| *on) {
            let is_own = user == viewer;
            match found.last_mut() {
                // Equal emojis are neighbours.
                Some((first, known)) if known.emoji == emoji => {
                    known.count += 1;
                    known.is_own |= is_own;
                    *first = (*first).min(*seq);
                }
                _ => found.push((
                    *seq,
                    Reactions {
                        emoji,
                        count: 1,
                        is_own,
                    },
                )),
            }
        }
        found.sort_by_key(|(first, _)| *first);
        found.into_iter().map(|(_, reactions)| reactions).collect()
    }
}

// === impl Amendments ===

impl Amendments {
    /// Learns of a change.
    pub fn take(&mut self, amendment: Amendment) {
        self.0.entry(amendment.target).or_default().take(amendment);
    }

    /// What is known of a message; `None` where nothing changed it.
    pub fn of(&self, target: Seq) -> Option<&Amended> {
        self.0.get(&target)
    }

    /// The deletion of a message.
    pub fn deletion(&self, target: Seq) -> Option<&Deletion> {
        self.of(target)?.deletion()
    }

    /// Whether an event shows content that was deleted: a deleted message's own, or an edit of it.
    pub fn hides(&self, event: &Event, seq: Seq) -> bool {
        match &event.body {
            Body::Edit { target, .. } => self.deletion(*target).is_some(),
            body if body.kind().is_amendable() => self.deletion(seq).is_some(),
            _ => false,
        }
    }
}

impl Extend<Amendment> for Amendments {
    fn extend<T: IntoIterator<Item = Amendment>>(&mut self, amendments: T) {
        amendments
            .into_iter()
            .for_each(|amendment| self.take(amendment));
    }
}
