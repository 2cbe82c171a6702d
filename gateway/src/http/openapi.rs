//! The OpenAPI document: written by the routes themselves, each of which names every answer it can give.
//!
//! A handler says with `#[utoipa::path]` what it takes and what it answers when it does what it was asked to. What it
//! may refuse it names as codes, from the groups below; the answers they make are written out here, one for each status,
//! from the one table of codes.

use std::collections::{BTreeMap, BTreeSet};

use roomlog_core::{
    code::Code,
    event::{Kind, MemberChange, Role, RoomKind},
    push::Notify,
};
use serde_json::{Map, Value, json};
use utoipa::{
    IntoParams,
    openapi::{
        KnownFormat, ObjectBuilder, Required, SchemaFormat, Type,
        path::{Parameter, ParameterBuilder, ParameterIn},
        schema::Schema,
    },
};

use super::request::{Member, Message, Other, Room};

/// What a route's codes are called until its refusals are written out.
const REFUSALS: &str = "x-refusals";
/// What an id of a room or a user looks like.
const ID_PATTERN: &str = "^[A-Za-z0-9_-]{1,64}$";

/// Being signed in, and not too fast.
pub(super) const SIGNED_IN: &[Code] = &[
    Code::Unauthenticated,
    Code::TokenExpired,
    Code::TooMany,
    Code::StoreUnavailable,
];
/// A JSON body, or none.
pub(super) const BODY: &[Code] = &[Code::BadRequest, Code::TooLarge];
/// Finding a room that may be private to others.
pub(super) const FIND: &[Code] = &[
    Code::NotFound,
    Code::Banned,
    Code::StoreUnavailable,
    Code::Overloaded,
    Code::Draining,
];
/// What only members may.
pub(super) const MEMBERS: &[Code] = &[
    Code::NotFound,
    Code::NotAMember,
    Code::Banned,
    Code::StoreUnavailable,
    Code::Overloaded,
    Code::Draining,
];
/// Events that the log must take.
pub(super) const COMMAND: &[Code] = &[
    Code::Conflict,
    Code::StoreUnavailable,
    Code::LogUnavailable,
    Code::Overloaded,
    Code::Draining,
    Code::Internal,
];
/// Saying something.
pub(super) const SPEAK: &[Code] = &[Code::Muted, Code::ReadOnly, Code::TooMany];

/// The codes of several groups, as a route declares them.
pub(super) fn refusals(groups: &[&[Code]]) -> Vec<&'static str> {
    let known = |code: &&Code| groups.iter().any(|group| group.contains(code));
    Code::ALL
        .iter()
        .filter(known)
        .map(|code| code.as_str())
        .collect()
}

/// The document.
pub(super) fn document(mut routes: utoipa::openapi::OpenApi) -> Value {
    routes.info.title = "Roomlog".to_owned();
    routes.info.description = Some(
        "Rooms, messages, people and presence. Live events come over STOMP, see `asyncapi.json`. \
         Clients ignore fields they don't know: fields are only added."
            .to_owned(),
    );
    routes.info.version = env!("CARGO_PKG_VERSION").to_owned();
    routes.info.license = None;
    let mut document = serde_json::to_value(routes).expect("a document is JSON");
    document["security"] = json!([{ "bearer": [] }]);
    let mut answers = BTreeMap::new();
    for operation in operations(&mut document) {
        write_out(operation, &mut answers);
    }
    any_of(&mut document["components"]["schemas"]);
    let components = &mut document["components"];
    components["responses"] = json!(answers);
    components["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
    });
    components["schemas"]["Problem"] = problem();
    document
}

/// Alternatives here may overlap: an empty list is one of anything.
fn any_of(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(choices) = fields.remove("oneOf") {
                fields.insert("anyOf".to_owned(), choices);
            }
            fields.values_mut().for_each(any_of);
        }
        Value::Array(items) => items.iter_mut().for_each(any_of),
        _ => {}
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let items = paths.filter_map(|(_, item)| item.as_object_mut());
    items
        .flatten()
        .filter_map(|(_, operation)| operation.as_object_mut())
}

