//! The fold: what a room's membership and room events make of its state.
//!
//! The gateways check a request before it is produced, but two requests can pass their checks at once. What an
//! event may change is therefore decided by the room's state at the event's own seq, by everyone alike: an event
//! the state does not allow is *void*. It keeps its seq and changes nothing. All other events always stand.
//!
//! The rows given to [`fold`] must be those of one moment: all changes up to some seq and none after it. A
//! writer keeps it so by moving the rows of one event in one transaction; a reader sees it when no row it read
//! changed after the room row's seq, and reads again otherwise.

mod rules;
#[cfg(test)]
mod tests;
mod wish;

use self::rules::Scene;
pub use self::wish::{Unmet, Wish};
use crate::{
    event::{Body, Event, MemberChange, Role, RoomEvent, RoomKind},
    ids::{Seq, UserId},
};

/// Messages and notices that can be pinned in a room: what a reader can take in at a glance, and a row of bounded size.
/// A change to more of them is void; a pinned notice beyond it takes the place of the one pinned first.
pub const PINS_MAX: usize = 32;

/// A room's settings and totals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomMeta {
    /// What kind of room it is; fixed at its creation.
    pub kind: RoomKind,
    /// Display name.
    pub name: String,
    /// Whether anyone signed in may find and join it.
    pub public: bool,
    /// Least seconds between two messages of one member; 0 for no such bound.
    pub slow_mode_s: u32,
    /// Whether only moderators and owners post.
    pub read_only: bool,
    /// Whether it was deleted; nothing changes a deleted room.
    pub deleted: bool,
    /// What is pinned, in the order it was; at most [`PINS_MAX`].
    pub pinned: Vec<Seq>,
    /// Who made it.
    pub created_by: UserId,
    /// How many users are members.
    pub members: u32,
    /// How many of them are owners; at least one in a room that is neither deleted nor direct.
    pub owners: u32,
    /// The last event that changed any of this.
    pub changed_seq: Seq,
}

/// One user's standing in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Whether they are in.
    pub state: MemberState,
    /// What they may do; plain member for everyone who is not in.
    pub role: Role,
    /// Whether they may only read. It outlives leaving, so that one can't shed it by coming back.
    pub muted: bool,
    /// The last event that changed any of this.
    pub changed_seq: Seq,
}

/// Whether a user is in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberState {
    /// Asked in, not a member yet.
    Invited,
    /// A member.
    Joined,
    /// Was one, or was asked and is not any more.
    Gone,
    /// May not come back.
    Banned,
}

/// The rows an event is judged by, as of just before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rows<'a> {
    /// The room's row; `None` while the room does not exist.
    pub room: Option<&'a RoomMeta>,
    /// The row of [`subject_of`] the event.
    pub subject: Option<&'a Membership>,
    /// The sender's row. Not looked at where sender and subject are one.
    pub actor: Option<&'a Membership>,
}

/// What an event does to a room's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It stands and replaces these rows; a message stands and replaces none.
    Stands(Vec<Change>),
    /// The room's state does not allow it.
    Void,
    /// The rows hold it already.
    Folded,
}

/// A row that is replaced. Each carries the event's seq as its `changed_seq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The room's.
    Room(RoomMeta),
    /// A user's.
    Member(UserId, Membership),
}

/// Whether [`fold`] looks at an event at all.
pub fn is_folded(event: &Event) -> bool {
    matches!(
        event.body,
        Body::Member(_) | Body::Room(_) | Body::Notice { pinned: true, .. }
    )
}

/// The user whose standing an event may change: they and the sender are whose rows [`fold`] needs. `None` for
/// events that concern no member's row; those of a type the fold does not look at need no rows at all.
pub fn subject_of(event: &Event) -> Option<&UserId> {
    match &event.body {
        Body::Member(member) => Some(&member.user),
        // A room's creation makes its sender an owner.
        Body::Room(room) if room.kind.is_some() => Some(&event.sender.id),
        _ => None,
    }
}

/// Judges an event and says what it changes. Depends on nothing but its arguments.
pub fn fold(rows: Rows<'_>, event: &Event, seq: Seq) -> Effect {
    if !is_folded(event) {
        return Effect::Stands(Vec::new());
    }
    let subject = subject_of(event);
    let actor = if subject == Some(&event.sender.id) {
        rows.subject
    } else {
        rows.actor
    };
    let folded = [
        rows.room.map(|room| room.changed_seq),
        rows.subject.map(|member| member.changed_seq),
    ];
    if folded.into_iter().flatten().any(|changed| changed >= seq) {
        return Effect::Folded;
    }
    let changes = match (&event.body, rows.room) {
        // What was said stands, whether or not there is a room it can be pinned in.
        (Body::Notice { .. }, room) => Some(pin(room, seq)),
        _ if event.key.is_inbox() => None,
        (Body::Room(fields), None) => create(fields, &event.sender.id, seq),
        (body, Some(room)) => {
            let scene = Scene {
                room,
                actor,
                subject: rows.subject,
                alone: subject == Some(&event.sender.id),
            };
            match body {
                Body::Room(fields) if rules::may_alter(scene, event, fields) => {
                    Some(vec![Change::Room(alter(fields, room, seq))])
                }
                Body::Member(member) if rules::may_enact(scene, event, member.change) => {
                    Some(enact(scene, member.change, &member.user, seq))
                }
                _ => None,
            }
        }
        _ => None,
    };
    changes.map_or(Effect::Void, Effect::Stands)
}

