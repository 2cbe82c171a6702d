//! Who is here: sessions of users, what their gateways declare of them, and what a room's members are shown.
//!
//! Four machines, none of which knows a clock:
//! - [`Local`] is a gateway's: the sessions of its users, and what follows for each of their rooms;
//! - [`Roster`] is an owner's: what all gateways declared of the rooms of a partition. A declaration holds as long as
//!   the gateway's stream, and for a lease beyond it, so that a gateway that comes back changes nothing;
//! - [`Mirror`] is a gateway's again: what the owners say of one room, joined, and what of it is news;
//! - [`Circles`] is a gateway's too: the friends of its users, and which of those are online.

mod belonging;
mod circles;
mod local;
mod look_again;
mod mirror;
mod roster;

use std::collections::BTreeSet;

pub use belonging::Belonging;
pub use circles::Circles;
pub use local::{Declaration, Effect, Ending, Local, SessionId};
pub use look_again::LookAgain;
pub use mirror::{Mirror, News};
pub use roster::{RoomChange, Roster};

use crate::{
    event::{Body, Event, MemberChange},
    ids::UserId,
};

/// How a user stands in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Standing {
    /// They have a session and are a member.
    pub online: bool,
    /// They look at the room.
    pub viewing: bool,
}

/// Who is in a room, or as much of it as is told of a large one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Members who are online.
    pub online: BTreeSet<UserId>,
    /// How many those are, where only a sample is named.
    pub online_total: u64,
    /// Members who look at the room.
    pub viewing: BTreeSet<UserId>,
    /// How many those are, where only a sample is named.
    pub viewing_total: u64,
    /// Whether the names are a sample.
    pub is_sample: bool,
}

/// Who becomes a member by an event that stands or ceases to be one, and which of the two.
pub fn moved_by(event: &Event) -> Option<(&UserId, bool)> {
    match &event.body {
        Body::Member(member) => match member.change {
            MemberChange::Joined => Some((&member.user, true)),
            MemberChange::Left | MemberChange::Removed | MemberChange::Banned => {
                Some((&member.user, false))
            }
            _ => None,
        },
        // A room's creation makes its sender a member.
        Body::Room(room) if room.kind.is_some() => Some((&event.sender.id, true)),
        _ => None,
    }
}

// === impl Standing ===

impl Standing {
    /// Neither.
    pub const NONE: Self = Self {
        online: false,
        viewing: false,
    };

    /// What holds if either is true.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            online: self.online || other.online,
            viewing: self.viewing || other.viewing,
        }
    }
}

#[cfg(test)]
mod tests;
