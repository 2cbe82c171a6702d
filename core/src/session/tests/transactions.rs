//! BEGIN, COMMIT, ABORT.

use super::*;

/// Begins transaction t.
fn begun() -> Client {
    let mut client = Client::listening();
    assert_eq!(client.say("BEGIN\ntransaction:t\n\n\0"), []);
    client
}

fn held(client: &mut Client, receipt: &str) -> Vec<Action> {
    client.say(&format!(
        "SEND\ndestination:/app/rooms/lobby\ntransaction:t\nreceipt:{receipt}\n\nx\0"
    ))
}

fn commit(client: &mut Client) -> Vec<Action> {
    client.say("COMMIT\ntransaction:t\nreceipt:c\n\n\0")
}

#[track_caller]
fn committed(actions: &[Action]) -> (RequestId, Vec<Publish>) {
    let [Action::Commit { request, publishes }] = actions else {
        panic!("{actions:?}");
    };
    (*request, publishes.clone())
}

// req: 89
#[test]
fn transactions_are_named_and_open_once() {
    for frame in [
        "BEGIN\n\n\0",
        "COMMIT\n\n\0",
        "ABORT\n\n\0",
        "COMMIT\ntransaction:u\n\n\0",
        "ABORT\ntransaction:u\n\n\0",
        "BEGIN\ntransaction:t\n\n\0",
        "SEND\ndestination:/app/rooms/lobby\ntransaction:u\n\nx\0",
    ] {
        error(&begun().say(frame), Code::BadRequest, 1002);
    }
}

// req: 89, 93
#[test]
fn an_id_may_be_used_again_after_its_end() {
    for end in ["COMMIT", "ABORT"] {
        let mut client = begun();
        let actions = client.say(&format!("{end}\ntransaction:t\nreceipt:e\n\n\0"));
        assert_eq!(receipts(&actions), ["e"]);
        let again = client.say("BEGIN\ntransaction:t\nreceipt:b\n\n\0");
        assert_eq!(receipts(&again), ["b"]);
    }
}

// req: 90
#[test]
fn nothing_takes_effect_before_commit() {
    let mut client = begun();
    let index = client.subscribe("id:0\nack:client").index;
    client.deliver(index, 1..=2);
    assert_eq!(held(&mut client, "a"), []);
    assert_eq!(
        client.say("ACK\nid:1-2\ntransaction:t\nreceipt:k\n\n\0"),
        []
    );
    assert_eq!(
        client.say("NACK\nid:1-1\ntransaction:t\nreceipt:n\n\n\0"),
        []
    );
    assert_eq!(held(&mut client, "b"), []);

    let (request, sends) = committed(&commit(&mut client));
    assert_eq!(sends.len(), 2);
    assert_eq!(client.complete(request), []);
    assert_eq!(receipts(&client.complete(sends[0].request)), ["a"]);
    let actions = client.complete(sends[1].request);
    let [.., Action::MarkRead { request, seq, .. }] = &actions[..] else {
        panic!("{actions:?}");
    };
    assert_eq!(seq.0, 2);
    assert_eq!(receipts(&actions), ["b", "n"]);
    assert_eq!(receipts(&client.complete(*request)), ["k", "c"]);
}

// req: 90
#[test]
fn commits_receipt_is_the_last_in_whatever_order_the_parts_end() {
    let mut client = begun();
    held(&mut client, "a");
    held(&mut client, "b");
    let (request, sends) = committed(&commit(&mut client));
    assert_eq!(receipts(&client.complete(sends[1].request)), ["b"]);
    assert_eq!(receipts(&client.complete(sends[0].request)), ["a"]);
    assert_eq!(receipts(&client.complete(request)), ["c"]);
}

// req: 90
#[test]
fn one_bad_send_refuses_all_at_commit() {
    for bad in [
        "SEND\ndestination:/nowhere\ntransaction:t\nreceipt:bad\n\nx\0",
        "SEND\ndestination:/app/rooms/lobby\nseq:1\ntransaction:t\n\nx\0",
        "SEND\ndestination:/app/auth\nAuthorization:Bearer x\ntransaction:t\n\nx\0",
        "SEND\ndestination:/app/rooms/lobby\ncontent-type:image/png\ntransaction:t\n\nx\0",
    ] {
        let mut client = begun();
        held(&mut client, "a");
        assert_eq!(client.say(bad), []);
        held(&mut client, "b");
        let actions = commit(&mut client);
        let frame = frames(&actions).remove(0);
        assert_eq!((actions.len(), frame.command), (1, Command::Message));
        assert_eq!(frame.header("receipt-id"), Some("c"));
        // The transaction is over.
        assert_eq!(client.say("BEGIN\ntransaction:t\n\n\0"), []);
    }
}

