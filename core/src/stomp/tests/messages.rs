//! MESSAGE frames out of a shared part and an envelope.

use super::*;

const SERVER: &[(&str, &str)] = &[
    ("message-id", "lobby-7"),
    ("destination", "/topic/rooms/lobby"),
    ("content-type", "application/json"),
    ("seq", "7"),
];

fn lobby<'a>(client: &'a [(&'a str, &'a str)], body: &str) -> MessageFrame {
    MessageFrame::new(Mark::Number(7), SERVER, client.iter().copied(), body)
}

// req: 101, 103
#[test]
fn a_message_names_its_subscription_and_measures_its_body() {
    let envelope = Envelope::new(Version::V1_2, Some("sub-0"), None);
    let bytes = lobby(&[("x", "y")], "{\"text\":\"ä\"}").sealed(&envelope, Provenance::Live);
    let expected = "MESSAGE\nsubscription:sub-0\nmessage-id:lobby-7\n\
        destination:/topic/rooms/lobby\ncontent-type:application/json\nseq:7\nx:y\n\
        content-length:13\n\n{\"text\":\"ä\"}\0";
    assert_eq!(bytes, expected);
}

// req: 83, 86
#[test]
fn only_acknowledging_subscriptions_get_an_ack() {
    let ack_of = |envelope: &Envelope| {
        let sealed = lobby(&[], "{}").sealed(envelope, Provenance::Live);
        frame(sealed).header("ack").map(str::to_owned)
    };
    assert_eq!(ack_of(&Envelope::new(Version::V1_2, Some("a"), None)), None);
    let first = Envelope::new(Version::V1_2, Some("a"), Some(0));
    let second = Envelope::new(Version::V1_2, Some("b"), Some(12));
    assert_eq!(ack_of(&first).as_deref(), Some("0-7"));
    assert_eq!(ack_of(&second).as_deref(), Some("12-7"));
    assert_eq!(second.ack_value(Mark::Number(7)).as_deref(), Some("12-7"));
    assert_eq!(
        second.ack_value(Mark::Reset(7)).as_deref(),
        Some("12-reset-7")
    );
    // Older versions acknowledge by message-id.
    assert_eq!(
        ack_of(&Envelope::new(Version::V1_1, Some("a"), Some(0))),
        None
    );
}

#[test]
fn a_reset_has_an_ack_of_its_own() {
    let envelope = Envelope::new(Version::V1_2, Some("a"), Some(u32::MAX));
    for head in [0, 9, 10, u64::MAX] {
        let reset = MessageFrame::new(Mark::Reset(head), &[], [], "{}");
        let read = frame(reset.sealed(&envelope, Provenance::Live));
        let expected = format!("{}-reset-{head}", u32::MAX);
        assert_eq!(read.header("ack"), Some(expected.as_str()));
    }
}

// req: 66
#[test]
fn own_headers_come_back_in_every_version_as_it_can_say_them() {
    let message = lobby(&[("a:b", "c\nd"), ("plain", "x")], "{}");
    for version in Version::ALL {
        let envelope = Envelope::new(version, Some("s:1"), None);
        let read = frame_in(version, message.sealed(&envelope, Provenance::Live)).unwrap();
        assert_eq!(read.header("plain"), Some("x"));
        assert_eq!(read.header("subscription"), Some("s:1"));
        let (name, value) = match version {
            Version::V1_0 => ("a_b", "c d"),
            _ => ("a:b", "c\nd"),
        };
        assert_eq!(read.header(name), Some(value), "{version:?}");
    }
}

// req: 118
#[test]
fn an_old_client_without_id_gets_no_subscription_header() {
    let envelope = Envelope::new(Version::V1_0, None, None);
    let sealed = lobby(&[], "{}").sealed(&envelope, Provenance::Live);
    assert!(sealed.starts_with(b"MESSAGE\nmessage-id:"));
}

#[test]
fn what_is_shown_again_says_so() {
    let envelope = Envelope::new(Version::V1_2, Some("a"), Some(1));
    let sealed = |provenance| frame(lobby(&[], "{}").sealed(&envelope, provenance));
    assert_eq!(sealed(Provenance::Replay).header("replay"), Some("true"));
    assert_eq!(sealed(Provenance::Live).header("replay"), None);
}

#[test]
fn equal_envelopes_of_two_connections_share_their_bytes() {
    let one = Envelope::new(Version::V1_2, Some("sub-0"), Some(0));
    let other = Envelope::new(Version::V1_2, Some("sub-0"), Some(0));
    assert_eq!(one, other);
    for different in [
        Envelope::new(Version::V1_2, Some("sub-1"), Some(0)),
        Envelope::new(Version::V1_2, Some("sub-0"), Some(1)),
        Envelope::new(Version::V1_2, Some("sub-0"), None),
        Envelope::new(Version::V1_1, Some("sub-0"), Some(0)),
    ] {
        assert_ne!(one, different);
    }
}
