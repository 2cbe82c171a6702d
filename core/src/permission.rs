//! Who may do what in a room: one table for STOMP, REST and the fold alike.
//!
//! The table says what a role may do in a kind of room ([`Right`]); [`may`] adds what the caller's standing makes of
//! it. Whether the room's state has a place for the change (the last owner stays, nobody joins twice) is the fold's
//! part, see [`crate::room_state`].

#[cfg(test)]
mod tests;

use crate::{
    code::{Code, Refusal},
    event::{Body, Event, MemberChange, Role, RoomEvent, RoomKind},
    room_state::{MemberState, Membership, RoomMeta},
};

/// What somebody wants to do in a room that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// See that it exists, and its settings.
    Find,
    /// See its events, its members and their signals; say how far one has read.
    Read,
    /// Become a member.
    Join,
    /// Stop being one, or decline an invitation.
    Leave,
    /// React to a message.
    React,
    /// Say something.
    Post,
    /// Change a message of one's own.
    EditOwn,
    /// Take back a message of one's own.
    DeleteOwn,
    /// Change somebody else's words.
    EditOthers,
    /// Take back somebody else's message.
    DeleteOthers,
    /// Put up a notice, pinned or not.
    Notice,
    /// Pin or unpin what is there.
    Pin,
    /// Ask somebody in.
    Invite,
    /// Take a member, or an invitation, out.
    Remove(Over),
    /// Mute or unmute.
    Mute(Over),
    /// Ban or unban.
    Ban(Over),
    /// Give somebody a role; also how a room is handed over.
    GiveRole,
    /// Set the slow mode.
    SlowMode,
    /// Change the name, who finds it, or whether it is read-only.
    Settings,
    /// Delete the room.
    DeleteRoom,
}

/// Whom an action is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// An owner of the room.
    Owner,
    /// Anybody else.
    Others,
}

/// Who asks, and where: the rows of one moment.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The room's row; `None` where there is no such room.
    pub room: Option<&'a RoomMeta>,
    /// The caller's row in it.
    pub member: Option<&'a Membership>,
    /// Whether the caller has the global role that may do everything everywhere.
    pub is_admin: bool,
}

/// Who may do something in a kind of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    /// Whoever may know of the room.
    Finder,
    /// Members, and those who were asked to become one.
    Guest,
    /// Members of this role and above.
    Least(Role),
    /// The same, as long as they are not muted; plain members also only while the room is not read-only. Whose role
    /// is not enough hears this code.
    Speaker(Role, Code),
    /// Only the global role, which stands above the room's own.
    Admin,
    /// Nobody at all.
    Nobody,
}

/// The table: what an action asks for in a kind of room.
///
/// A direct room belongs to its two people alike, so nobody rules there, and neither leaves it for good: there is one
/// such room for each pair, for ever.
fn right(action: Action, kind: RoomKind) -> Right {
    use Role::{Member, Moderator, Owner};
    let is_direct = kind == RoomKind::Direct;
    let few_speak = matches!(kind, RoomKind::Channel | RoomKind::Announcement);
    match action {
        Action::EditOthers => Right::Nobody,
        Action::Find | Action::Join => Right::Finder,
        Action::Read | Action::React => Right::Least(Member),
        Action::Post | Action::EditOwn | Action::DeleteOwn if few_speak => {
            Right::Speaker(Moderator, Code::ReadOnly)
        }
        Action::Post | Action::EditOwn | Action::DeleteOwn => {
            Right::Speaker(Member, Code::ReadOnly)
        }
        _ if is_direct => Right::Admin,
        Action::Leave => Right::Guest,
        Action::Notice => Right::Speaker(Moderator, Code::Forbidden),
        Action::Invite if kind == RoomKind::Group => Right::Least(Member),
        Action::Invite
        | Action::DeleteOthers
        | Action::Pin
        | Action::SlowMode
        | Action::Remove(Over::Others)
        | Action::Mute(Over::Others)
        | Action::Ban(Over::Others) => Right::Least(Moderator),
        Action::Remove(Over::Owner)
        | Action::Mute(Over::Owner)
        | Action::Ban(Over::Owner)
        | Action::GiveRole
        | Action::Settings
        | Action::DeleteRoom => Right::Least(Owner),
    }
}

