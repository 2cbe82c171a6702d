//! What clients write: bodies of SEND and of REST requests, checked against the limits.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use roomlog_core::{
    code::{Code, Refusal},
    event::{Attachment, Body, Message},
    ids::{MessageId, Seq, UserId},
    limits::Limits,
};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Objects and arrays within one another; beyond: `bad-request`.
const DEPTH_MAX: usize = 32;
/// Bytes of a file's name, as file systems have it; beyond: `too-large`.
const FILE_NAME_BYTES_MAX: usize = 255;
/// Bytes of a media type, twice what RFC 6838 allows a name; beyond: `too-large`.
const MEDIA_TYPE_BYTES_MAX: usize = 255;
/// Bytes of a reaction: the longest emoji sequences have about 40; beyond: `too-large`.
const EMOJI_BYTES_MAX: usize = 64;

/// A message as its sender wrote it.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The id in the body, where one was given.
    pub id: Option<MessageId>,
    /// The content.
    pub message: Message,
}

/// The writable fields of a message; others are ignored.
#[derive(Deserialize)]
struct MessageJson<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    text: Option<String>,
    reply_to: Option<u64>,
    mentions: Option<Vec<String>>,
    attachments: Option<Vec<AttachmentJson>>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct AttachmentJson {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    media_type: String,
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
struct ReadJson {
    seq: u64,
}

#[derive(Deserialize)]
struct IdJson<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct TextJson {
    text: String,
}

#[derive(Deserialize)]
struct EditJson {
    target: u64,
    text: String,
}

#[derive(Deserialize)]
struct DeleteJson {
    target: u64,
}

#[derive(Deserialize)]
struct ReactionJson {
    target: u64,
    emoji: String,
    on: bool,
}

/// The message of a SEND or POST body, by its content type (none is `text/plain`).
///
/// # Errors
/// `too-large` beyond a limit, `bad-request` for anything else that is wrong.
pub fn parse_message(
    content_type: Option<&str>,
    body: &[u8],
    limits: &Limits,
) -> Result<Written, Refusal> {
    let media = content_type.unwrap_or("text/plain");
    let (essence, parameters) = media.split_once(';').unwrap_or((media, ""));
    if !is_utf8_charset(parameters) {
        return Err(bad("the body must be UTF-8"));
    }
    match essence.trim().to_ascii_lowercase().as_str() {
        "text/plain" => plain_message(body, limits),
        "application/json" => json_message(body, limits),
        _ => Err(bad("content-type must be text/plain or application/json")),
    }
}

/// `{"seq":n}`: a read mark.
///
/// # Errors
/// `bad-request` when the body is something else.
pub fn parse_read(body: &[u8]) -> Result<Seq, Refusal> {
    object::<ReadJson>(body).map(|read| Seq(read.seq))
}

/// The `id` in a JSON body, where there is one.
///
/// # Errors
/// `bad-request` when the body is no JSON object or the id can't be one.
pub fn parse_id(body: &[u8]) -> Result<Option<MessageId>, Refusal> {
    let id = object::<IdJson<'_>>(body)?.id;
    id.map(|id| MessageId::parse(&id).map_err(|error| bad(error.to_string())))
        .transpose()
}

/// `{"text":…}`: the new text of a message.
///
/// # Errors
/// `bad-request` when the body is something else, `too-large` for the text.
pub fn parse_text(body: &[u8], limits: &Limits) -> Result<String, Refusal> {
    let text = object::<TextJson>(body)?.text;
    at_most(text.len(), limits.text_bytes_max, "text")?;
    Ok(text)
}

/// `{"target":seq,"text":…}`
///
/// # Errors
/// `bad-request` when the body is something else, `too-large` for the text.
pub fn parse_edit(body: &[u8], limits: &Limits) -> Result<Body, Refusal> {
    let edit: EditJson = object(body)?;
    at_most(edit.text.len(), limits.text_bytes_max, "text")?;
    Ok(Body::Edit {
        target: rank(edit.target, "target")?,
        text: edit.text,
    })
}

/// `{"target":seq}`
///
/// # Errors
/// `bad-request` when the body is something else.
pub fn parse_delete(body: &[u8]) -> Result<Body, Refusal> {
    let delete: DeleteJson = object(body)?;
    Ok(Body::Delete {
        target: rank(delete.target, "target")?,
    })
}

/// `{"target":seq,"emoji":"…","on":true}`
///
/// # Errors
/// `bad-request` when the body is something else, `too-large` for the emoji.
pub fn parse_reaction(body: &[u8]) -> Result<Body, Refusal> {
    let reaction: ReactionJson = object(body)?;
    Ok(Body::Reaction {
        target: rank(reaction.target, "target")?,
        emoji: checked_emoji(reaction.emoji)?,
        on: reaction.on,
    })
}

/// A reaction, if it can be one.
///
/// # Errors
/// `bad-request` when it can't be seen, `too-large` beyond 64 bytes.
pub fn checked_emoji(emoji: String) -> Result<String, Refusal> {
    at_most(emoji.len(), EMOJI_BYTES_MAX, "emoji")?;
    let unseen = |letter: char| letter.is_control() || letter.is_whitespace();
    if emoji.is_empty() || emoji.contains(unseen) {
        return Err(bad("emoji must be a visible text without white space"));
    }
    Ok(emoji)
}

fn bad(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::BadRequest, message)
}

fn at_most(size: usize, max: usize, what: &str) -> Result<(), Refusal> {
    if size <= max {
        return Ok(());
    }
    let message = format!("{what} is {size}, the limit is {max}");
    Err(Refusal::new(Code::TooLarge, message))
}

