//! How refusals reach the client.

use super::*;

// req: 68, 69, 99
#[test]
fn a_refusal_nobody_listens_for_is_an_error_and_ends_the_session() {
    let mut client = Client::open();
    let actions = client.say("SEND\ndestination:/app/rooms/lobby\nreceipt:r\n\nx\0");
    let request = publish(&actions).request;
    let error = error(
        &client.turn_down(request, Code::NotAMember),
        Code::NotAMember,
        1008,
    );
    assert_eq!(error.header("receipt-id"), Some("r"));
    assert_eq!(error.header("message"), Some("no"));
    assert_eq!(error.body, "no");
}

// req: 68, 69
#[test]
fn a_refusal_is_told_to_all_who_listen_and_the_session_lives() {
    let mut client = Client::listening();
    client.say("SUBSCRIBE\nid:too\ndestination:/user/queue/errors\n\n\0");
    let actions = client.say("SEND\ndestination:/nowhere\nreceipt:r\n\nx\0");
    let told = frames(&actions);
    let subscriptions: Vec<_> = told
        .iter()
        .map(|frame| frame.header("subscription"))
        .collect();
    assert_eq!(subscriptions, [Some("err"), Some("too")]);
    for frame in &told {
        assert_eq!(frame.header("receipt-id"), Some("r"));
        assert_eq!(frame.header("content-type"), Some("application/json"));
        let json = "{\"code\":\"bad-destination\",\"message\":\"there is no such destination\",\
            \"receipt-id\":\"r\"}";
        assert_eq!(frame.body, json);
    }
    publish(&client.say(SEND));
}

// req: 101
#[test]
fn each_refusal_has_its_own_message_id() {
    let mut client = Client::listening();
    let ids: std::collections::BTreeSet<_> = (0..3)
        .map(|_| {
            let actions = client.say("SEND\ndestination:/nowhere\n\nx\0");
            let told = refusal(&actions, Code::BadDestination);
            told.header("message-id").unwrap().to_owned()
        })
        .collect();
    assert_eq!(ids.len(), 3);
}

#[test]
fn a_refusal_that_waiting_mends_says_how_long() {
    let mut client = Client::listening();
    let request = publish(&client.say(SEND)).request;
    let slow = Refusal::retry_after(Code::SlowMode, "not so fast", 1_500);
    let actions = client
        .session
        .completed(request, Err(slow.clone()), client.now);
    let told = refusal(&actions, Code::SlowMode);
    assert_eq!(told.header("retry_after_ms"), Some("1500"));
    assert!(told.body.ends_with(b",\"retry_after_ms\":1500}"));

    let mut deaf = Client::open();
    let request = publish(&deaf.say(SEND)).request;
    let actions = deaf.session.completed(request, Err(slow), deaf.now);
    let error = error(&actions, Code::SlowMode, 1008);
    assert_eq!(error.header("retry_after_ms"), Some("1500"));
}

// req: 99
#[test]
fn echoed_text_stays_one_line_of_json_and_one_header() {
    let mut client = Client::listening();
    let receipt = "a\\n\\\\\"\u{2028}\u{1b}";
    let actions = client.say(&format!("SEND\ndestination:/x\nreceipt:{receipt}\n\nx\0"));
    let told = refusal(&actions, Code::BadDestination);
    assert_eq!(told.header("receipt-id"), Some("a\n\\\"\u{2028}\u{1b}"));
    let body = std::str::from_utf8(&told.body).unwrap();
    let expected = "\"receipt-id\":\"a\\u000a\\\\\\\"\\u2028\\u001b\"}";
    assert!(body.ends_with(expected), "{body}");
}

// req: 99
#[test]
fn no_error_echoes_what_the_client_sent() {
    for input in [
        "SEND\ndestination:/app/rooms/lobby\nAuthorization:canary\ntype:canary\n\ncanary\0",
        "canary\n\n\0",
        "SUBSCRIBE\nid:0\ndestination:canary\n\n\0",
        "SUBSCRIBE\nid:0\ndestination:/topic/rooms/x\nsince:canary\n\n\0",
        "ACK\nid:canary\n\n\0",
        "COMMIT\ntransaction:canary\n\n\0",
    ] {
        let actions = Client::open().say(input);
        let Some(Action::Send(bytes)) = actions.first() else {
            panic!("{actions:?}");
        };
        let text = std::str::from_utf8(bytes).unwrap();
        assert!(!text.contains("canary"), "{text}");
    }
}

// req: 112
#[test]
fn each_code_closes_with_its_own_number() {
    for (code, close_code) in [
        (Code::Unauthenticated, 1008),
        (Code::TooMany, 1008),
        (Code::TooLarge, 1009),
        (Code::Internal, 1011),
        (Code::Draining, 1012),
        (Code::Overloaded, 1013),
        (Code::LogUnavailable, 1013),
    ] {
        let actions = Client::open().session.refuse(&Refusal::new(code, "no"));
        error(&actions, code, close_code);
    }
}

// req: 94
#[test]
fn one_refusal_ends_neither_earlier_nor_later_requests_of_a_listener() {
    let mut client = Client::listening();
    let first = publish(&client.say("SEND\ndestination:/app/rooms/lobby\nreceipt:1\n\nx\0"));
    refusal(
        &client.say("SEND\ndestination:/x\n\nx\0"),
        Code::BadDestination,
    );
    let third = publish(&client.say("SEND\ndestination:/app/rooms/lobby\nreceipt:3\n\nx\0"));
    assert_eq!(receipts(&client.complete(first.request)), ["1"]);
    assert_eq!(receipts(&client.complete(third.request)), ["3"]);
}
