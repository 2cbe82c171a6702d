//! SUBSCRIBE and UNSUBSCRIBE.

use super::*;

fn subscribe_to(client: &mut Client, id: &str, destination: &str) -> Vec<Action> {
    client.say(&format!(
        "SUBSCRIBE\nid:{id}\ndestination:{destination}\n\n\0"
    ))
}

#[track_caller]
fn subscribed(actions: &[Action]) -> Subscribe {
    let [Action::Subscribe(subscribe)] = actions else {
        panic!("{actions:?}");
    };
    subscribe.clone()
}

// req: 102
#[test]
fn every_topic_and_alias_has_its_canonical_name() {
    for (destination, topic, canonical) in [
        (
            "/topic/rooms/lobby",
            Topic::Room(lobby()),
            "/topic/rooms/lobby",
        ),
        (
            "/sub/rooms/lobby",
            Topic::Room(lobby()),
            "/topic/rooms/lobby",
        ),
        (
            "/topic/rooms/lobby/signals",
            Topic::Signals(lobby()),
            "/topic/rooms/lobby/signals",
        ),
        ("/user/queue/rooms", Topic::Rooms, "/user/queue/rooms"),
        ("/user/queue/friends", Topic::Friends, "/user/queue/friends"),
        ("/user/queue/inbox", Topic::Inbox, "/user/queue/inbox"),
    ] {
        let subscribe = subscribed(&subscribe_to(&mut Client::open(), "0", destination));
        assert_eq!(subscribe.topic, topic);
        assert_eq!(subscribe.topic.destination(), canonical);
    }
}

// req: 65, 76
#[test]
fn an_unknown_topic_is_refused() {
    for destination in [
        "/topic/**",
        "/topic/rooms/*",
        "/topic/rooms/",
        "/topic/rooms/a/b",
        "/app/rooms/lobby",
        "/user/queue/",
        "/user/bob/queue/inbox",
        "/sub/rooms/lobby/signals",
        "",
    ] {
        let mut client = Client::listening();
        let actions = subscribe_to(&mut client, "0", destination);
        refusal(&actions, Code::BadDestination);
        // The id is free again.
        subscribed(&subscribe_to(&mut client, "0", "/topic/rooms/lobby"));
    }
}

// req: 71
#[test]
fn id_and_destination_are_needed() {
    for headers in ["id:0", "destination:/topic/rooms/lobby", "receipt:r"] {
        let actions = Client::listening().say(&format!("SUBSCRIBE\n{headers}\n\n\0"));
        error(&actions, Code::BadRequest, 1002);
    }
}

// req: 72, 80
#[test]
fn an_id_names_one_subscription_at_a_time() {
    let mut client = Client::listening();
    let first = subscribed(&subscribe_to(&mut client, "0", "/topic/rooms/lobby"));
    client.say("UNSUBSCRIBE\nid:0\n\n\0");
    let second = subscribed(&subscribe_to(&mut client, "0", "/topic/rooms/lobby"));
    assert_ne!(first.index, second.index);
    let actions = subscribe_to(&mut client, "0", "/topic/rooms/other");
    error(&actions, Code::BadRequest, 1002);
}

// req: 73, 74
#[test]
fn one_destination_may_have_two_subscriptions() {
    let mut client = Client::open();
    let first = subscribed(&subscribe_to(&mut client, "a", "/topic/rooms/lobby"));
    let second = subscribed(&subscribe_to(&mut client, "b", "/topic/rooms/lobby"));
    assert_ne!(first.index, second.index);
    assert_ne!(first.envelope, second.envelope);
    // Another connection's equal id is its own.
    let other = subscribed(&subscribe_to(
        &mut Client::open(),
        "a",
        "/topic/rooms/lobby",
    ));
    assert_eq!(other.envelope, first.envelope);
}

// req: 75
#[test]
fn the_ack_mode_is_one_of_three() {
    for (headers, ack) in [
        ("id:0", AckMode::Auto),
        ("id:0\nack:auto", AckMode::Auto),
        ("id:0\nack:client", AckMode::Client),
        ("id:0\nack:client-individual", AckMode::ClientIndividual),
    ] {
        assert_eq!(Client::open().subscribe(headers).ack, ack);
    }
    for bad in ["", "Client", "none"] {
        let actions = Client::listening().say(&format!(
            "SUBSCRIBE\nid:0\ndestination:/topic/rooms/lobby\nack:{bad}\n\n\0"
        ));
        error(&actions, Code::BadRequest, 1002);
    }
}

#[test]
fn a_subscription_begins_where_it_is_asked_to() {
    let since = |seq, epoch: Option<&str>| Start::Since {
        seq: crate::ids::Seq(seq),
        epoch: epoch.map(Into::into),
    };
    for (headers, start) in [
        ("id:0", Start::Live),
        ("id:0\nsince:0", since(0, None)),
        ("id:0\nsince:41\nepoch:e1", since(41, Some("e1"))),
        ("id:0\nhistory:500", Start::History(500)),
        ("id:0\nhistory:0", Start::Live),
        ("id:0\nhistory:5\nsince:7", since(7, None)),
        ("id:0\nepoch:e1", Start::Live),
    ] {
        assert_eq!(Client::open().subscribe(headers).start, start, "{headers}");
    }
}

