//! A room's members: who they are, and how those who keep order change that.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use roomlog_core::{
    code::Code,
    event::{Body as EventBody, MemberChange, MemberEvent, Role},
    ids::{RoomId, Seq, UserId},
    room_state::{MemberState, Membership, Unmet, Wish},
};
use roomlog_platform::dynamo::Consistency;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    openapi::{BODY, COMMAND, MEMBERS, SIGNED_IN, id, refusals, role},
    problem::{Answer, Problem},
    request::{Body, Member, Parameters, Room, SignedIn},
    rooms::{answer, carry_out, event, page_size},
    shape::{Done, MemberShown, Members, Person},
};
use crate::{
    gateway::{Carried, Gateway},
    hub::Purpose,
};

/// Pages of rows looked through for one page of members: those who left keep their rows. A page may thus be short or
/// empty and still say where to go on.
const PAGES_MAX: usize = 10;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Those after this id.
    #[param(schema_with = id, required = false)]
    after: Option<String>,
    /// 50 where it is left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u16>,
}

/// How a user is to stand; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Standing {
    #[schema(schema_with = role, required = false)]
    role: Option<String>,
    muted: Option<bool>,
    banned: Option<bool>,
}

/// A member, and how far they have read where that is known.
struct Shown {
    membership: Membership,
    read_seq: Seq,
}

/// A room's members, by id: the stored ones, with the changes that are not stored yet.
#[utoipa::path(
    get, path = "/rooms/{id}/members", tag = "members", operation_id = "listMembers", params(Room, Page),
    responses((status = 200, body = Members, description = "A page of the members.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, MEMBERS, &[Code::BadRequest]])))),
)]
pub(super) async fn list(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
    Parameters(page): Parameters<Page>,
) -> Answer {
    let limit = page_size(page.limit)?;
    let after = page.after.as_deref().map(UserId::parse).transpose();
    let mut after = after.map_err(|error| Problem::new(Code::BadRequest, error.to_string()))?;
    let caller = &signed_in.caller;
    gateway
        .hub
        .enter(&room.key(), caller, Purpose::READ, None)
        .await?;
    let mut items = Vec::new();
    for _ in 0..PAGES_MAX {
        let (mut found, next) = stretch(&gateway, &signed_in, &room, after.as_ref(), limit).await?;
        let wanted = usize::from(limit) - items.len();
        let is_cut = found.len() > wanted;
        found.truncate(wanted);
        after = match found.last() {
            Some((user, _)) if is_cut => Some(user.clone()),
            _ => next,
        };
        items.append(&mut found);
        if after.is_none() || items.len() >= usize::from(limit) {
            break;
        }
    }
    let items = described(&gateway, items).await?;
    let next = after.map(|after| after.as_str().to_owned());
    Ok(Json(Members { items, next }).into_response())
}

/// The members after a user, and where the next stretch begins.
async fn stretch(
    gateway: &Gateway,
    signed_in: &SignedIn,
    room: &Room,
    after: Option<&UserId>,
    limit: u16,
) -> Result<(Vec<(UserId, Shown)>, Option<UserId>), Problem> {
    let stored = gateway
        .source
        .store
        .members(&room.0, after, limit, Consistency::Strong)
        .await
        .map_err(|error| Problem::store(&error))?;
    let mut members: BTreeMap<UserId, Shown> = stored
        .members
        .into_iter()
        .filter_map(|row| {
            let shown = Shown {
                membership: row.membership?,
                read_seq: row.read_seq,
            };
            Some((row.user, shown))
        })
        .collect();
    // Asked after the store: a change is in one of them at least.
    let changed = gateway
        .hub
        .between(
            &room.key(),
            &signed_in.caller,
            after.cloned(),
            stored.next.clone(),
        )
        .await?;
    for (user, membership) in changed {
        let shown = members.entry(user).or_insert(Shown {
            membership,
            read_seq: membership.changed_seq,
        });
        if membership.changed_seq > shown.membership.changed_seq {
            shown.membership = membership;
        }
    }
    members.retain(|_, shown| shown.membership.is_in());
    Ok((members.into_iter().collect(), stored.next))
}

async fn described(
    gateway: &Gateway,
    items: Vec<(UserId, Shown)>,
) -> Result<Vec<MemberShown>, Problem> {
    let ids = items.iter().map(|(user, _)| user.clone()).collect();
    let people = people(gateway, ids).await?;
    let described = people.into_iter().zip(items);
    let described = described.map(|(user, (_, shown))| MemberShown {
        user,
        role: shown.membership.role.as_str(),
        muted: shown.membership.muted,
        read_seq: shown.read_seq.0,
    });
    Ok(described.collect())
}

