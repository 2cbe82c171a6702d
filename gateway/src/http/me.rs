//! The signed-in user: who they are and how they are shown.

use std::sync::Arc;

use axum::{Json, extract::State, response::IntoResponse as _};
use roomlog_core::{account::display_name, code::Code};
use roomlog_platform::dynamo::{Consistency, ProfileChange, UserRow};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::{
    accounts::described,
    openapi::{BODY, SIGNED_IN, id, refusals},
    problem::{Answer, Problem},
    request::{Body, SignedIn},
};
use crate::{attachments::AVATARS_PATH, gateway::Gateway};

/// The longest address of a picture, in bytes: it travels with every event.
const AVATAR_BYTES_MAX: usize = 512;
/// The longest BCP 47 tag there is use for, in bytes.
const LOCALE_BYTES_MAX: usize = 35;

/// What is to change. A field that is left out stays; `null` clears picture and language.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProfileChange)]
pub(super) struct Wish {
    /// Up to 64 bytes that can be seen.
    #[schema(max_length = 64)]
    name: Option<String>,
    /// A picture that was uploaded, or an https address.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    avatar: Option<Option<String>>,
    /// A BCP 47 language tag.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    locale: Option<Option<String>>,
}

/// A field that is there, though it may be null.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(field).map(Some)
}

/// Oneself.
#[derive(Debug, Serialize, ToSchema)]
struct Me {
    user: Own,
    /// `user` or `admin`: the role in everything, not that in a room.
    role: &'static str,
}

/// Oneself, as others see one and as one wants it.
#[derive(Debug, Serialize, ToSchema)]
struct Own {
    #[schema(schema_with = id)]
    id: String,
    /// What others see.
    name: String,
    /// Where the picture is.
    avatar: Option<String>,
    /// A BCP 47 language tag.
    locale: Option<String>,
    /// Whether one came by a name alone.
    guest: bool,
}

/// Who one is.
#[utoipa::path(
    get, path = "/me", tag = "users", operation_id = "getMe",
    responses((status = 200, body = Me, description = "Oneself.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN])))),
)]
pub(super) async fn show(State(gateway): State<Arc<Gateway>>, signed_in: SignedIn) -> Answer {
    let stored = gateway
        .source
        .store
        .user(&signed_in.user.id, Consistency::Eventual);
    // Without the store everything but the language is known all the same.
    let row = stored.await.ok().flatten();
    Ok(answer(&signed_in, row.as_ref()).into_response())
}

/// Changes how one is shown.
#[utoipa::path(
    patch, path = "/me", tag = "users", operation_id = "alterMe", request_body = Wish,
    responses((status = 200, body = Me, description = "Oneself, as changed.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, &[Code::NotFound]])))),
)]
pub(super) async fn alter(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Body(wish): Body<Wish>,
) -> Answer {
    let change = parse(wish)?;
    if change == ProfileChange::default() {
        return show(State(gateway), signed_in).await;
    }
    signed_in
        .meter
        .note(gateway.doors.profile(&signed_in.user.id))?;
    if let Some(Some(avatar)) = &change.avatar
        && avatar.starts_with(AVATARS_PATH)
    {
        let user = &signed_in.user.id;
        gateway.check_picture(user, avatar).await?;
    }
    let row = gateway.change_profile(&signed_in.user, &change).await?;
    Ok(answer(&signed_in, Some(&row)).into_response())
}

fn parse(wish: Wish) -> Result<ProfileChange, Problem> {
    let bad = |message| Problem::new(Code::BadRequest, message);
    let name = wish.name.map(|name| {
        display_name(&name).ok_or_else(|| bad("a name has 1 to 64 bytes and can be seen"))
    });
    if let Some(Some(avatar)) = &wish.avatar
        && !is_picture(avatar)
    {
        return Err(bad(
            "avatar is an uploaded picture or an https address of at most 512 bytes, or null",
        ));
    }
    if let Some(Some(locale)) = &wish.locale
        && !is_locale(locale)
    {
        return Err(bad("locale is a BCP 47 language tag like pt-BR, or null"));
    }
    Ok(ProfileChange {
        name: name.transpose()?,
        avatar: wish.avatar,
        locale: wish.locale,
    })
}

/// Whether a client may show this as a picture without harm: an address that is fetched over TLS and runs nothing.
fn is_picture(address: &str) -> bool {
    if address.starts_with(AVATARS_PATH) {
        // Whether there is one is looked up.
        return address.len() <= AVATAR_BYTES_MAX;
    }
    address.len() <= AVATAR_BYTES_MAX
        && address.strip_prefix("https://").is_some_and(|rest| {
            rest.starts_with(|first: char| first.is_ascii_alphanumeric())
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !b"\"'<>\\".contains(&byte))
        })
}

fn is_locale(tag: &str) -> bool {
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    tag.len() <= LOCALE_BYTES_MAX
        && tag.split('-').all(is_part)
        && tag.starts_with(|first: char| first.is_ascii_alphabetic())
}

fn answer(signed_in: &SignedIn, row: Option<&UserRow>) -> Json<Me> {
    let shown = described(&signed_in.user);
    let role = match signed_in.identity.is_admin {
        true => "admin",
        false => "user",
    };
    Json(Me {
        user: Own {
            id: shown.id,
            name: shown.name,
            avatar: shown.avatar,
            locale: row.and_then(|row| row.locale.clone()),
            guest: row.is_some_and(|row| row.guest),
        },
        role,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn parsed(wish: Value) -> Option<ProfileChange> {
        parse(serde_json::from_value(wish).ok()?).ok()
    }

    #[test]
    fn what_is_left_out_stays_and_what_is_null_is_cleared() {
        assert_eq!(parsed(json!({})), Some(ProfileChange::default()));
        let cleared = parsed(json!({"avatar": null, "locale": "pt-BR"})).unwrap();
        assert_eq!(cleared.avatar, Some(None));
        assert_eq!(cleared.locale, Some(Some("pt-BR".into())));
        assert_eq!(cleared.name, None);
    }

    #[test]
    fn what_can_not_be_shown_is_refused() {
        for bad in [
            json!({"name": "\u{202e}"}),
            json!({"name": ""}),
            json!({"avatar": "http://plain.example/a.png"}),
            json!({"avatar": "javascript:alert(1)"}),
            json!({"avatar": "https://a.example/\"><script>"}),
            json!({"avatar": format!("https://a.example/{}", "x".repeat(512))}),
            json!({"locale": "no language"}),
            json!({"locale": ""}),
            json!({"role": "admin"}),
        ] {
            assert_eq!(parsed(bad.clone()), None, "{bad}");
        }
    }
}
