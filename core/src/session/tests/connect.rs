//! The first frame, sign-in and what comes before it.

use super::*;

fn connect(headers: &str) -> Vec<Action> {
    Client::fresh().say(&format!("CONNECT\n{headers}\n\0"))
}

/// The version CONNECTED names after this CONNECT.
fn version_of(command: &str, headers: &str) -> String {
    let mut client = Client::fresh();
    let asked = client.say(&format!("{command}\n{headers}\n\0"));
    assert_eq!(asked, [Action::Authenticate { credential: None }]);
    let connected = frames(&client.sign_in()).remove(0);
    assert_eq!(connected.command, Command::Connected);
    connected.header("version").unwrap().to_owned()
}

// req: 40, 43, 44, 45, 48
#[test]
fn the_highest_common_version_is_taken() {
    for command in ["CONNECT", "STOMP"] {
        for (headers, version) in [
            ("accept-version:1.2,1.1,1.0\nhost:h\n", "1.2"),
            ("accept-version:1.0,1.1\nhost:h\n", "1.1"),
            ("accept-version:1.2\n", "1.2"),
            ("accept-version:1.20,9,1.0\n", "1.0"),
            ("", "1.0"),
        ] {
            assert_eq!(version_of(command, headers), version, "{headers:?}");
        }
    }
}

// req: 46, 47
#[test]
fn no_common_version_is_told_with_the_supported_ones() {
    for list in ["1.3", "", " 1.2", "1.20"] {
        let actions = connect(&format!("accept-version:{list}\n"));
        let error = error(&actions, Code::BadRequest, 1002);
        assert_eq!(error.header("version"), Some("1.2,1.1,1.0"));
        assert!(!error.body.is_empty());
    }
}

// req: 106
#[test]
fn a_subprotocol_allows_its_own_version_only() {
    for version in Version::ALL {
        let mut client = Client::pinned(Some(version));
        client.say("CONNECT\naccept-version:1.0,1.1,1.2\n\n\0");
        let connected = frames(&client.sign_in()).remove(0);
        assert_eq!(connected.header("version"), Some(version.as_str()));
    }
    for (version, headers) in [
        (Version::V1_2, "accept-version:1.0,1.1\n"),
        (Version::V1_1, "accept-version:1.2\n"),
        (Version::V1_2, ""),
    ] {
        let mut client = Client::pinned(Some(version));
        let actions = client.say(&format!("CONNECT\n{headers}\n\0"));
        let error = error(&actions, Code::BadRequest, 1002);
        assert_eq!(error.header("version"), Some(version.as_str()));
    }
}

// req: 49, 51, 55
#[test]
fn connected_says_who_and_how() {
    let mut client = Client::fresh();
    client.say("CONNECT\naccept-version:1.2\nhost:any.example\n\n\0");
    let connected = frames(&client.sign_in()).remove(0);
    let headers: Vec<_> = connected.headers.iter().collect();
    assert_eq!(
        headers,
        [
            ("version", "1.2"),
            ("user-name", "alice"),
            ("session", "s3ss10n"),
            ("heart-beat", "10000,10000"),
            ("server", "roomlog"),
        ]
    );
}

// req: 118
#[test]
fn an_old_client_is_connected_and_not_escaped() {
    let mut client = Client::speaking(Version::V1_0);
    let actions = client.say("SEND\ndestination:/app/rooms/lobby\nx:a\\nb\n\nhi\0");
    let own = publish(&actions).headers;
    assert_eq!(own, [("x".to_owned(), "a\\nb".to_owned())]);
}

// req: 41
#[test]
fn anything_before_connect_is_an_error_without_effect() {
    for first in [
        SEND,
        "SUBSCRIBE\nid:0\ndestination:/topic/rooms/lobby\n\n\0",
        "DISCONNECT\nreceipt:1\n\n\0",
        "CONNECTED\n\n\0",
    ] {
        let actions = Client::fresh().say(first);
        error(&actions, Code::BadFrame, 1002);
    }
}

// req: 42
#[test]
fn a_second_connect_is_an_error() {
    let mut client = Client::open();
    let actions = client.say("CONNECT\naccept-version:1.2\n\n\0");
    error(&actions, Code::BadFrame, 1002);
}

// req: 50
#[test]
fn a_refused_sign_in_is_told_and_closed() {
    let mut client = Client::fresh();
    client.say("CONNECT\naccept-version:1.2\n\n\0");
    let refused = Refusal::new(Code::Unauthenticated, "no valid credential");
    let actions = client.session.refuse(&refused);
    let error = error(&actions, Code::Unauthenticated, 1008);
    assert_eq!(error.body, "no valid credential");
    assert!(client.session.is_closed());
    assert_eq!(client.sign_in(), []);
}

// req: 52
#[test]
fn connect_has_no_receipt() {
    let mut client = Client::fresh();
    client.say("CONNECT\naccept-version:1.2\nreceipt:r\n\n\0");
    let connected = client.sign_in();
    assert_eq!(connected.len(), 1);
    let refused = connect("accept-version:9\nreceipt:r\n");
    let error = error(&refused, Code::BadRequest, 1002);
    assert_eq!(error.header("receipt-id"), None);
}

