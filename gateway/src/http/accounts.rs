//! Signing in: accounts, guests and tickets.

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
use utoipa::ToSchema;

use super::{
    joining::has_place,
    meter::Meter,
    openapi::{BODY, SIGNED_IN, refusals},
    problem::{Answer, Problem},
    request::{Body, Raw, SignedIn, parse},
    shape::{Entered, Person, Ticket},
};
use crate::{
    accounts::{Entrance, accounts_off},
    address::Origin,
    auth::TICKET_TTL_S,
    clock,
    gateway::Gateway,
    hub::{Caller, Purpose},
    publish::{Record, fresh_id},
    users::User,
};

/// Who comes without an account.
#[derive(Deserialize, ToSchema)]
pub(super) struct Guest {
    /// Up to 64 bytes that can be seen.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
}

/// An account to be made.
#[derive(Deserialize, ToSchema)]
pub(super) struct SignUp {
    login: String,
    #[schema(value_type = String, format = Password)]
    password: Secret,
    /// What others see; the login name where it is left out.
    name: Option<String>,
}

/// Somebody with an account.
#[derive(Deserialize, ToSchema)]
pub(super) struct LogIn {
    login: String,
    #[schema(value_type = String, format = Password)]
    password: Secret,
}

/// A refresh token to be exchanged.
#[derive(Deserialize, ToSchema)]
pub(super) struct Renewal {
    #[schema(value_type = String)]
    refresh_token: Secret,
}

/// Which sign-ins end. Without anything it is the one the access token comes from.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct LogOut {
    /// The sign-in this refresh token belongs to; then no access token is needed.
    #[schema(value_type = Option<String>)]
    refresh_token: Option<Secret>,
    /// All of the user's.
    #[serde(default)]
    everywhere: bool,
}

/// Signs somebody in by a name alone.
#[utoipa::path(
    post, path = "/auth/guest", tag = "accounts", operation_id = "enterAsGuest", request_body = Guest, security(()),
    responses((status = 200, body = Entered, description = "Signed in.")),
    extensions(("x-refusals" = json!(refusals(&[
        BODY, &[Code::NotFound, Code::AccountsOff, Code::TooMany, Code::StoreUnavailable, Code::Internal],
    ])))),
)]
pub(super) async fn guest(
    State(gateway): State<Arc<Gateway>>,
    from: Origin,
    meter: Meter,
    Body(guest): Body<Guest>,
) -> Answer {
    if !gateway.makes_tokens() {
        return Err(accounts_off().into());
    }
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
#[utoipa::path(
    post, path = "/auth/signup", tag = "accounts", operation_id = "signUp", request_body = SignUp, security(()),
    responses((status = 201, body = Entered, description = "Signed up and in.")),
    extensions(("x-refusals" = json!(refusals(&[BODY, &[
        Code::AccountsOff, Code::Conflict, Code::TooMany, Code::StoreUnavailable, Code::Overloaded, Code::Internal,
    ]])))),
)]
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
#[utoipa::path(
    post, path = "/auth/login", tag = "accounts", operation_id = "logIn", request_body = LogIn, security(()),
    responses((status = 200, body = Entered, description = "Signed in.")),
    extensions(("x-refusals" = json!(refusals(&[BODY, &[
        Code::AccountsOff, Code::Unauthenticated, Code::TooMany, Code::StoreUnavailable, Code::Overloaded, Code::Internal,
    ]])))),
)]
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
#[utoipa::path(
    post, path = "/auth/refresh", tag = "accounts", operation_id = "refresh", request_body = Renewal, security(()),
    responses((status = 200, body = Entered, description = "Signed in for longer.")),
    extensions(("x-refusals" = json!(refusals(&[BODY, &[
        Code::AccountsOff, Code::Unauthenticated, Code::TokenExpired, Code::TooMany, Code::StoreUnavailable, Code::Overloaded,
        Code::Internal,
    ]])))),
)]
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
#[utoipa::path(
    post, path = "/auth/logout", tag = "accounts", operation_id = "logOut", request_body = Option<LogOut>,
    security(("bearer" = []), ()),
    responses((status = 204, description = "Signed out.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, &[Code::AccountsOff, Code::Overloaded, Code::Internal]])))),
)]
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
    let body = Entered {
        user: described(&entrance.user),
        access_token: entrance.access_token.clone(),
        refresh_token: entrance.refresh_token.reveal().to_owned(),
        expires_in: entrance.expires_in_s,
    };
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
    let entered = gateway.hub.enter(&key, &caller, Purpose::FIND, None);
    has_place(gateway, &entered.await?)?;
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
        by_admin: false,
    }
}

/// A ticket for the upgrade.
#[utoipa::path(
    post, path = "/ws-tickets", tag = "accounts", operation_id = "issueTicket",
    responses((status = 200, body = Ticket, description = "A ticket for one connection.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, &[Code::Internal]])))),
)]
pub(super) async fn ticket(State(gateway): State<Arc<Gateway>>, signed_in: SignedIn) -> Answer {
    let (store, now_s) = (&gateway.source.store, clock::unix_ms() / 1_000);
    let issued = gateway.tickets.issue(&signed_in.identity, store, now_s);
    let ticket = issued.await?;
    let expires_in = TICKET_TTL_S;
    Ok(Json(Ticket { ticket, expires_in }).into_response())
}

/// A user who is here, as others see them.
pub(super) fn described(user: &User) -> Person {
    let profile = user.profile();
    Person {
        id: user.id.as_str().to_owned(),
        name: profile.name.clone(),
        avatar: profile.avatar.clone(),
    }
}
