//! A record nobody can read keeps its place, and what the dead-letter topic has no room for leaves a note there.

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};

use crate::harness::{
    Frame, Shape, Stack, System,
    records::{DEAD_LETTERS, EVENTS, Raw, append, letters_of},
};

/// What the dead-letter topic takes at most here, in bytes.
const LETTER_BYTES_MAX: &str = "10000";
/// An unreadable record that is larger.
const RECORD_BYTES: usize = 50_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_too_large_says_where_the_original_is() {
    let system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    narrow_the_dead_letters(&system.kafka).await;
    let (partition, offset) = append(&system.kafka, &unreadable(&room, &alice.id)).await;

    let shown = client.message(&room).await;
    assert_eq!(
        (shown.header("type"), shown.number("seq")),
        ("unreadable", head + 1)
    );
    client.request(Frame::send(&room, "goes on")).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 2);

    // They have no key and no value any more.
    for letter in letters_of(&system.kafka, b"").await {
        assert!(letter.value.is_empty());
        let origin = [
            ("dlq.topic", EVENTS.to_owned()),
            ("dlq.partition", partition.to_string()),
            ("dlq.offset", offset.to_string()),
            ("dlq.truncated", RECORD_BYTES.to_string()),
        ];
        for (name, value) in origin {
            let found = letter.headers.iter().find(|(key, _)| key == name);
            let found = found.map(|(_, value)| value.as_slice());
            assert_eq!(found, Some(value.as_bytes()), "{letter:?}");
        }
        assert!(letter.headers.iter().any(|(name, _)| name == "dlq.reason"));
    }
}

async fn narrow_the_dead_letters(brokers: &str) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .create()
        .expect("an admin client");
    let narrow = AlterConfig::new(ResourceSpecifier::Topic(DEAD_LETTERS))
        .set("max.message.bytes", LETTER_BYTES_MAX);
    let altered = admin.alter_configs([&narrow], &AdminOptions::new()).await;
    altered.expect("an answer")[0]
        .as_ref()
        .expect("a narrower topic");
}

fn unreadable(room: &str, sender: &str) -> Raw {
    let headers = [
        ("id", "unreadable-1"),
        ("sender", sender),
        ("type", "message"),
    ];
    Raw {
        key: room.as_bytes().to_vec(),
        value: vec![0xff; RECORD_BYTES],
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
            .to_vec(),
    }
}
