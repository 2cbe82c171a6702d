//! SEND: destinations, headers, content types.

use super::*;

fn send(headers: &str, body: &str) -> Vec<Action> {
    Client::listening().say(&format!("SEND\n{headers}\n\n{body}\0"))
}

// req: 65
#[test]
fn every_destination_and_alias_has_its_verb() {
    for (destination, verb) in [
        ("/app/rooms/lobby", Verb::Post),
        ("/topic/rooms/lobby", Verb::Post),
        ("/pub/rooms/lobby", Verb::Post),
        ("/app/rooms/lobby/read", Verb::Read),
        ("/app/rooms/lobby/typing", Verb::Typing),
        ("/app/rooms/lobby/focus", Verb::Focus),
        ("/app/rooms/lobby/unfocus", Verb::Unfocus),
        ("/app/rooms/lobby/edit", Verb::Edit),
        ("/app/rooms/lobby/delete", Verb::Delete),
        ("/app/rooms/lobby/react", Verb::React),
    ] {
        let published = publish(&send(&format!("destination:{destination}"), "{}"));
        assert_eq!((published.room, published.verb), (lobby(), verb));
    }
}

// req: 65
#[test]
fn an_unknown_destination_is_refused_in_the_same_words_always() {
    let mut told = std::collections::BTreeSet::new();
    for destination in [
        "",
        "/",
        "/app/rooms/",
        "/app/rooms/a b",
        "/app/rooms/lobby/",
        "/app/rooms/lobby/ban",
        "/app/rooms/lobby/read/x",
        "/app/rooms/../lobby",
        "/app/rooms/%2e%2e",
        "/app/rooms/*",
        "/app/rooms/lоbby",
        "/topic/rooms/lobby/signals",
        "/topic/**",
        "/pub/rooms/lobby/read",
        "/user/queue/errors",
        "/APP/rooms/lobby",
        "lobby",
    ] {
        let refused = refusal(
            &send(&format!("destination:{destination}"), "x"),
            Code::BadDestination,
        );
        told.insert(refused.header("message").unwrap().to_owned());
    }
    assert_eq!(told.len(), 1);
}

// req: 64
#[test]
fn a_send_without_destination_ends_the_session() {
    let actions = send("receipt:r", "x");
    let error = error(&actions, Code::BadRequest, 1002);
    assert_eq!(error.header("receipt-id"), Some("r"));
}

// req: 35, 66
#[test]
fn own_headers_pass_unchanged_and_in_order() {
    let published = publish(&send(
        "destination:/app/rooms/lobby\nz: a \na\\cb:1\\n2\nz:again\ncontent-type:text/plain\n\
         receipt:r\nid:m1\nlogin:l\npasscode:p\nAuthorization:Bearer t\ncontent-length:2\n\
         priority:",
        "hi",
    ));
    let own = [("z", " a "), ("a:b", "1\n2"), ("priority", "")];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(published.headers, own);
    assert_eq!(
        published.id,
        Some(crate::ids::MessageId::parse("m1").unwrap())
    );
}

// req: 67
#[test]
fn reserved_headers_are_refused() {
    for name in [
        "subscription",
        "message-id",
        "seq",
        "count",
        "epoch",
        "type",
        "timestamp",
        "ack",
        "replay",
        "sender",
        "receipt-id",
        "session",
        "user-name",
    ] {
        let headers = format!("destination:/app/rooms/lobby\n{name}:x");
        refusal(&send(&headers, "x"), Code::BadRequest);
    }
}

// req: 36, 38, 66
#[test]
fn own_headers_are_bounded() {
    let many = |count: usize| {
        let own: Vec<_> = (0..count).map(|n| format!("h{n}:x")).collect();
        send(
            &format!("destination:/app/rooms/lobby\n{}", own.join("\n")),
            "x",
        )
    };
    assert_eq!(publish(&many(16)).headers.len(), 16);
    refusal(&many(17), Code::BadRequest);
    let long = |bytes: usize| {
        let value = "x".repeat(bytes - 1);
        send(&format!("destination:/app/rooms/lobby\nh:{value}"), "x")
    };
    assert_eq!(publish(&long(2_048)).headers.len(), 1);
    refusal(&long(2_049), Code::BadRequest);
}

// req: 31, 32
#[test]
fn content_types_are_matched_up_to_the_semicolon() {
    for (headers, content_type) in [
        ("", ContentType::Text),
        ("\ncontent-type:text/plain", ContentType::Text),
        ("\ncontent-type:text/plain;charset=utf-8", ContentType::Text),
        ("\ncontent-type:Text/Plain ; x=y", ContentType::Text),
        ("\ncontent-type:application/json", ContentType::Json),
        (
            "\ncontent-type:application/json; charset=utf-8",
            ContentType::Json,
        ),
    ] {
        let headers = format!("destination:/app/rooms/lobby{headers}");
        assert_eq!(publish(&send(&headers, "{}")).content_type, content_type);
    }
    for other in [
        "",
        "text/html",
        "text",
        "text/plainer",
        "application/octet-stream",
    ] {
        let headers = format!("destination:/app/rooms/lobby\ncontent-type:{other}");
        refusal(&send(&headers, "x"), Code::BadRequest);
    }
}

// req: 31
#[test]
fn a_text_that_is_not_utf8_is_refused() {
    let mut client = Client::listening();
    let bytes = b"SEND\ndestination:/app/rooms/lobby\n\n\xff\xfe\0";
    let actions = client.session.receive(bytes, client.now);
    refusal(&actions, Code::BadRequest);
}

// req: 36, 38
#[test]
fn a_long_text_is_refused_and_a_long_frame_ends_the_session() {
    let max = Limits::default().text_bytes_max;
    let text = |bytes: usize| send("destination:/app/rooms/lobby", &"x".repeat(bytes));
    assert_eq!(publish(&text(max)).body.len(), max);
    refusal(&text(max + 1), Code::TooLarge);
    error(&text((64 << 10) + 1), Code::FrameTooLarge, 1009);
    let json = "destination:/app/rooms/lobby\ncontent-type:application/json";
    publish(&send(json, &"x".repeat(64 << 10)));
}

#[test]
fn an_id_is_visible_ascii() {
    let with_id = |id: &str| send(&format!("destination:/app/rooms/lobby\nid:{id}"), "x");
    let longest = "x".repeat(64);
    assert!(publish(&with_id(&longest)).id.is_some());
    for bad in ["", "a b", "ä", &"x".repeat(65)] {
        refusal(&with_id(bad), Code::BadRequest);
    }
}

#[test]
fn a_fresh_token_needs_its_header() {
    refusal(&send("destination:/app/auth", ""), Code::Unauthenticated);
}

// req: 22, 28, 41, 98
#[test]
fn a_broken_frame_has_no_effect_and_ends_the_session() {
    for broken in [
        "SEND\ndestination:/app/rooms/lobby\ncontent-length:-1\n\nx\0",
        "SEND\ndestination:/app/rooms/lobby\ncontent-length:1\n\nxy\0",
        "SUBSCRIBE\nid:1\ndestination:/topic/rooms/lobby\n\nbody\0",
        "MESSAGE\n\n\0",
        "RECEIPT\n\n\0",
        "send\n\n\0",
    ] {
        let mut client = Client::listening();
        let actions = client.say(&format!("{broken}{SEND}"));
        error(&actions, Code::BadFrame, 1002);
        assert_eq!(client.say(SEND), []);
    }
}