/// Whether the caller may do this, or why not. Depends on nothing but its arguments.
///
/// # Errors
/// `not-found` where there is no room the caller may know of, `not-a-member`, `banned`, `muted`, `read-only`, or
/// `forbidden` where their role is not enough.
pub fn may(action: Action, scene: Scene<'_>) -> Result<(), Code> {
    let room = scene.room.filter(|room| !room.deleted);
    let room = room.ok_or(Code::NotFound)?;
    let right = right(action, room.kind);
    if right == Right::Nobody {
        // Not even who may do everything; but who may not know of the room hears nothing else first.
        may(Action::Read, scene)?;
        return Err(Code::Forbidden);
    }
    if scene.is_admin {
        return Ok(());
    }
    let state = scene.member.map(|member| member.state);
    match (state, scene.member) {
        (Some(MemberState::Banned), _) => Err(Code::Banned),
        (Some(MemberState::Joined), Some(member)) => member_may(right, room, member),
        (Some(MemberState::Invited), _) if matches!(right, Right::Finder | Right::Guest) => Ok(()),
        (Some(MemberState::Invited), _) => Err(Code::NotAMember),
        _ if !room.public => Err(Code::NotFound),
        _ if right == Right::Finder => Ok(()),
        _ => Err(Code::NotAMember),
    }
}

fn member_may(right: Right, room: &RoomMeta, member: &Membership) -> Result<(), Code> {
    let role = member.role;
    match right {
        Right::Finder | Right::Guest => Ok(()),
        Right::Least(least) if role >= least => Ok(()),
        Right::Least(_) | Right::Admin | Right::Nobody => Err(Code::Forbidden),
        // An owner could unmute themselves.
        Right::Speaker(..) if member.muted && role < Role::Owner => Err(Code::Muted),
        Right::Speaker(least, code) if role < least => Err(code),
        Right::Speaker(..) if room.read_only && role < Role::Moderator => Err(Code::ReadOnly),
        Right::Speaker(..) => Ok(()),
    }
}

/// What an event does, as far as it needs a right of its own; `subject` is the row of the user it is about.
/// `None` for what is not asked for this way: a room's creation, a profile, and bodies nobody may send.
pub fn action_of(event: &Event, subject: Option<&Membership>) -> Option<Action> {
    match &event.body {
        Body::Member(member) => change(member.change, subject),
        Body::Room(fields) => alteration(fields),
        Body::Message(_) => Some(Action::Post),
        Body::Reaction { .. } => Some(Action::React),
        Body::Notice { .. } => Some(Action::Notice),
        Body::Edit { .. } | Body::Delete { .. } | Body::Letter(_) | Body::Unreadable => None,
    }
}

fn change(change: MemberChange, subject: Option<&Membership>) -> Option<Action> {
    let is_owner = subject.is_some_and(|row| row.is_in() && row.role == Role::Owner);
    let over = if is_owner { Over::Owner } else { Over::Others };
    Some(match change {
        MemberChange::Joined => Action::Join,
        MemberChange::Left => Action::Leave,
        MemberChange::Invited => Action::Invite,
        MemberChange::Removed => Action::Remove(over),
        MemberChange::Banned | MemberChange::Unbanned => Action::Ban(over),
        MemberChange::Muted | MemberChange::Unmuted => Action::Mute(over),
        MemberChange::Role(_) => Action::GiveRole,
        MemberChange::Profile => return None,
    })
}

/// Several fields at once ask for the most that any of them asks for.
fn alteration(fields: &RoomEvent) -> Option<Action> {
    if fields.kind.is_some() {
        return None;
    }
    let has_settings =
        fields.name.is_some() || fields.public.is_some() || fields.read_only.is_some();
    Some(match fields {
        RoomEvent {
            deleted: Some(_), ..
        } => Action::DeleteRoom,
        _ if has_settings => Action::Settings,
        _ if fields.pinned.is_some() => Action::Pin,
        _ => Action::SlowMode,
    })
}

/// The refusal with a code that [`may`] gives.
pub fn refusal(code: Code) -> Refusal {
    let message = match code {
        Code::NotFound => "there is no such room, or it is private",
        Code::NotAMember => "you are not a member of this room",
        Code::Banned => "you are banned from this room",
        Code::Muted => "you are muted in this room",
        Code::ReadOnly => "only moderators and owners post in this room",
        _ => "your role does not allow this",
    };
    Refusal::new(code, message)
}