// req: 53
#[test]
fn who_does_not_connect_in_time_is_closed_and_not_before() {
    for start in [
        "",
        "\n",
        "CONNECT\nhalf",
        "CONNECT\naccept-version:1.2\n\n\0",
    ] {
        let mut client = Client::fresh();
        client.say(start);
        let deadline = client.session.next_deadline().unwrap();
        assert_eq!(deadline, client.now + 10_000);
        assert_eq!(client.session.on_deadline(deadline - 1), []);
        let actions = client.session.on_deadline(deadline);
        error(&actions, Code::Unauthenticated, 1008);
        assert_eq!(client.session.next_deadline(), None);
    }
}

// req: 54
#[test]
fn the_first_credential_counts_and_none_is_readable() {
    let authorization = Credential::Authorization(Secret::new("Bearer aaa"));
    let passcode = Credential::Passcode(Secret::new("b:b\\n"));
    for (headers, expected) in [
        ("passcode:b:b\\n\nAuthorization:Bearer aaa\n", authorization),
        ("login:x\npasscode:b:b\\n\n", passcode),
    ] {
        let actions = connect(&format!("accept-version:1.2\n{headers}"));
        let [Action::Authenticate { credential }] = &actions[..] else {
            panic!("{actions:?}");
        };
        assert_eq!(credential.as_ref(), Some(&expected));
        let debug = format!("{actions:?}");
        assert!(!debug.contains("aaa") && !debug.contains("b:b"), "{debug}");
    }
}

// req: 115
#[test]
fn what_comes_with_connect_waits_for_it_in_order() {
    let mut client = Client::fresh();
    let pipelined = format!(
        "CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:0\ndestination:/topic/rooms/lobby\n\n\0{SEND}"
    );
    assert_eq!(client.say(&pipelined).len(), 1);
    assert!(!client.session.wants_input());
    assert_eq!(client.say(SEND), []);
    let actions = client.sign_in();
    assert!(client.session.wants_input());
    assert!(matches!(
        &actions[..],
        [
            Action::Send(_),
            Action::Subscribe(_),
            Action::Publish(_),
            Action::Publish(_),
        ]
    ));
}

// req: 39, 115
#[test]
fn what_waits_for_sign_in_is_bounded() {
    let mut client = Client::fresh();
    client.say("CONNECT\naccept-version:1.2\n\n\0");
    let max = HELD_FRAMES_MAX * Limits::default().unauthenticated_frame_bytes_max;
    assert_eq!(client.say(&"\n".repeat(max)), []);
    assert_eq!(client.session.buffered_bytes(), max);
    let actions = client.say("\n");
    error(&actions, Code::FrameTooLarge, 1009);
    assert_eq!(client.session.buffered_bytes(), 0);
}

// req: 39, 112
#[test]
fn frames_are_smaller_before_sign_in_than_after() {
    let body = "x".repeat(16 << 10);
    let send = format!("SEND\ndestination:/app/rooms/lobby\n\n{body}\0");
    error(&Client::fresh().say(&send), Code::FrameTooLarge, 1009);
    publish(&Client::open().say(&send));
}

// req: 104
#[test]
fn a_text_is_published_octet_for_octet() {
    let actions = Client::open().say("SEND\ndestination:/app/rooms/lobby\n\n \r\n\t€\\n\n\0");
    assert_eq!(publish(&actions).body, " \r\n\t€\\n\n");
}

#[test]
fn the_token_ends_the_session_unless_a_fresh_one_comes() {
    let mut client = Client::fresh();
    client.say("CONNECT\naccept-version:1.2\n\n\0");
    let end = client.now + 3_000;
    client
        .session
        .authenticated(&alice(), Some(end), client.now);
    assert_eq!(client.session.next_deadline(), Some(end));
    assert_eq!(client.session.on_deadline(end - 1), []);

    let asked = client.say("SEND\ndestination:/app/auth\nAuthorization:Bearer x\nreceipt:a\n\n\0");
    let [Action::Reauthenticate { request, .. }] = &asked[..] else {
        panic!("{asked:?}");
    };
    let fresh = Done::Authenticated {
        expires_at_ms: Some(end + 5_000),
    };
    let done = client.session.completed(*request, Ok(fresh), client.now);
    assert_eq!(receipts(&done), ["a"]);
    assert_eq!(client.session.on_deadline(end), []);
    let actions = client.session.on_deadline(end + 5_000);
    error(&actions, Code::TokenExpired, 1008);
}

#[test]
fn a_token_that_is_over_signs_nobody_in() {
    let mut client = Client::fresh();
    client.say(&format!("CONNECT\naccept-version:1.2\n\n\0{SEND}"));
    let actions = client
        .session
        .authenticated(&alice(), Some(client.now), client.now);
    assert_eq!(publishes(&actions), []);
    error(&actions[1..], Code::TokenExpired, 1008);
}
