//! RECEIPT, DISCONNECT and drain.

use super::*;

const DISCONNECT: &str = "DISCONNECT\nreceipt:d\n\n\0";

#[track_caller]
fn left(actions: &[Action]) -> Vec<String> {
    let Some(Action::Close { code: 1000, .. }) = actions.last() else {
        panic!("{actions:?}");
    };
    receipts(actions)
}

// req: 70, 93
#[test]
fn a_send_is_receipted_once_and_only_when_it_is_done() {
    let mut client = Client::open();
    let actions = client.say("SEND\ndestination:/app/rooms/lobby\nreceipt:a\\cb\n\nx\0");
    let request = publish(&actions).request;
    assert_eq!(receipts(&client.complete(request)), ["a:b"]);
    assert_eq!(client.complete(request), []);
}

// req: 93
#[test]
fn every_frame_but_connect_may_ask_for_a_receipt() {
    let mut client = Client::open();
    for (frame, receipt) in [
        (
            "SUBSCRIBE\nid:e\ndestination:/user/queue/errors\nreceipt:1\n\n\0",
            "1",
        ),
        ("BEGIN\ntransaction:t\nreceipt:2\n\n\0", "2"),
        ("ABORT\ntransaction:t\nreceipt:3\n\n\0", "3"),
        ("BEGIN\ntransaction:t\nreceipt:\n\n\0", ""),
        ("COMMIT\ntransaction:t\nreceipt:5\n\n\0", "5"),
        ("UNSUBSCRIBE\nid:e\nreceipt:6\n\n\0", "6"),
    ] {
        assert_eq!(receipts(&client.say(frame)), [receipt]);
    }
    assert_eq!(left(&client.say(DISCONNECT)), ["d"]);
}

// req: 93
#[test]
fn who_asks_for_no_receipt_gets_none() {
    let mut client = Client::open();
    let request = publish(&client.say(SEND)).request;
    assert_eq!(client.complete(request), []);
}

// req: 94, 95, 97
#[test]
fn disconnects_receipt_follows_all_earlier_ones() {
    let mut client = Client::open();
    let first = publish(&client.say("SEND\ndestination:/app/rooms/lobby\nreceipt:1\n\nx\0"));
    let second = publish(&client.say("SEND\ndestination:/app/rooms/lobby\nreceipt:2\n\nx\0"));
    assert_eq!(client.say(DISCONNECT), []);
    assert_eq!(receipts(&client.complete(second.request)), ["2"]);
    assert_eq!(left(&client.complete(first.request)), ["1", "d"]);
    assert!(client.session.is_closed());
}

// req: 95, 112
#[test]
fn a_quiet_disconnect_closes_normally_too() {
    assert_eq!(left(&Client::open().say("DISCONNECT\n\n\0")), [""; 0]);
}

// req: 96
#[test]
fn frames_after_disconnect_are_ignored() {
    let mut client = Client::open();
    let pending = publish(&client.say(SEND));
    assert_eq!(client.say(&format!("{DISCONNECT}{SEND}garbage\r\r")), []);
    assert_eq!(client.say(SEND), []);
    assert_eq!(left(&client.complete(pending.request)), ["d"]);
    assert_eq!(client.say(SEND), []);
}

// req: 97
#[test]
fn disconnect_does_not_wait_for_ever() {
    let mut client = Client::open();
    publish(&client.say(SEND));
    client.say(DISCONNECT);
    let deadline = client.session.next_deadline().unwrap();
    assert_eq!(client.session.on_deadline(deadline - 1), []);
    assert_eq!(left(&client.session.on_deadline(deadline)), [""; 0]);
}

// req: 112
#[test]
fn a_drain_lets_open_requests_finish_and_takes_no_more() {
    let mut client = Client::open();
    let pending = publish(&client.say("SEND\ndestination:/app/rooms/lobby\nreceipt:1\n\nx\0"));
    assert_eq!(client.session.drain(Some(700), client.now), []);
    assert_eq!(client.say(SEND), []);
    let actions = client.complete(pending.request);
    assert_eq!(receipts(&actions[..1]), ["1"]);
    let error = error(&actions[1..], Code::Draining, 1012);
    assert_eq!(error.header("retry_after_ms"), Some("700"));
}

// req: 112
#[test]
fn a_drain_ends_at_once_or_soon() {
    for mut client in [Client::open(), Client::fresh()] {
        let actions = client.session.drain(None, client.now);
        error(&actions, Code::Draining, 1012);
        assert_eq!(client.session.drain(None, client.now), []);
    }
    let mut client = Client::open();
    publish(&client.say(SEND));
    client.session.drain(None, client.now);
    let deadline = client.session.next_deadline().unwrap();
    assert_eq!(deadline, client.now + DRAIN_WAIT_MS);
    error(&client.session.on_deadline(deadline), Code::Draining, 1012);
}

// req: 98
#[test]
fn after_an_error_nothing_is_said_or_heard() {
    let mut client = Client::open();
    let pending = publish(&client.say(SEND));
    client.say("nonsense\n\n\0");
    assert_eq!(client.say(SEND), []);
    assert_eq!(client.complete(pending.request), []);
    assert_eq!(client.session.on_deadline(u64::MAX), []);
    assert_eq!(client.session.next_deadline(), None);
    assert_eq!(client.session.drain(None, client.now), []);
    assert_eq!(
        client.session.refuse(&Refusal::new(Code::Internal, "x")),
        []
    );
}
