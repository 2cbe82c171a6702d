//! Files over REST: what is granted here is done with S3 directly.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse as _,
};
use roomlog_core::code::Code;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    meter::Meter,
    openapi::{BODY, FIND, MEMBERS, SIGNED_IN, SPEAK, refusals},
    problem::{Answer, Problem},
    request::{Body, Room, SignedIn},
};
use crate::{
    address::Origin,
    attachments::{AVATARS_PATH, Grant, Wish},
    gateway::Gateway,
    hub::Purpose,
};

/// A file to be uploaded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewFile {
    /// The name people see.
    name: String,
    /// Media type.
    #[serde(rename = "type")]
    media_type: String,
    /// Bytes.
    size: u64,
}

/// A picture to be uploaded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPicture {
    /// Media type: of a PNG, JPEG, GIF or WebP.
    #[serde(rename = "type")]
    media_type: String,
    /// Bytes.
    size: u64,
}

/// A file as messages show it.
#[derive(Serialize, ToSchema)]
struct FileJson<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    media_type: &'a str,
    size: u64,
    url: String,
}

/// How it is uploaded.
#[derive(Serialize, ToSchema)]
struct UploadJson<'a> {
    method: &'static str,
    url: &'a str,
    headers: UploadHeaders<'a>,
    /// Seconds within which the upload must begin.
    expires_in: u64,
}

/// What must be sent along, exactly so: it is signed with the address.
#[derive(Serialize, ToSchema)]
struct UploadHeaders<'a> {
    #[serde(rename = "content-type")]
    media_type: &'a str,
    #[serde(rename = "content-length")]
    size: String,
    /// The address takes one upload.
    #[serde(rename = "if-none-match")]
    once: &'static str,
}

/// A granted attachment.
#[derive(Serialize, ToSchema)]
struct GrantedFile<'a> {
    attachment: FileJson<'a>,
    upload: UploadJson<'a>,
}

/// A granted profile image.
#[derive(Serialize, ToSchema)]
struct GrantedPicture<'a> {
    /// What `PATCH /me` takes as `avatar` once it is uploaded.
    avatar: String,
    upload: UploadJson<'a>,
}

/// Where a file can be had.
#[derive(Serialize, ToSchema)]
struct Address<'a> {
    attachment: FileJson<'a>,
    url: &'a str,
    /// Seconds within which the download must begin.
    expires_in: u64,
}

// === impl FileJson, UploadJson ===

impl<'a> FileJson<'a> {
    fn of(file: &'a roomlog_platform::dynamo::FileRow) -> Self {
        Self {
            id: &file.id,
            name: &file.name,
            media_type: &file.media_type,
            size: file.size_bytes,
            url: format!("/api/v1/attachments/{}", file.id),
        }
    }
}

impl<'a> UploadJson<'a> {
    fn of(grant: &'a Grant) -> Self {
        Self {
            method: "PUT",
            url: &grant.url,
            headers: UploadHeaders {
                media_type: &grant.file.media_type,
                size: grant.file.size_bytes.to_string(),
                once: roomlog_platform::s3::UPLOAD_ONCE,
            },
            expires_in: grant.expires_in_s,
        }
    }
}

/// Grants the upload of a file for a room.
#[utoipa::path(
    post, path = "/rooms/{id}/attachments", tag = "files", operation_id = "grantAttachment", params(Room), request_body = NewFile,
    responses((status = 201, body = GrantedFile, description = "It may be uploaded.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, MEMBERS, SPEAK])))),
)]
pub(super) async fn grant(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    room: Room,
    Body(new): Body<NewFile>,
) -> Answer {
    let caller = &signed_in.caller;
    gateway
        .hub
        .enter(&room.key(), caller, Purpose::POST, None)
        .await?;
    signed_in.meter.note(gateway.doors.file(&caller.user))?;
    let wish = Wish {
        user: &caller.user,
        room: Some(&room.0),
        name: &new.name,
        media_type: &new.media_type,
        size_bytes: new.size,
    };
    let grant = gateway.grant_upload(wish).await?;
    let granted = GrantedFile {
        attachment: FileJson::of(&grant.file),
        upload: UploadJson::of(&grant),
    };
    Ok((StatusCode::CREATED, Json(granted)).into_response())
}