/// Puts a route's refusals among its answers.
fn write_out(operation: &mut Map<String, Value>, answers: &mut BTreeMap<String, Value>) {
    let declared = operation.remove(REFUSALS).unwrap_or_default();
    let names: BTreeSet<&str> = declared
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut statuses: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL
        .iter()
        .filter(|code| names.contains(code.as_str()))
    {
        statuses.entry(code.http_status()).or_default().push(*code);
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    for (status, codes) in statuses {
        let name = name_of(&codes);
        responses[status.to_string()] = json!({ "$ref": format!("#/components/responses/{name}") });
        answers.entry(name).or_insert_with(|| refusal(&codes));
    }
}

fn name_of(codes: &[Code]) -> String {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    names.join(".")
}

/// The answer that refuses with one of these codes, which share their status.
fn refusal(codes: &[Code]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let lines: Vec<String> = codes
        .iter()
        .map(|code| format!("`{}`: {}", code.as_str(), code.meaning()))
        .collect();
    json!({
        "description": lines.join("\n\n"),
        "content": { "application/problem+json": { "schema": {
            "allOf": [{ "$ref": "#/components/schemas/Problem" }],
            "properties": { "code": { "enum": names } },
        } } },
    })
}

/// RFC 9457's document, with the code that programs go by.
fn problem() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": { "type": "string", "const": "about:blank" },
            "title": { "type": "string", "description": "The status in words." },
            "status": { "type": "integer" },
            "code": { "type": "string", "enum": codes, "description": "The stable code, the same over STOMP." },
            "detail": { "type": "string", "description": "One sentence for the client's developer." },
            "retry_after_ms": {
                "type": "integer",
                "minimum": 0,
                "description": "How long to wait before trying again, in milliseconds, where waiting helps; also the header Retry-After, in seconds.",
            },
        },
    })
}

// === Schemas of what the domain names ===

/// An id of a room or a user.
pub(super) fn id() -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(ID_PATTERN))
        .into()
}

/// The kinds of rooms that people make; direct ones make themselves.
pub(super) fn made_kind() -> Schema {
    let made = |kind: &RoomKind| *kind != RoomKind::Direct;
    names(
        RoomKind::ALL
            .iter()
            .filter(|kind| made(kind))
            .map(|kind| kind.as_str()),
    )
}

/// The kinds of rooms.
pub(super) fn kind() -> Schema {
    names(RoomKind::ALL.iter().map(|kind| kind.as_str()))
}

/// The roles in a room.
pub(super) fn role() -> Schema {
    names(Role::ALL.iter().map(|role| role.as_str()))
}

/// Of which messages of a room somebody wants to hear.
pub(super) fn notify() -> Schema {
    names(Notify::ALL.iter().map(|notify| notify.as_str()))
}

/// What a membership event says happened.
pub(super) fn change() -> Schema {
    names(MemberChange::ALL.iter().map(|change| change.as_str()))
}

/// The types of a room's events.
pub(super) fn room_type() -> Schema {
    names(Kind::ALL.iter().map(|kind| kind.as_str()))
}

fn names(names: impl Iterator<Item = &'static str>) -> Schema {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names.collect::<Vec<_>>()))
        .into()
}

// === impl IntoParams for what paths hold ===

impl IntoParams for Room {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![in_path("id", "The room.", id())]
    }
}

impl IntoParams for Other {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![in_path("user", "The user.", id())]
    }
}

impl IntoParams for Member {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![
            in_path("id", "The room.", id()),
            in_path("user", "The user.", id()),
        ]
    }
}

impl IntoParams for Message {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let seq = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
            .minimum(Some(1));
        vec![
            in_path("id", "The room.", id()),
            in_path("seq", "The message's seq.", seq.into()),
        ]
    }
}

fn in_path(name: &str, description: &str, schema: Schema) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .build()
}

/// The id a client gives its request.
pub(super) struct IdempotencyKey;

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^[!-~]{1,64}$"));
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "The event's id. The same id again from the same sender, in the same room, is a retry.",
            ))
            .schema(Some(schema));
        vec![key.build()]
    }
}

#[cfg(test)]
mod tests;
