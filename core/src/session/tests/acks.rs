//! ACK and NACK in all modes and versions.

use super::*;

fn ack(client: &mut Client, headers: &str) -> Vec<Action> {
    client.say(&format!("ACK\n{headers}\n\n\0"))
}

/// The seq up to which these actions mark the lobby read.
#[track_caller]
fn marked(actions: &[Action]) -> u64 {
    let [Action::MarkRead { topic, seq, .. }] = actions else {
        panic!("{actions:?}");
    };
    assert_eq!(*topic, Topic::Room(lobby()));
    seq.0
}

// req: 84, 85
#[test]
fn in_client_mode_an_ack_stands_for_all_before_it() {
    let mut client = Client::open();
    let index = client.subscribe("id:0\nack:client").index;
    client.deliver(index, 5..=9);
    assert_eq!(marked(&ack(&mut client, "id:0-7")), 7);
    assert_eq!(ack(&mut client, "id:0-6"), []);
    assert_eq!(marked(&ack(&mut client, "id:0-9")), 9);
}

// req: 85
#[test]
fn in_individual_mode_an_ack_waits_for_those_before_it() {
    let mut client = Client::open();
    let index = client.subscribe("id:0\nack:client-individual").index;
    client.deliver(index, 5..=9);
    assert_eq!(ack(&mut client, "id:0-7"), []);
    assert_eq!(marked(&ack(&mut client, "id:0-5")), 5);
    assert_eq!(marked(&ack(&mut client, "id:0-6")), 7);
}

// req: 84, 86
#[test]
fn an_ack_that_names_no_delivery_ends_the_session() {
    for headers in [
        "id:0-10",
        "id:0-4",
        "id:1-5",
        "id:2-5",
        "id:0-05",
        "id:0",
        "id:",
        "id:x-5",
        "id:0-5-",
        "id:+0-5",
        "id:0-reset-5",
        "receipt:r",
        "message-id:lobby-5\nsubscription:0",
    ] {
        for command in ["ACK", "NACK"] {
            let mut client = Client::open();
            let index = client.subscribe("id:0\nack:client").index;
            client.subscribe("id:auto");
            client.deliver(index, 5..=9);
            client.deliver(SubIndex(1), 5..=9);
            let actions = client.say(&format!("{command}\n{headers}\n\n\0"));
            error(&actions, Code::BadRequest, 1002);
        }
    }
}

// req: 84
#[test]
fn what_was_acknowledged_may_be_acknowledged_again() {
    let mut client = Client::open();
    let index = client.subscribe("id:0\nack:client-individual").index;
    client.deliver(index, 1..=2);
    assert_eq!(marked(&ack(&mut client, "id:0-1")), 1);
    assert_eq!(
        receipts(&ack(&mut client, "id:0-1\nreceipt:again")),
        ["again"]
    );
}

// req: 84, 87
#[test]
fn a_nack_has_no_effect_but_its_receipt() {
    let mut client = Client::open();
    let index = client.subscribe("id:0\nack:client").index;
    client.deliver(index, 1..=1);
    assert_eq!(client.say("NACK\nid:0-1\n\n\0"), []);
    let actions = client.say("NACK\nid:0-1\nreceipt:n\n\n\0");
    assert_eq!(receipts(&actions), ["n"]);
    assert_eq!(marked(&ack(&mut client, "id:0-1")), 1);
}

// req: 88
#[test]
fn version_1_1_acknowledges_by_message_id_and_subscription() {
    let mut client = Client::speaking(Version::V1_1);
    let index = client.subscribe("id:s\nack:client").index;
    client.deliver(index, 1..=3);
    let actions = ack(&mut client, "message-id:lobby-2\nsubscription:s");
    assert_eq!(marked(&actions), 2);
    for headers in [
        "message-id:lobby-2",
        "subscription:s",
        "id:0-2",
        "message-id:lobby-4\nsubscription:s",
        "message-id:lobby-2\nsubscription:t",
        "message-id:other-2\nsubscription:s",
        "message-id:lobby-02\nsubscription:s",
    ] {
        let mut client = Client::speaking(Version::V1_1);
        let index = client.subscribe("id:s\nack:client").index;
        client.deliver(index, 1..=3);
        error(&ack(&mut client, headers), Code::BadRequest, 1002);
    }
}

