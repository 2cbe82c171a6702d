//! Holds every answer that a test meets against the OpenAPI document: its status, its media type, its code and its shape.

use std::sync::LazyLock;

use reqwest::Method;
use serde_json::Value;

use super::{rest::Answer, tools::in_repository};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string(in_repository("docs/openapi.json")).expect("the document");
    serde_json::from_str(&text).expect("the document is JSON")
});

/// Fails where the route does not say that it answers so. What is no route of the interface is not looked at, nor are
/// methods that a route does not have.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap_or_default();
    let method = method.as_str().to_ascii_lowercase();
    let Some(operation) = item(path).and_then(|item| item.get(&method)) else {
        return;
    };
    let status = answer.status.as_str();
    let Some(response) = operation["responses"].get(status) else {
        panic!("{method} {path} does not say that it answers {status}: {answer:?}");
    };
    let Some(content) = followed(response)["content"].as_object() else {
        return;
    };
    let essence = answer.media_type.split(';').next().unwrap_or_default();
    let Some(found) = content.get(essence) else {
        panic!("{method} {path} does not say that {status} is {essence}: {answer:?}");
    };
    if let Some(fault) = fault(&found["schema"], &answer.body) {
        panic!("{method} {path} does not say that {status} is so: {fault}: {answer:?}");
    }
}

/// What the document says of a path: that with the most words of its own.
fn item(path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object()?.iter();
    let fitting =
        paths.filter(|(template, _)| template.starts_with("/api/") && fits(template, path));
    let found = fitting.min_by_key(|(template, _)| template.matches('{').count());
    found.map(|(_, item)| item)
}

fn fits(template: &str, path: &str) -> bool {
    let (wanted, given) = (template.split('/'), path.split('/'));
    let is_fit = |(wanted, given): (&str, &str)| match wanted.starts_with('{') {
        true => !given.is_empty(),
        false => wanted == given,
    };
    wanted.clone().count() == given.clone().count() && wanted.zip(given).all(is_fit)
}

/// What a reference leads to, or else the value itself.
fn followed(value: &'static Value) -> &'static Value {
    let reference = value.get("$ref").and_then(Value::as_str);
    let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
    pointer.map_or(value, |pointer| {
        let found = DOCUMENT.pointer(pointer);
        found.expect("a reference leads somewhere")
    })
}

/// What makes a value not what a schema says, by the keywords that say what is there: types, fields, choices.
fn fault(schema: &'static Value, value: &Value) -> Option<String> {
    let schema = followed(schema);
    let among = |choices: &Value| choices.as_array().is_none_or(|all| all.contains(value));
    if !is_of_type(&schema["type"], value) || !among(&schema["enum"]) {
        return Some(format!("{value} by {schema}"));
    }
    let missing = |name: &&Value| name.as_str().is_some_and(|name| value.get(name).is_none());
    if let (true, Some(name)) = (
        value.is_object(),
        all_of(schema, "required").iter().find(missing),
    ) {
        return Some(format!("{name} is missing in {value}"));
    }
    let mut fields = schema["properties"].as_object().into_iter().flatten();
    let wrong = fields.find_map(|(name, schema)| fault(schema, value.get(name)?));
    let items = schema.get("items").zip(value.as_array());
    let wrong = wrong.or_else(|| {
        let (schema, items) = items?;
        items.iter().find_map(|item| fault(schema, item))
    });
    let wrong = wrong.or_else(|| {
        let mut parts = all_of(schema, "allOf").iter();
        parts.find_map(|part| fault(part, value))
    });
    wrong.or_else(|| {
        let choices = all_of(schema, "anyOf");
        let is_any = choices.iter().any(|any| fault(any, value).is_none());
        (!choices.is_empty() && !is_any).then(|| format!("{value} by {schema}"))
    })
}

/// The list a keyword holds; none where it is not there.
fn all_of(schema: &'static Value, keyword: &str) -> &'static [Value] {
    schema[keyword].as_array().map_or(&[], Vec::as_slice)
}

/// Whether a value is of a type, or of one of several; of any where none is named.
fn is_of_type(types: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => false,
    };
    match types {
        Value::Null => true,
        Value::Array(several) => several.iter().any(is),
        one => is(one),
    }
}

#[test]
fn an_answer_that_is_not_documented_is_found() {
    let page = "/api/v1/rooms/lobby/messages";
    let responses = &item(page).expect("a route")["get"]["responses"];
    let schema = &responses["200"]["content"]["application/json"]["schema"];
    let good = r#"{"items":[],"head":0,"has_before":false,"has_after":false}"#;
    let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(fault(schema, &read(good)), None);
    for (from, to) in [
        ("\"head\":0,", ""),
        ("0", "\"0\""),
        ("[]", "{}"),
        ("[]", "[5]"),
    ] {
        assert!(
            fault(schema, &read(&good.replacen(from, to, 1))).is_some(),
            "{to}"
        );
    }
    let refusals = followed(&responses["404"]);
    let schema = &refusals["content"]["application/problem+json"]["schema"];
    let refused =
        r#"{"type":"about:blank","title":"","status":404,"code":"not-found","detail":""}"#;
    assert_eq!(fault(schema, &read(refused)), None);
    let other = refused.replace("not-found", "conflict");
    assert!(fault(schema, &read(&other)).is_some());
    assert!(item("/api/v1/nothing/of/the/sort").is_none() && item("/health/ready").is_none());
}
