//! Which changes a room's state has a place for. Who may make them is [`crate::permission`]'s table.

use super::{MemberState, Membership, PINS_MAX, RoomMeta, subject_of};
use crate::{
    event::{Event, MemberChange, Role, RoomEvent, RoomKind},
    ids::{RoomId, RoomKey},
    permission::{self, action_of},
};

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
pub(super) fn may_alter(scene: Scene<'_>, event: &Event, fields: &RoomEvent) -> bool {
    // A room is made once and deleted once.
    let is_alteration = fields.kind.is_none() && fields.deleted != Some(false);
    let is_empty = *fields == RoomEvent::default();
    let is_too_much = fields
        .pinned
        .as_ref()
        .is_some_and(|pinned| pinned.len() > PINS_MAX);
    is_alteration && !is_empty && !is_too_much && is_allowed(scene, event)
}

/// Whether a member's standing may change so.
pub(super) fn may_enact(scene: Scene<'_>, event: &Event, change: MemberChange) -> bool {
    let state = scene.subject.map(|subject| subject.state);
    if scene.room.kind == RoomKind::Direct && change == MemberChange::Joined {
        return may_meet(scene, event, state);
    }
    let has_place = match change {
        MemberChange::Joined => scene.alone && state != Some(MemberState::Joined),
        MemberChange::Left => scene.alone && is_here(state) && !is_last_owner(scene),
        MemberChange::Invited => matches!(state, None | Some(MemberState::Gone)),
        MemberChange::Removed => !scene.alone && is_here(state) && !is_last_owner(scene),
        MemberChange::Banned => {
            !scene.alone && state != Some(MemberState::Banned) && !is_last_owner(scene)
        }
        MemberChange::Unbanned => !scene.alone && state == Some(MemberState::Banned),
        MemberChange::Muted => !scene.alone && is_muted(scene) == Some(false),
        MemberChange::Unmuted => !scene.alone && is_muted(scene) == Some(true),
        MemberChange::Role(role) => may_give(scene, role),
        MemberChange::Profile => scene.alone && state == Some(MemberState::Joined),
    };
    has_place && !scene.room.deleted && is_allowed(scene, event)
}

/// A direct room takes in its two people and nobody else, whichever of them asks: its id says who they are.
fn may_meet(scene: Scene<'_>, event: &Event, state: Option<MemberState>) -> bool {
    let Some(user) = subject_of(event) else {
        return false;
    };
    let creator = &scene.room.created_by;
    let other = if scene.alone {
        creator
    } else {
        &event.sender.id
    };
    let is_their_room = RoomKey::from(RoomId::direct(user, other)) == event.key && user != other;
    let is_out = matches!(state, None | Some(MemberState::Gone | MemberState::Invited));
    is_their_room && is_out && !scene.room.deleted
}

/// Whether the sender has the right that the event asks for, where it asks for one.
fn is_allowed(scene: Scene<'_>, event: &Event) -> bool {
    let asked = permission::Scene {
        room: Some(scene.room),
        member: scene.actor,
        is_admin: event.by_admin,
    };
    action_of(event, scene.subject).is_none_or(|action| permission::may(action, asked).is_ok())
}

/// A member, or somebody who was asked to become one.
fn is_here(state: Option<MemberState>) -> bool {
    matches!(state, Some(MemberState::Joined | MemberState::Invited))
}

/// The last owner hands over before they take another role.
fn may_give(scene: Scene<'_>, role: Role) -> bool {
    role_of(scene.subject).is_some_and(|had| had != role) && !is_last_owner(scene)
}

/// The role of someone who is a member.
fn role_of(member: Option<&Membership>) -> Option<Role> {
    member
        .filter(|member| member.is_in())
        .map(|member| member.role)
}

/// Whether the subject is an owner and there is no other. Giving the last owner any role takes theirs away,
/// since giving the one they have is no change. A direct room needs no owner, as nobody rules there.
fn is_last_owner(scene: Scene<'_>) -> bool {
    let is_owner = role_of(scene.subject) == Some(Role::Owner);
    is_owner && scene.room.owners <= 1 && scene.room.kind != RoomKind::Direct
}

fn is_muted(scene: Scene<'_>) -> Option<bool> {
    scene
        .subject
        .filter(|subject| subject.is_in())
        .map(|subject| subject.muted)
}