/// A seq that names an event; no event has rank 0, and none lies beyond what the log's format holds.
fn rank(seq: u64, field: &str) -> Result<Seq, Refusal> {
    if seq == 0 || i64::try_from(seq).is_err() {
        return Err(bad(format!("{field} must be the seq of an event")));
    }
    Ok(Seq(seq))
}

fn is_utf8_charset(parameters: &str) -> bool {
    let charset = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then_some(value)
    });
    charset.is_none_or(|charset| {
        let charset = charset.trim().trim_matches('"');
        charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("us-ascii")
    })
}

fn plain_message(body: &[u8], limits: &Limits) -> Result<Written, Refusal> {
    at_most(body.len(), limits.text_bytes_max, "text")?;
    let text = std::str::from_utf8(body).map_err(|_| bad("the body must be UTF-8"))?;
    Ok(Written {
        id: None,
        message: Message {
            text: text.to_owned(),
            ..Message::default()
        },
    })
}

fn json_message(body: &[u8], limits: &Limits) -> Result<Written, Refusal> {
    let json: MessageJson<'_> = object(body)?;
    let text = json.text.unwrap_or_default();
    at_most(text.len(), limits.text_bytes_max, "text")?;
    let id = json
        .id
        .map(|id| MessageId::parse(&id).map_err(|error| bad(error.to_string())))
        .transpose()?;
    let reply_to = json.reply_to.map(|seq| rank(seq, "reply_to")).transpose()?;
    Ok(Written {
        id,
        message: Message {
            text,
            reply_to,
            mentions: mentions(json.mentions.unwrap_or_default(), limits)?,
            attachments: attachments(json.attachments.unwrap_or_default(), limits)?,
            meta: json
                .meta
                .map_or(Ok(String::new()), |raw| meta(raw, limits))?,
        },
    })
}

/// Parses a JSON object of bounded depth.
fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| bad("the body must be UTF-8"))?;
    if !text.trim_start().starts_with('{') {
        return Err(bad("the body must be a JSON object"));
    }
    if depth(text) > DEPTH_MAX {
        return Err(bad(format!("the JSON is nested deeper than {DEPTH_MAX}")));
    }
    serde_json::from_str(text).map_err(|error| bad(format!("the body is not as expected: {error}")))
}

/// How deep objects and arrays lie within one another. Exact for JSON; for anything else the parser complains later.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    structure(json, |byte| match byte {
        b'{' | b'[' => {
            depth += 1;
            deepest = deepest.max(depth);
        }
        b'}' | b']' => depth = depth.saturating_sub(1),
        _ => {}
    });
    deepest
}

/// Calls `visit` with every byte outside of strings.
fn structure(json: &str, mut visit: impl FnMut(u8)) {
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            in_string = byte == b'"';
            visit(byte);
        }
    }
}

fn mentions(users: Vec<String>, limits: &Limits) -> Result<Vec<UserId>, Refusal> {
    at_most(users.len(), limits.mentions_max, "the number of mentions")?;
    let mut mentions: Vec<UserId> = Vec::with_capacity(users.len());
    for user in users {
        let user = UserId::parse(&user).map_err(|error| bad(error.to_string()))?;
        if !mentions.contains(&user) {
            mentions.push(user);
        }
    }
    Ok(mentions)
}

fn attachments(files: Vec<AttachmentJson>, limits: &Limits) -> Result<Vec<Attachment>, Refusal> {
    at_most(
        files.len(),
        limits.attachments_max,
        "the number of attachments",
    )?;
    files
        .into_iter()
        .map(|file| attachment(file, limits))
        .collect()
}

fn attachment(file: AttachmentJson, limits: &Limits) -> Result<Attachment, Refusal> {
    // Attachment ids share the alphabet of user ids, so that they stand in paths unescaped.
    if UserId::parse(&file.id).is_err() {
        return Err(bad(
            "an attachment's id is 1 to 64 characters of A-Z, a-z, 0-9, _ and -",
        ));
    }
    at_most(file.name.len(), FILE_NAME_BYTES_MAX, "an attachment's name")?;
    at_most(
        file.media_type.len(),
        MEDIA_TYPE_BYTES_MAX,
        "an attachment's type",
    )?;
    if file.size > limits.attachment_bytes_max {
        let max = limits.attachment_bytes_max;
        let message = format!("an attachment is {}, the limit is {max}", file.size);
        return Err(Refusal::new(Code::TooLarge, message));
    }
    Ok(Attachment {
        id: file.id,
        name: file.name,
        media_type: file.media_type,
        size_bytes: file.size,
    })
}

/// The meta object without the white space between its tokens; empty for an empty one.
fn meta(raw: &RawValue, limits: &Limits) -> Result<String, Refusal> {
    let json = raw.get();
    if !json.starts_with('{') {
        return Err(bad("meta must be a JSON object"));
    }
    let compact = compact(json);
    at_most(compact.len(), limits.meta_bytes_max, "meta")?;
    Ok(if compact == "{}" {
        String::new()
    } else {
        compact
    })
}

fn compact(json: &str) -> String {
    let (mut in_string, mut escaped) = (false, false);
    json.chars()
        .filter(|&char| {
            let between = !in_string && matches!(char, ' ' | '\t' | '\r' | '\n');
            if in_string {
                in_string = escaped || char != '"';
                escaped = !escaped && char == '\\';
            } else {
                in_string = char == '"';
            }
            !between
        })
        .collect()
}
