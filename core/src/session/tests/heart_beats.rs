//! Heart-beats both ways, with time passed in.

use super::*;

/// Signed in with this `heart-beat` header.
fn beating(header: &str) -> Client {
    let mut client = Client::fresh();
    client.say(&format!(
        "CONNECT\naccept-version:1.2\nheart-beat:{header}\n\n\0"
    ));
    client.sign_in();
    client
}

fn beat() -> Action {
    Action::Send(Bytes::from_static(b"\n"))
}

// req: 56
#[test]
fn a_malformed_heart_beat_is_an_error() {
    for bad in ["a,b", "1", "-1,0", "1,2,3", "99999999999,0", ""] {
        let actions = Client::fresh().say(&format!(
            "CONNECT\naccept-version:1.2\nheart-beat:{bad}\n\n\0"
        ));
        error(&actions, Code::BadRequest, 1002);
    }
}

// req: 55, 57
#[test]
fn nothing_beats_where_a_side_does_not_want_it() {
    assert_eq!(Client::open().session.next_deadline(), None);
    assert_eq!(beating("0,0").session.next_deadline(), None);
}

// req: 57, 58, 63
#[test]
fn the_server_beats_within_every_interval() {
    for (header, every) in [("0,1", 10_000), ("0,10000", 10_000), ("0,30000", 30_000)] {
        let mut client = beating(header);
        let mut last = client.now;
        for _ in 0..3 {
            let due = client.session.next_deadline().unwrap();
            assert!(due > last && due - last < every, "{header}");
            assert_eq!(client.session.on_deadline(due - 1), []);
            assert_eq!(client.session.on_deadline(due), [beat()]);
            last = due;
        }
    }
}

// req: 58
#[test]
fn anything_written_stands_for_a_beat() {
    let mut client = beating("0,10000");
    client.session.wrote(client.now + 5_000);
    assert_eq!(client.session.next_deadline(), Some(client.now + 13_000));
    client.now += 6_000;
    client.say("BEGIN\ntransaction:t\nreceipt:r\n\n\0");
    assert_eq!(client.session.next_deadline(), Some(client.now + 8_000));
}

// req: 62
#[test]
fn beats_go_on_while_requests_are_open() {
    let mut client = beating("0,10000");
    publish(&client.say(SEND));
    let due = client.session.next_deadline().unwrap();
    assert_eq!(client.session.on_deadline(due), [beat()]);
}

// req: 60
#[test]
fn a_silent_client_is_closed_at_twice_the_interval_and_not_before() {
    let mut client = beating("10000,0");
    let end = client.now + 20_000;
    assert_eq!(client.session.next_deadline(), Some(end));
    assert_eq!(client.session.on_deadline(end - 1), []);
    error(&client.session.on_deadline(end), Code::BadRequest, 1002);
}

// req: 59, 110
#[test]
fn every_octet_is_life() {
    for octets in ["\n", "SEND\ndest", "\r\n"] {
        let mut client = beating("10000,0");
        client.now += 19_999;
        assert_eq!(client.say(octets), []);
        assert_eq!(client.session.next_deadline(), Some(client.now + 20_000));
    }
}

// req: 60
#[test]
fn silence_is_not_held_against_a_client_that_is_not_read() {
    let mut client = beating("10000,0");
    client.say(&SEND.repeat(REQUESTS_MAX));
    assert!(!client.session.wants_input());
    let end = client.session.next_deadline().unwrap();
    assert_eq!(client.session.on_deadline(end), []);
    assert_eq!(client.session.next_deadline(), Some(end + 20_000));
    client.complete(RequestId(0));
    assert!(client.session.wants_input());
}