// req: 76
#[test]
fn a_bad_start_is_refused_and_the_id_is_free_again() {
    for bad in [
        "since:x",
        "since:-1",
        "since:",
        "since:+1",
        "since:18446744073709551616",
        "history:501",
        "history:1e2",
        "since:1\nhistory:501",
    ] {
        let mut client = Client::listening();
        let actions = client.say(&format!(
            "SUBSCRIBE\nid:0\ndestination:/topic/rooms/lobby\nreceipt:r\n{bad}\n\n\0"
        ));
        let refused = refusal(&actions, Code::BadRequest);
        assert_eq!(refused.header("receipt-id"), Some("r"), "{bad}");
        client.subscribe("id:0");
    }
}

// req: 76
#[test]
fn a_refused_subscription_is_no_more() {
    let mut client = Client::listening();
    let subscribe = subscribed(&subscribe_to(&mut client, "0", "/topic/rooms/lobby"));
    let actions = client.turn_down(subscribe.request, Code::NotAMember);
    refusal(&actions, Code::NotAMember);
    subscribed(&subscribe_to(&mut client, "0", "/topic/rooms/lobby"));
}

// req: 81
#[test]
fn a_selector_is_not_looked_at() {
    let plain = Client::open().subscribe("id:0");
    let selected = Client::open().subscribe("id:0\nselector:T(java.lang.Runtime).getRuntime()");
    assert_eq!(plain, selected);
}

// req: 82
#[test]
fn subscriptions_are_bounded() {
    let mut client = Client::listening();
    for n in 1..256 {
        subscribed(&subscribe_to(
            &mut client,
            &n.to_string(),
            "/topic/rooms/lobby",
        ));
    }
    let actions = subscribe_to(&mut client, "more", "/topic/rooms/lobby");
    refusal(&actions, Code::TooMany);
    client.say("UNSUBSCRIBE\nid:1\n\n\0");
    subscribed(&subscribe_to(&mut client, "more", "/topic/rooms/lobby"));
}

// req: 77
#[test]
fn unsubscribe_is_receipted_once_deliveries_have_stopped() {
    let mut client = Client::open();
    let subscribe = client.subscribe("id:0");
    let actions = client.say("UNSUBSCRIBE\nid:0\nreceipt:u\n\n\0");
    let [Action::Unsubscribe { request, index }] = actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(index, subscribe.index);
    assert_eq!(receipts(&client.complete(request)), ["u"]);
}

// req: 78
#[test]
fn unsubscribe_names_a_subscription() {
    for headers in ["id:9", "receipt:r", "destination:/topic/rooms/lobby"] {
        let mut client = Client::listening();
        client.subscribe("id:0");
        let actions = client.say(&format!("UNSUBSCRIBE\n{headers}\n\n\0"));
        error(&actions, Code::BadRequest, 1002);
    }
}

// req: 79, 118
#[test]
fn an_old_client_subscribes_and_unsubscribes_by_destination() {
    let mut client = Client::speaking(Version::V1_0);
    let anonymous = client.subscribe("ack:auto");
    let frame = crate::stomp::MessageFrame::new(Mark::Number(1), &[], [], "{}");
    let sealed = frame.sealed(&anonymous.envelope, Provenance::Live);
    assert_eq!(sealed, "MESSAGE\ncontent-length:2\n\n{}\0");
    let actions = client.say("UNSUBSCRIBE\ndestination:/sub/rooms/lobby\n\n\0");
    let [Action::Unsubscribe { index, .. }] = actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(index, anonymous.index);
    let again = client.say("UNSUBSCRIBE\ndestination:/topic/rooms/lobby\n\n\0");
    error(&again, Code::BadRequest, 1002);
}

// req: 79
#[test]
fn an_old_client_may_give_ids() {
    let mut client = Client::speaking(Version::V1_0);
    let named = client.subscribe("id:x");
    client.subscribe("ack:auto");
    let actions = client.say("UNSUBSCRIBE\nid:x\n\n\0");
    assert!(matches!(actions[..], [Action::Unsubscribe { index, .. }] if index == named.index));
}

#[test]
fn the_receipt_of_a_subscription_says_where_the_log_stands() {
    let mut client = Client::open();
    let actions = client.say("SUBSCRIBE\nid:0\ndestination:/topic/rooms/lobby\nreceipt:s\n\n\0");
    let subscribe = subscribed(&actions);
    let done = Done::Subscribed {
        head: crate::ids::Seq(42),
        count: crate::ids::Count(40),
        epoch: "e1".into(),
    };
    let actions = client
        .session
        .completed(subscribe.request, Ok(done), client.now);
    let receipt = frames(&actions).remove(0);
    let headers: Vec<_> = receipt.headers.iter().collect();
    assert_eq!(
        headers,
        [
            ("receipt-id", "s"),
            ("head", "42"),
            ("count", "40"),
            ("epoch", "e1")
        ]
    );
}
