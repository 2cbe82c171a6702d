//! Signing in: guests, tickets and who one is.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
};
use roomlog_core::{
    account::display_name,
    code::{Code, Refusal},
    event::{Body as EventBody, Event, MemberChange, MemberEvent},
    ids::{RoomKey, UserId},
};
use roomlog_platform::{config::Secret, dynamo::UserRow};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    meter::Meter,
    problem::{Answer, Problem},
    request::{Body, Raw, SignedIn, parse},
};
use crate::{
    accounts::Entrance,
    address::Origin,
    auth::TICKET_TTL_S,
    clock,
    gateway::Gateway,
    hub::{Caller, Purpose},
    publish::{Record, fresh_id},
    users::User,
};

/// The role of everyone who is no admin.
const USER_ROLE: &str = "user";

#[derive(Deserialize)]
pub(super) struct Guest {
    name: String,
}

#[derive(Deserialize)]
pub(super) struct SignUp {
    login: String,
    password: Secret,
    name: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct LogIn {
    login: String,
    password: Secret,
}

#[derive(Deserialize)]
pub(super) struct Renewal {
    refresh_token: Secret,
}

/// Which sign-ins end. Without anything it is the one the access token comes from.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct LogOut {
    /// The sign-in this refresh token belongs to; then no access token is needed.
    refresh_token: Option<Secret>,
    /// All of the user's.
    everywhere: bool,
}

/// Signs somebody in by a name alone.
pub(super) async fn guest(
    State(gateway): State<Arc<Gateway>>,
    from: Origin,
    meter: Meter,
    Body(guest): Body<Guest>,
) -> Answer {
    if !gateway.config.gateway.guests {
        return Err(Problem::new(Code::NotFound, "guests can't sign in here"));
    }
    meter.note(gateway.doors.guest(from))?;
    let name = display_name(&guest.name).ok_or_else(|| {
        Problem::new(Code::BadRequest, "a name has 1 to 64 bytes and can be seen")
    })?;
    let id = format!("guest-{}", uuid::Uuid::new_v4().simple());
    let id = UserId::parse(&id).expect("a UUID fits the alphabet");
    let row = UserRow {
        guest: true,
        ..UserRow::new(id, name, clock::unix_ms_signed())
    };
    let row = gateway
        .source
        .store
        .create_user(&row)
        .await
        .map_err(|error| Problem::store(&error))?;
    let entrance = gateway.enter(row).await?;
    welcome(&gateway, &entrance.user).await;
    Ok(entered(&entrance).into_response())
}

/// Makes an account.
pub(super) async fn sign_up(
    State(gateway): State<Arc<Gateway>>,
    from: Origin,
    meter: Meter,
    Body(wish): Body<SignUp>,
) -> Answer {
    gateway.has_accounts()?;
    meter.note(gateway.doors.sign_in(from))?;
    let entrance = gateway
        .sign_up(&wish.login, &wish.password, wish.name.as_deref())
        .await?;
    Ok((StatusCode::CREATED, entered(&entrance)).into_response())
}

/// Signs somebody in by login name and password.
pub(super) async fn log_in(
    State(gateway): State<Arc<Gateway>>,
    from: Origin,
    meter: Meter,
    Body(wish): Body<LogIn>,
) -> Answer {
    gateway.has_accounts()?;
    meter.note(gateway.doors.sign_in(from))?;
    let entrance = gateway.log_in(&wish.login, &wish.password, from).await?;
    Ok(entered(&entrance).into_response())
}

/// Exchanges a refresh token. Guests have some too, so this works where only they sign in.
pub(super) async fn refresh(
    State(gateway): State<Arc<Gateway>>,
    from: Origin,
    meter: Meter,
    Body(renewal): Body<Renewal>,
) -> Answer {
    meter.note(gateway.doors.connect(from))?;
    let entrance = gateway.renew(&renewal.refresh_token).await?;
    Ok(entered(&entrance).into_response())
}

/// Signs out: here or everywhere.
pub(super) async fn log_out(
    State(gateway): State<Arc<Gateway>>,
    signed_in: Result<SignedIn, Problem>,
    Raw(body): Raw,
) -> Answer {
    let wish: LogOut = match body.is_empty() {
        true => LogOut::default(),
        false => parse(&body)?,
    };
    match (wish.refresh_token, wish.everywhere) {
        (Some(token), false) => gateway.end_session_of(&token).await?,
        (None, true) => gateway.end_all_sessions(&signed_in?.user.id).await?,
        (None, false) => {
            let identity = signed_in?.identity;
            let session = identity.session.ok_or_else(|| {
                Problem::new(Code::BadRequest, "this token comes from no sign-in here")
            })?;
            gateway.end_session(&identity.user, &session.id).await?;
        }
        (Some(_), true) => {
            let message = "everywhere goes with an access token, not with a refresh token";
            return Err(Problem::new(Code::BadRequest, message));
        }
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Tokens are not for caches (RFC 6749, section 5.1).
fn entered(entrance: &Entrance) -> impl IntoResponse + use<> {
    let body = json!({
        "user": described(&entrance.user),
        "access_token": entrance.access_token,
        "refresh_token": entrance.refresh_token.reveal(),
        "expires_in": entrance.expires_in_s,
    });
    ([(header::CACHE_CONTROL, "no-store")], Json(body))
}

/// Lets a guest into the configured room. They are signed in all the same where that does not work.
async fn welcome(gateway: &Gateway, user: &User) {
    let Some(room) = &gateway.config.gateway.guest_room else {
        return;
    };
    let joined = match RoomKey::parse(room) {
        Ok(key) => join(gateway, user, key).await,
        Err(error) => Err(Refusal::new(Code::BadRequest, error.to_string())),
    };
    if let Err(refusal) = joined {
        tracing::warn!(%refusal, "a guest could not join the guests' room");
    }
}

async fn join(gateway: &Gateway, user: &User, key: RoomKey) -> Result<(), Refusal> {
    let caller = Caller {
        user: user.id.clone(),
        is_admin: false,
    };
    let event = membership_event(user, key, MemberChange::Joined);
    let record = Record::of(&event, &gateway.origin, None);
    let purpose = Purpose::Change(Box::new(event));
    gateway.carry_out(&caller, purpose, record).await.map(drop)
}

/// An event by which a user changes their own membership.
pub(super) fn membership_event(user: &User, key: RoomKey, change: MemberChange) -> Event {
    Event {
        key,
        id: fresh_id(),
        sender: user.sender(),
        body: EventBody::Member(MemberEvent {
            user: user.id.clone(),
            change,
        }),
        headers: Vec::new(),
    }
}

/// A ticket for the upgrade.
pub(super) async fn ticket(State(gateway): State<Arc<Gateway>>, signed_in: SignedIn) -> Answer {
    let ticket = gateway
        .tickets
        .issue(&signed_in.identity, clock::unix_ms() / 1_000)?;
    Ok(Json(json!({ "ticket": ticket, "expires_in": TICKET_TTL_S })).into_response())
}

/// Who one is.
pub(super) async fn me(signed_in: SignedIn) -> Answer {
    Ok(Json(json!({
        "user": described(&signed_in.user),
        "role": if signed_in.identity.is_admin { "admin" } else { USER_ROLE },
    }))
    .into_response())
}

fn described(user: &User) -> Value {
    let profile = user.profile();
    json!({ "id": user.id.as_str(), "name": profile.name, "avatar": profile.avatar })
}