// req: 90, 92
#[test]
fn a_spoiled_transaction_holds_nothing_and_tells_its_first_refusal() {
    let body = "x".repeat(16 << 10);
    let fill = |client: &mut Client, transaction: &str, count: usize| {
        let send =
            format!("SEND\ndestination:/app/rooms/lobby\ntransaction:{transaction}\n\n{body}\0");
        (0..count).for_each(|_| assert_eq!(client.say(&send), []));
    };
    let mut client = begun();
    fill(&mut client, "t", 60);
    client.say("SEND\ndestination:/nowhere\ntransaction:t\n\nx\0");
    fill(&mut client, "t", 60);
    // What it held, and what came after, leaves room for another.
    client.say("BEGIN\ntransaction:u\n\n\0");
    fill(&mut client, "u", 60);
    let sends = client.say("COMMIT\ntransaction:u\n\n\0");
    assert_eq!(committed(&sends).1.len(), 60);
    refusal(&commit(&mut client), Code::BadDestination);
}

// req: 90
#[test]
fn what_the_server_refuses_at_commit_is_refused_once() {
    let mut client = begun();
    let index = client.subscribe("id:0\nack:client").index;
    client.deliver(index, 1..=1);
    held(&mut client, "a");
    client.say("ACK\nid:1-1\ntransaction:t\nreceipt:k\n\n\0");
    let (request, sends) = committed(&commit(&mut client));
    let actions = client.turn_down(request, Code::NotAMember);
    let told = refusal(&actions, Code::NotAMember);
    assert_eq!(told.header("receipt-id"), Some("c"));
    assert_eq!(client.complete(sends[0].request), []);
    assert_eq!(client.complete(request), []);
}

#[test]
fn a_send_that_fails_late_takes_commits_receipt_with_it() {
    let mut client = begun();
    held(&mut client, "a");
    held(&mut client, "b");
    let (request, sends) = committed(&commit(&mut client));
    assert_eq!(receipts(&client.complete(sends[0].request)), ["a"]);
    assert_eq!(client.turn_down(sends[1].request, Code::LogUnavailable), []);
    let told = refusal(&client.complete(request), Code::LogUnavailable);
    assert_eq!(told.header("receipt-id"), Some("c"));
}

// req: 91, 113
#[test]
fn disconnect_aborts() {
    let mut client = begun();
    held(&mut client, "a");
    let actions = client.say("DISCONNECT\nreceipt:d\n\n\0");
    assert_eq!(receipts(&actions), ["d"]);
}

// req: 92
#[test]
fn open_transactions_are_bounded() {
    let mut client = begun();
    for n in 1..16 {
        assert_eq!(client.say(&format!("BEGIN\ntransaction:{n}\n\n\0")), []);
    }
    let actions = client.say("BEGIN\ntransaction:more\nreceipt:r\n\n\0");
    let told = refusal(&actions, Code::TooMany);
    assert_eq!(told.header("receipt-id"), Some("r"));
    client.say("ABORT\ntransaction:1\n\n\0");
    assert_eq!(client.say("BEGIN\ntransaction:more\n\n\0"), []);
}

// req: 92
#[test]
fn the_frames_of_a_transaction_are_bounded() {
    let mut client = begun();
    for n in 0..100 {
        assert_eq!(held(&mut client, &n.to_string()), []);
    }
    let (_, sends) = committed(&commit(&mut client));
    assert_eq!(sends.len(), 100);
    let mut client = begun();
    for n in 0..101 {
        assert_eq!(held(&mut client, &n.to_string()), []);
    }
    refusal(&commit(&mut client), Code::TooMany);
}

// req: 92
#[test]
fn the_bytes_of_all_transactions_are_bounded() {
    let mut client = begun();
    let body = "x".repeat(64 << 10);
    let big = format!(
        "SEND\ndestination:/app/rooms/lobby\ncontent-type:application/json\ntransaction:t\n\n{body}\0"
    );
    for _ in 0..40 {
        assert_eq!(client.say(&big), []);
    }
    refusal(&commit(&mut client), Code::TooMany);
}

// req: 84, 90
#[test]
fn an_ack_whose_subscription_ended_before_commit_ends_the_session() {
    let mut client = begun();
    let index = client.subscribe("id:0\nack:client").index;
    client.deliver(index, 1..=1);
    held(&mut client, "a");
    client.say("ACK\nid:1-1\ntransaction:t\n\n\0");
    client.say("UNSUBSCRIBE\nid:0\n\n\0");
    error(&commit(&mut client), Code::BadRequest, 1002);
}
