//! Who may do what to a room: the one place where roles meet actions.

use super::{MemberState, Membership, RoomMeta};
use crate::event::{MemberChange, Role, RoomEvent, RoomKind};

/// Who acts on whom, and where.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub(super) room: &'a RoomMeta,
    /// The sender's row.
    pub(super) actor: Option<&'a Membership>,
    /// The row of the user whose standing is to change.
    pub(super) subject: Option<&'a Membership>,
    /// Whether the two are one user.
    pub(super) alone: bool,
}

/// Whether someone may change these fields of a room.
pub(super) fn may_alter(room: &RoomMeta, actor: Option<&Membership>, fields: &RoomEvent) -> bool {
    let Some(role) = role_of(actor) else {
        return false;
    };
    // A room is made once and deleted once.
    if room.deleted || fields.kind.is_some() || fields.deleted == Some(false) {
        return false;
    }
    let owners_part = fields.name.is_some()
        || fields.public.is_some()
        || fields.read_only.is_some()
        || fields.deleted.is_some();
    let needed = if owners_part {
        Role::Owner
    } else {
        Role::Moderator
    };
    (owners_part || fields.slow_mode_s.is_some()) && role >= needed
}

/// Whether a member's standing may change so.
pub(super) fn may_enact(scene: Scene<'_>, change: MemberChange) -> bool {
    if scene.room.deleted {
        return false;
    }
    let state = scene.subject.map(|subject| subject.state);
    match change {
        MemberChange::Joined => scene.alone && may_join(scene.room, state),
        MemberChange::Left => scene.alone && may_leave(scene, state),
        MemberChange::Invited => may_invite(scene, state),
        MemberChange::Removed => {
            let can_go = matches!(state, Some(MemberState::Joined | MemberState::Invited));
            can_go && keeps_order(scene)
        }
        MemberChange::Banned => state != Some(MemberState::Banned) && keeps_order(scene),
        MemberChange::Unbanned => state == Some(MemberState::Banned) && keeps_order(scene),
        MemberChange::Muted => is_muted(scene) == Some(false) && keeps_order(scene),
        MemberChange::Unmuted => is_muted(scene) == Some(true) && keeps_order(scene),
        MemberChange::Role(role) => may_give(scene, role),
        MemberChange::Profile => scene.alone && state == Some(MemberState::Joined),
    }
}

/// The role of someone who is a member.
fn role_of(member: Option<&Membership>) -> Option<Role> {
    member
        .filter(|member| member.is_in())
        .map(|member| member.role)
}

fn may_join(room: &RoomMeta, state: Option<MemberState>) -> bool {
    match state {
        Some(MemberState::Joined | MemberState::Banned) => false,
        Some(MemberState::Invited) => true,
        Some(MemberState::Gone) | None => room.public,
    }
}

/// An invited user may decline by leaving. The last owner hands over or deletes the room first.
fn may_leave(scene: Scene<'_>, state: Option<MemberState>) -> bool {
    match state {
        Some(MemberState::Invited) => true,
        Some(MemberState::Joined) => !is_last_owner(scene),
        _ => false,
    }
}

fn may_invite(scene: Scene<'_>, state: Option<MemberState>) -> bool {
    let needed = match scene.room.kind {
        RoomKind::Group => Role::Member,
        RoomKind::Direct | RoomKind::Channel | RoomKind::Announcement => Role::Moderator,
    };
    matches!(state, None | Some(MemberState::Gone))
        && role_of(scene.actor).is_some_and(|role| role >= needed)
}

/// Moderators and owners keep order among others; an owner answers to owners only.
fn keeps_order(scene: Scene<'_>) -> bool {
    let owner_only = role_of(scene.subject) == Some(Role::Owner);
    let needed = if owner_only {
        Role::Owner
    } else {
        Role::Moderator
    };
    !scene.alone && role_of(scene.actor).is_some_and(|role| role >= needed)
}

fn may_give(scene: Scene<'_>, role: Role) -> bool {
    let changes = role_of(scene.subject).is_some_and(|had| had != role);
    changes && role_of(scene.actor) == Some(Role::Owner) && !is_last_owner(scene)
}

/// Whether the subject is an owner and there is no other. Giving the last owner any role takes theirs away,
/// since giving the one they have is no change.
fn is_last_owner(scene: Scene<'_>) -> bool {
    role_of(scene.subject) == Some(Role::Owner) && scene.room.owners <= 1
}

fn is_muted(scene: Scene<'_>) -> Option<bool> {
    scene
        .subject
        .filter(|subject| subject.is_in())
        .map(|subject| subject.muted)
}