/// What is told of users beside what they do, in their order.
pub(super) async fn people(gateway: &Gateway, ids: Vec<UserId>) -> Result<Vec<Person>, Problem> {
    let users = gateway
        .source
        .store
        .users(&ids)
        .await
        .map_err(|error| Problem::store(&error))?;
    let known: BTreeMap<_, _> = users.iter().map(|user| (&user.id, user)).collect();
    let told = ids.iter().map(|id| {
        let user = known.get(id);
        Person {
            id: id.as_str().to_owned(),
            name: user.map_or(id.as_str(), |user| &user.name).to_owned(),
            avatar: user.and_then(|user| user.avatar.clone()),
        }
    });
    Ok(told.collect())
}

/// Invites a newcomer, or changes a member's role, voice or access.
#[utoipa::path(
    put, path = "/rooms/{id}/members/{user}", tag = "members", operation_id = "putMember", params(Member),
    request_body = Standing,
    responses(
        (status = 200, body = Done, description = "They stand so now; the seq is the last change's."),
        (status = 202, body = Done, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, MEMBERS, COMMAND, &[Code::Forbidden]])))),
)]
pub(super) async fn put(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    member: Member,
    Body(standing): Body<Standing>,
) -> Answer {
    let role = standing.role.as_deref().map(|role| {
        Role::parse(role).ok_or_else(|| {
            Problem::new(
                Code::BadRequest,
                "role is one of member, moderator and owner",
            )
        })
    });
    let wish = Wish {
        role: role.transpose()?,
        muted: standing.muted,
        banned: standing.banned,
    };
    let row = row_of(&gateway, &signed_in, &member).await?;
    let changes = wish.changes(row.as_ref()).map_err(unmet)?;
    if changes.is_empty() {
        let seq = row.map_or(Seq::ZERO, |row| row.changed_seq);
        return Ok(Json(Done { seq: Some(seq.0) }).into_response());
    }
    enact(&gateway, &signed_in, &member, changes).await
}

/// Takes a member, or an invitation, out of the room.
#[utoipa::path(
    delete, path = "/rooms/{id}/members/{user}", tag = "members", operation_id = "removeMember", params(Member),
    responses(
        (status = 200, body = Done, description = "They are out."),
        (status = 202, body = Done, description = "The log has it."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, MEMBERS, COMMAND, &[Code::Forbidden]])))),
)]
pub(super) async fn remove(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    member: Member,
) -> Answer {
    row_of(&gateway, &signed_in, &member).await?;
    let change = if member.user == signed_in.user.id {
        MemberChange::Left
    } else {
        MemberChange::Removed
    };
    enact(&gateway, &signed_in, &member, vec![change]).await
}

/// How somebody stands in a room that the caller may know of.
async fn row_of(
    gateway: &Gateway,
    signed_in: &SignedIn,
    member: &Member,
) -> Result<Option<Membership>, Problem> {
    let key = (&member.room).into();
    let users = vec![member.user.clone()];
    let (_, rows) = gateway.hub.look(&key, &signed_in.caller, users).await?;
    let row = rows.into_iter().next().flatten();
    if row.is_none_or(|row| row.state == MemberState::Gone) && member.user != signed_in.user.id {
        exists(gateway, &member.user).await?;
    }
    Ok(row)
}

/// Whether there is such a user at all.
pub(super) async fn exists(gateway: &Gateway, user: &UserId) -> Result<(), Problem> {
    let found = gateway.source.store.user(user, Consistency::Strong).await;
    match found.map_err(|error| Problem::store(&error))? {
        Some(_) => Ok(()),
        None => Err(Problem::new(Code::NotFound, "there is no such user")),
    }
}

/// Produces the changes one after the other; the answer is the last one's.
async fn enact(
    gateway: &Gateway,
    signed_in: &SignedIn,
    member: &Member,
    changes: Vec<MemberChange>,
) -> Answer {
    let mut last: Option<Carried> = None;
    for change in changes {
        last = Some(change_member(gateway, signed_in, &member.room, &member.user, change).await?);
    }
    Ok(match last {
        Some(carried) => answer(carried, StatusCode::OK, |seq| Done { seq }),
        None => Response::default(),
    })
}

/// Changes how a user stands in a room, if the caller may.
pub(super) async fn change_member(
    gateway: &Gateway,
    signed_in: &SignedIn,
    room: &RoomId,
    user: &UserId,
    change: MemberChange,
) -> Result<Carried, Problem> {
    let body = EventBody::Member(MemberEvent {
        user: user.clone(),
        change,
    });
    carry_out(gateway, signed_in, event(signed_in, room, body)).await
}

fn unmet(unmet: Unmet) -> Problem {
    match unmet {
        Unmet::Contradiction => Problem::new(
            Code::BadRequest,
            "who is to be banned has no role and no voice",
        ),
        Unmet::NotAMember => Problem::new(
            Code::Conflict,
            "only a member has a role and can be muted: invite them first",
        ),
        Unmet::Banned => Problem::new(Code::Conflict, "this user is banned: unban them first"),
    }
}