/// Grants the upload of a profile image.
#[utoipa::path(
    post, path = "/me/avatar", tag = "files", operation_id = "grantAvatar", request_body = NewPicture,
    responses((status = 201, body = GrantedPicture, description = "It may be uploaded.")),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, BODY, &[Code::NotFound]])))),
)]
pub(super) async fn grant_picture(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Body(new): Body<NewPicture>,
) -> Answer {
    let user = &signed_in.user.id;
    signed_in.meter.note(gateway.doors.file(user))?;
    let wish = Wish {
        user,
        room: None,
        name: "picture",
        media_type: &new.media_type,
        size_bytes: new.size,
    };
    let grant = gateway.grant_upload(wish).await?;
    let granted = GrantedPicture {
        avatar: format!("{AVATARS_PATH}{}", grant.file.id),
        upload: UploadJson::of(&grant),
    };
    Ok((StatusCode::CREATED, Json(granted)).into_response())
}

/// Leads a member to a file.
#[utoipa::path(
    get, path = "/attachments/{id}", tag = "files", operation_id = "getAttachment",
    params(("id" = String, Path, description = "The file's id.")),
    responses(
        (status = 200, body = Address, description = "Its address, for those who ask for JSON."),
        (status = 307, description = "To its address."),
    ),
    extensions(("x-refusals" = json!(refusals(&[SIGNED_IN, FIND, MEMBERS])))),
)]
pub(super) async fn show(
    State(gateway): State<Arc<Gateway>>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Answer {
    let file = gateway.file(&id).await?;
    let Some(room) = &file.room else {
        return Err(Problem::new(Code::NotFound, "there is no such file"));
    };
    let key = room.into();
    let entered = gateway
        .hub
        .enter(&key, &signed_in.caller, Purpose::READ, None)
        .await?;
    gateway.check_shown(&file, &key, entered.head).await?;
    let url = gateway.address_of(&file).await?;
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let caching = [
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "accept"),
    ];
    if accept.is_some_and(|accept| accept.contains("application/json")) {
        let address = Address {
            attachment: FileJson::of(&file),
            url: &url,
            expires_in: roomlog_platform::s3::DOWNLOAD_TTL.as_secs(),
        };
        return Ok((caching, Json(address)).into_response());
    }
    let location = [(header::LOCATION, url)];
    Ok((StatusCode::TEMPORARY_REDIRECT, caching, location).into_response())
}

/// Leads anybody to a profile image: pages show them without a token.
#[utoipa::path(
    get, path = "/avatars/{id}", tag = "files", operation_id = "getPicture", security(()),
    params(("id" = String, Path, description = "The picture's id.")),
    responses((status = 307, description = "To its address.")),
    extensions(("x-refusals" = json!(refusals(&[&[Code::NotFound, Code::TooMany, Code::StoreUnavailable, Code::Internal]])))),
)]
pub(super) async fn picture(
    State(gateway): State<Arc<Gateway>>,
    from: Origin,
    meter: Meter,
    Path(id): Path<String>,
) -> Answer {
    meter.note(gateway.doors.picture(from))?;
    let file = gateway.file(&id).await?;
    if file.room.is_some() {
        return Err(Problem::new(Code::NotFound, "there is no such picture"));
    }
    let location = [(header::LOCATION, gateway.address_of(&file).await?)];
    // Shorter than the address is good.
    let caching = [(header::CACHE_CONTROL, "public, max-age=240")];
    Ok((StatusCode::TEMPORARY_REDIRECT, caching, location).into_response())
}
