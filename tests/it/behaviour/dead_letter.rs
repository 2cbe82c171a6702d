//! A record nobody can read: it keeps its place in the room, and the dead-letter topic gets it as it was.

use crate::harness::{
    Frame, System,
    records::{EVENTS, Raw, append, letters_of},
};

/// No schema's frame: it begins with another octet than zero, and holds all there are.
fn value() -> Vec<u8> {
    (0..=255_u8).rev().cycle().take(1_000).collect()
}

#[tokio::test]
async fn a_dead_letter_is_the_record_as_it_was_and_says_where_it_was_and_why() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    // Names that are ours and others', one of them twice, and values that are no text.
    let headers: [(&str, &[u8]); 6] = [
        ("id", b"unreadable-1"),
        ("sender", alice.id.as_bytes()),
        ("type", b"message"),
        ("twice", b"first"),
        ("twice", &[0, 0xff, 0xfe]),
        ("empty", b""),
    ];
    let original = Raw {
        key: room.clone().into_bytes(),
        value: value(),
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.to_vec()))
            .to_vec(),
    };
    let (partition, offset) = append(&system.kafka, &original).await;

    let shown = client.message(&room).await;
    assert_eq!(
        (shown.header("type"), shown.number("seq")),
        ("unreadable", head + 1)
    );
    client.request(Frame::send(&room, "goes on")).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 2);

    let origin = [
        ("dlq.topic", EVENTS.to_owned()),
        ("dlq.partition", partition.to_string()),
        ("dlq.offset", offset.to_string()),
    ];
    for mut letter in letters_of(&system.kafka, &original.key).await {
        let (name, reason) = letter.headers.pop().expect("headers");
        assert_eq!(name, "dlq.reason");
        assert!(!reason.is_empty());
        let added = letter.headers.split_off(original.headers.len());
        let told = origin
            .clone()
            .map(|(name, value)| (name.to_owned(), value.into_bytes()));
        assert_eq!(added, told);
        assert_eq!(letter, original);
    }
}
