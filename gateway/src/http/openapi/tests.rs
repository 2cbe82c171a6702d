//! What the document of the interface must hold, whatever the routes are.

#![allow(clippy::unwrap_used)]

use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");

const ASYNCAPI: &str = include_str!("../../../../docs/asyncapi.json");

fn operations_of(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    let each = paths.flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    each.collect()
}

/// With `ROOMLOG_TEST_GOLDEN=write` it is written anew, as `roomlog schema openapi` does.
#[test]
fn the_golden_document_is_what_the_routes_say() {
    if std::env::var("ROOMLOG_TEST_GOLDEN").as_deref() == Ok("write") {
        std::fs::write(GOLDEN, crate::openapi()).unwrap();
    }
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(GOLDEN).unwrap()).unwrap();
    assert!(
        golden == crate::http::openapi(),
        "write it anew: roomlog schema openapi > docs/openapi.json"
    );
}

#[test]
fn every_operation_has_a_name_a_summary_and_answers() {
    let document = crate::http::openapi();
    let mut names = BTreeSet::new();
    for (route, operation) in operations_of(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "{route}: {name} is taken");
        assert!(name.chars().all(char::is_alphanumeric), "{route}: {name}");
        assert!(operation["summary"].is_string(), "{route}");
        assert!(operation["tags"].is_array(), "{route}");
        let responses = operation["responses"].as_object().unwrap();
        let good = |status: &String| status.starts_with(['2', '3']);
        assert!(responses.keys().any(good), "{route} is never answered");
        for (status, response) in responses {
            let is_said = response.get("$ref").is_some() || response["description"].is_string();
            assert!(is_said, "{route}: {status} says nothing");
        }
    }
}

#[test]
fn who_must_sign_in_hears_so() {
    let document = crate::http::openapi();
    for (route, operation) in operations_of(&document) {
        let is_open = operation.get("security").is_some();
        let refuses = operation["responses"].get("401").is_some();
        assert!(is_open || refuses, "{route}");
    }
}

#[test]
fn no_route_of_the_interface_lies_outside_the_document() {
    // A router can't be asked for its routes, so its sources are: what is below `/api/v1` is nested there, but for the
    // documents themselves.
    let sources = [
        include_str!("../../http.rs"),
        include_str!("../documents.rs"),
        include_str!("../page.rs"),
    ];
    let texts = sources.iter().flat_map(|source| source.split('"'));
    let below: BTreeSet<&str> = texts.filter(|text| text.starts_with("/api/v1")).collect();
    let expected = ["/api/v1", "/api/v1/asyncapi.json", "/api/v1/openapi.json"];
    assert_eq!(below, BTreeSet::from(expected));
}

#[test]
fn every_reference_leads_somewhere() {
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = crate::http::openapi();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn refusals_are_grouped_by_status() {
    let mut operation = json!({ REFUSALS: refusals(&[BODY, MEMBERS]) });
    let mut answers = BTreeMap::new();
    write_out(operation.as_object_mut().unwrap(), &mut answers);
    let responses = operation["responses"].as_object().unwrap();
    let statuses: Vec<&str> = responses.keys().map(String::as_str).collect();
    assert_eq!(statuses, ["400", "403", "404", "413", "503"]);
    let codes = &answers["not-a-member.banned"]["content"]["application/problem+json"]["schema"];
    assert_eq!(
        codes["properties"]["code"]["enum"],
        json!(["not-a-member", "banned"])
    );
    assert!(operation.get(REFUSALS).is_none());
}

#[test]
fn the_asyncapi_document_names_every_destination_and_no_other() {
    use roomlog_core::{
        ids::RoomId,
        session::{Topic, Verb},
    };
    let room = RoomId::parse("some-room").unwrap();
    let topics = [
        Topic::Room(room.clone()),
        Topic::Signals(room.clone()),
        Topic::Rooms,
        Topic::Friends,
        Topic::Inbox,
        Topic::Errors,
    ];
    let named = |destination: String| destination.replace("some-room", "{room}");
    let mut coded: BTreeSet<(&str, String)> = BTreeSet::from([("receive", "/app/auth".to_owned())]);
    coded.extend(Verb::ALL.map(|verb| ("receive", named(verb.destination(&room)))));
    coded.extend(topics.map(|topic| ("send", named(topic.destination()))));

    let document: Value = serde_json::from_str(ASYNCAPI).unwrap();
    let operations = document["operations"].as_object().unwrap();
    let documented = operations.values().map(|operation| {
        let channel = operation["channel"]["$ref"].as_str().unwrap();
        let channel = document
            .pointer(channel.strip_prefix('#').unwrap())
            .unwrap();
        let action = operation["action"].as_str().unwrap();
        (action, channel["address"].as_str().unwrap().to_owned())
    });
    assert_eq!(documented.collect::<BTreeSet<_>>(), coded);

    let aliases = document["channels"].as_object().unwrap().values();
    for alias in aliases.flat_map(|channel| channel["x-aliases"].as_array().into_iter().flatten()) {
        let address = alias.as_str().unwrap();
        let is_topic = Topic::parse(&address.replace("{room}", "some-room")).is_some();
        assert!(is_topic || address == "/pub/rooms/{room}", "{address}");
    }
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_asyncapi_document_points_at_what_is_there() {
    fn follow(value: &Value, own: &Value, other: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let found = match reference.strip_prefix("openapi.json#") {
                        Some(pointer) => other.pointer(pointer),
                        None => own.pointer(reference.trim_start_matches('#')),
                    };
                    assert!(found.is_some(), "{reference}");
                }
                fields.values().for_each(|value| follow(value, own, other));
            }
            Value::Array(items) => items.iter().for_each(|item| follow(item, own, other)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(ASYNCAPI).unwrap();
    follow(&document, &document, &crate::http::openapi());
}
