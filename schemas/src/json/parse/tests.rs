//! What clients write, and what becomes of it.

use super::*;

fn json(body: &str) -> Result<Written, Refusal> {
    parse_message(
        Some("application/json"),
        body.as_bytes(),
        &Limits::default(),
    )
}

fn code(result: Result<Written, Refusal>) -> Option<Code> {
    result.err().map(|refusal| refusal.code)
}

#[test]
fn takes_the_writable_fields_and_ignores_the_rest() {
    let written = json(
        r#" {"id":"m-1","text":"h\u00e9","reply_to":12,"mentions":["bob","bob"],
            "attachments":[{"id":"f","name":"n","type":"image/png","size":3,"url":"http://evil"}],
            "meta":{ "a" : [ 1, "x \" y" ] },"seq":9,"sender":{"id":"mallory"},"new":{"er":[]}}"#,
    )
    .expect("valid");
    assert_eq!(written.id, MessageId::parse("m-1").ok());
    let message = written.message;
    assert_eq!(
        (message.text.as_str(), message.reply_to),
        ("hé", Some(Seq(12)))
    );
    assert_eq!(message.mentions.len(), 1);
    assert_eq!(message.attachments[0].size_bytes, 3);
    assert_eq!(message.meta, r#"{"a":[1,"x \" y"]}"#);
}

#[test]
fn a_plain_body_is_the_text() {
    for media in [
        None,
        Some("text/plain"),
        Some("Text/Plain; charset=\"UTF-8\""),
    ] {
        let written = parse_message(media, "grüße".as_bytes(), &Limits::default());
        assert_eq!(written.map(|it| it.message.text), Ok("grüße".into()));
    }
}

#[test]
fn other_types_and_encodings_are_refused() {
    let limits = Limits::default();
    for media in [
        "text/html",
        "application/json2",
        "",
        "text/plain;charset=latin1",
    ] {
        let refused = parse_message(Some(media), b"{}", &limits);
        assert_eq!(code(refused), Some(Code::BadRequest), "{media}");
    }
    for media in ["text/plain", "application/json"] {
        let refused = parse_message(Some(media), b"\xff{}", &limits);
        assert_eq!(code(refused), Some(Code::BadRequest));
    }
}

#[test]
fn what_is_not_as_expected_is_a_bad_request() {
    for body in [
        "",
        "null",
        "[]",
        "\"x\"",
        "{",
        "{\"text\":1}",
        "{\"text\":\"a\",\"text\":\"b\"}",
        "{\"reply_to\":0}",
        "{\"reply_to\":-1}",
        "{\"reply_to\":1e99}",
        "{\"mentions\":[\"a b\"]}",
        "{\"reply_to\":18446744073709551615}",
        "{\"id\":\"a b\"}",
        "{\"meta\":[]}",
        "{\"meta\":\"x\"}",
        "{\"attachments\":[{\"id\":\"../x\"}]}",
        "{\"attachments\":[{}]}",
        "{} x",
    ] {
        assert_eq!(code(json(body)), Some(Code::BadRequest), "{body}");
    }
}

#[test]
fn limits_have_a_code_of_their_own() {
    let names = |count: usize| vec!["\"u\""; count].join(",");
    let files = |count: usize| vec!["{\"id\":\"f\"}"; count].join(",");
    for (body, within) in [
        (format!("{{\"text\":\"{}\"}}", "x".repeat(16 << 10)), true),
        (
            format!("{{\"text\":\"{}\"}}", "x".repeat((16 << 10) + 1)),
            false,
        ),
        (format!("{{\"mentions\":[{}]}}", names(50)), true),
        (format!("{{\"mentions\":[{}]}}", names(51)), false),
        (format!("{{\"attachments\":[{}]}}", files(10)), true),
        (format!("{{\"attachments\":[{}]}}", files(11)), false),
        (
            format!("{{\"meta\":{{\"a\":\"{}\"}}}}", "x".repeat((4 << 10) - 8)),
            true,
        ),
        (
            format!("{{\"meta\":{{\"a\":\"{}\"}}}}", "x".repeat((4 << 10) - 7)),
            false,
        ),
        (
            format!(
                "{{\"attachments\":[{{\"id\":\"f\",\"size\":{}}}]}}",
                25 << 20
            ),
            true,
        ),
        (
            format!(
                "{{\"attachments\":[{{\"id\":\"f\",\"size\":{}}}]}}",
                (25 << 20) + 1
            ),
            false,
        ),
    ] {
        let expected = (!within).then_some(Code::TooLarge);
        assert_eq!(code(json(&body)), expected, "{}", &body[..40]);
    }
}

#[test]
fn depth_is_bounded_even_in_ignored_fields() {
    let nested = |depth: usize| format!("{{\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(json(&nested(DEPTH_MAX - 1)).is_ok());
    assert_eq!(code(json(&nested(DEPTH_MAX))), Some(Code::BadRequest));
    assert_eq!(code(json(&nested(30_000))), Some(Code::BadRequest));
    assert!(json(&format!("{{\"text\":\"\\\"{}\"}}", "[".repeat(100))).is_ok());
}

#[test]
fn small_requests_are_checked_alike() {
    let limits = Limits::default();
    assert_eq!(parse_read(b"{\"seq\":7}"), Ok(Seq(7)));
    assert_eq!(
        parse_delete(b"{\"target\":7}"),
        Ok(Body::Delete { target: Seq(7) })
    );
    assert!(parse_edit(b"{\"target\":7,\"text\":\"x\"}", &limits).is_ok());
    assert!(parse_reaction("{\"target\":7,\"emoji\":\"👍\",\"on\":true}".as_bytes()).is_ok());
    assert!(parse_read(b"{\"seq\":\"7\"}").is_err());
    assert!(parse_delete(b"{\"target\":0}").is_err());
    assert!(parse_edit(b"{\"target\":7}", &limits).is_err());
    assert!(parse_reaction(b"{\"target\":7,\"emoji\":\"\",\"on\":true}").is_err());
}