// req: 88
#[test]
fn version_1_0_acknowledges_by_message_id() {
    let mut client = Client::speaking(Version::V1_0);
    client.subscribe("id:auto");
    let index = client.subscribe("ack:client").index;
    client.deliver(index, 1..=3);
    assert_eq!(marked(&ack(&mut client, "message-id:lobby-2")), 2);
    error(
        &ack(&mut client, "message-id:lobby-9"),
        Code::BadRequest,
        1002,
    );
}

// req: 88
#[test]
fn a_reset_may_be_acknowledged_too() {
    for (version, headers) in [
        (Version::V1_2, "id:0-reset-8\nreceipt:r"),
        (
            Version::V1_1,
            "message-id:lobby-reset-8\nsubscription:s\nreceipt:r",
        ),
        (Version::V1_0, "message-id:lobby-reset-8\nreceipt:r"),
    ] {
        let mut client = Client::speaking(version);
        let index = client.subscribe("id:s\nack:client").index;
        client.session.delivered(index, Mark::Reset(8));
        assert_eq!(receipts(&ack(&mut client, headers)), ["r"], "{version:?}");
    }
}

#[test]
fn a_topic_without_a_log_has_acks_but_no_position() {
    let mut client = Client::open();
    let actions = client.say("SUBSCRIBE\nid:0\ndestination:/user/queue/rooms\nack:client\n\n\0");
    let [Action::Subscribe(subscribe)] = &actions[..] else {
        panic!("{actions:?}");
    };
    client.deliver(subscribe.index, 1..=2);
    assert_eq!(receipts(&ack(&mut client, "id:0-2\nreceipt:r")), ["r"]);
}

#[test]
fn refusals_may_be_acknowledged() {
    let mut client = Client::open();
    client.say("SUBSCRIBE\nid:e\ndestination:/user/queue/errors\nack:client\n\n\0");
    let actions = client.say("SEND\ndestination:/nowhere\n\nx\0");
    let told = refusal(&actions, Code::BadDestination);
    assert_eq!(told.header("ack"), Some("0-1"));
    assert_eq!(receipts(&ack(&mut client, "id:0-1\nreceipt:r")), ["r"]);
}

// req: 93
#[test]
fn the_receipt_of_an_ack_waits_for_the_position() {
    let mut client = Client::open();
    let index = client.subscribe("id:0\nack:client").index;
    client.deliver(index, 1..=1);
    let actions = ack(&mut client, "id:0-1\nreceipt:r");
    let [Action::MarkRead { request, .. }] = actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(receipts(&client.complete(request)), ["r"]);
}

#[test]
fn gaps_between_acknowledged_messages_are_bounded() {
    let mut client = Client::listening();
    let index = client.subscribe("id:0\nack:client-individual").index;
    client.deliver(index, 1..=3_000);
    for n in 1..=super::super::ack::ACK_ISLANDS_MAX as u64 {
        assert_eq!(ack(&mut client, &format!("id:1-{}", 2 * n)), []);
    }
    refusal(&ack(&mut client, "id:1-2500"), Code::TooMany);
}

// req: 84
#[test]
fn after_unsubscribe_an_ack_names_nothing() {
    let mut client = Client::open();
    let index = client.subscribe("id:0\nack:client").index;
    client.deliver(index, 1..=1);
    client.say("UNSUBSCRIBE\nid:0\n\n\0");
    error(&ack(&mut client, "id:0-1"), Code::BadRequest, 1002);
}