/// The first event of a room, and no later one, makes it.
fn create(fields: &RoomEvent, creator: &UserId, seq: Seq) -> Option<Vec<Change>> {
    let kind = fields.kind.filter(|_| seq == Seq::ZERO.next())?;
    let room = RoomMeta {
        kind,
        name: fields.name.clone().unwrap_or_default(),
        public: fields.public.unwrap_or(false),
        slow_mode_s: fields.slow_mode_s.unwrap_or(0),
        read_only: fields.read_only.unwrap_or(false),
        deleted: false,
        pinned: Vec::new(),
        created_by: creator.clone(),
        members: 1,
        owners: 1,
        changed_seq: seq,
    };
    let owner = Membership {
        state: MemberState::Joined,
        role: Role::Owner,
        muted: false,
        changed_seq: seq,
    };
    Some(vec![
        Change::Room(room),
        Change::Member(creator.clone(), owner),
    ])
}

fn alter(fields: &RoomEvent, room: &RoomMeta, seq: Seq) -> RoomMeta {
    RoomMeta {
        name: fields.name.clone().unwrap_or_else(|| room.name.clone()),
        public: fields.public.unwrap_or(room.public),
        slow_mode_s: fields.slow_mode_s.unwrap_or(room.slow_mode_s),
        read_only: fields.read_only.unwrap_or(room.read_only),
        deleted: fields.deleted.unwrap_or(room.deleted),
        pinned: fields.pinned.clone().unwrap_or_else(|| room.pinned.clone()),
        changed_seq: seq,
        ..room.clone()
    }
}

/// Pins the notice that has this seq. Its sender had the right when it was sent, and like what it says its place on top
/// stands.
fn pin(room: Option<&RoomMeta>, seq: Seq) -> Vec<Change> {
    let Some(room) = room.filter(|room| !room.deleted) else {
        return Vec::new();
    };
    let mut pinned = room.pinned.clone();
    pinned.push(seq);
    let surplus = pinned.len().saturating_sub(PINS_MAX);
    pinned.drain(..surplus);
    vec![Change::Room(RoomMeta {
        pinned,
        changed_seq: seq,
        ..room.clone()
    })]
}

/// Changes one user's standing, and the room's totals with it.
fn enact(scene: Scene<'_>, change: MemberChange, user: &UserId, seq: Seq) -> Vec<Change> {
    if change == MemberChange::Profile {
        // Names and pictures travel with each event's sender; no row of the room holds them.
        return Vec::new();
    }
    let before = scene.subject.copied().unwrap_or(Membership {
        state: MemberState::Gone,
        role: Role::Member,
        muted: false,
        changed_seq: Seq::ZERO,
    });
    let after = Membership {
        changed_seq: seq,
        ..before.after(change)
    };
    let mut changes = vec![Change::Member(user.clone(), after)];
    let (members, owners) = (
        recount(scene.room.members, before.is_in(), after.is_in()),
        recount(scene.room.owners, before.is_owner(), after.is_owner()),
    );
    if (members, owners) != (scene.room.members, scene.room.owners) {
        changes.push(Change::Room(RoomMeta {
            members,
            owners,
            changed_seq: seq,
            ..scene.room.clone()
        }));
    }
    changes
}

/// A total after one user was or became, or did not, one of those it counts. Saturates, so that rows nobody
/// could have written change no total instead of panicking.
fn recount(total: u32, before: bool, after: bool) -> u32 {
    match (before, after) {
        (false, true) => total.saturating_add(1),
        (true, false) => total.saturating_sub(1),
        _ => total,
    }
}

// === impl RoomMeta ===

impl RoomMeta {
    /// Whom a direct room is with, from one's own side: its name holds both ids.
    pub fn partner(&self, me: &UserId) -> Option<&str> {
        let is_direct = self.kind == crate::event::RoomKind::Direct;
        let (first, second) = self.name.split_once(' ').filter(|_| is_direct)?;
        Some(if first == me.as_str() { second } else { first })
    }
}

// === impl Membership ===

impl Membership {
    /// Whether the user is a member.
    pub fn is_in(&self) -> bool {
        self.state == MemberState::Joined
    }

    fn is_owner(&self) -> bool {
        self.is_in() && self.role == Role::Owner
    }

    fn after(self, change: MemberChange) -> Self {
        let stands = |state| Self {
            state,
            role: Role::Member,
            ..self
        };
        match change {
            MemberChange::Joined => stands(MemberState::Joined),
            MemberChange::Left | MemberChange::Removed | MemberChange::Unbanned => {
                stands(MemberState::Gone)
            }
            MemberChange::Invited => stands(MemberState::Invited),
            MemberChange::Banned => stands(MemberState::Banned),
            MemberChange::Muted => Self {
                muted: true,
                ..self
            },
            MemberChange::Unmuted => Self {
                muted: false,
                ..self
            },
            MemberChange::Role(role) => Self { role, ..self },
            MemberChange::Profile => self,
        }
    }
}

// === impl MemberState ===

impl MemberState {
    /// The spelling used in rows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invited => "invited",
            Self::Joined => "joined",
            Self::Gone => "gone",
            Self::Banned => "banned",
        }
    }

    /// The state with this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Invited, Self::Joined, Self::Gone, Self::Banned]
            .into_iter()
            .find(|state| state.as_str() == text)
    }
}
