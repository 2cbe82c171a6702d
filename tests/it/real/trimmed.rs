//! The log has lost its beginning, and the store some rows with it: who wants those is told so, nobody gets a hole.

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
};
use roomlog_core::partition::partition_of;
use serde_json::{Value, json};

use crate::{
    behaviour::tools::{TOOL_LIMIT, lines},
    harness::{
        Frame, Role, Room, Shape, Stack, StompClient, System,
        dynamo::{self, text},
        wait::{SOON, until},
    },
};

const TOPIC: &str = "chat.events.v1";
const PARTITIONS: u32 = 6;
const MESSAGES: u64 = 20;
/// The rows of the first so many events are taken away.
const LOST: u64 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_what_is_kept_nowhere_is_reset_and_then_live() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    for number in 1..=MESSAGES {
        client
            .send(&Frame::send(&room, &format!("early {number}")))
            .await;
    }
    let sent = usize::try_from(MESSAGES).expect("few");
    let last = client.messages(&room, sent).await.pop().expect("the last");
    let head = last.number("seq");
    forget_the_beginning(&mut system, &room).await;

    let mut client = alice.connects().await;
    client.request(since("gone", &room, LOST - 1)).await;
    let reset = client.message("gone").await.json();
    assert_eq!(
        (&reset["type"], &reset["reason"], &reset["head"]),
        (&json!("reset"), &json!("trimmed"), &json!(head))
    );
    client.request(since("kept", &room, LOST)).await;
    expect(&mut client, "kept", LOST + 1..=head).await;
    client.request(Frame::send(&room, "a late one")).await;
    expect(&mut client, "gone", head + 1..=head + 1).await;
    expect(&mut client, "kept", head + 1..=head + 1).await;

    // What is left of the log is shown without numbers, and what was deleted only to those who insist.
    let shown = replayed(&system, &room, &[]).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert_eq!(
        (&shown[0]["text"], &shown[0]["seq"], &shown[0]["count"]),
        (&json!("a late one"), &Value::Null, &Value::Null)
    );
    let delete = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}/delete"))
        .body(json!({ "target": head + 1 }).to_string());
    client.request(delete).await;
    client.message("kept").await;
    let shown = replayed(&system, &room, &[]).await;
    assert_eq!(shown[0]["deleted"], true, "{shown:?}");
    assert!(shown[0].get("text").is_none(), "{shown:?}");
    let raw = replayed(&system, &room, &["--raw"]).await;
    assert_eq!(raw[0]["text"], "a late one", "{raw:?}");
}

/// Everything is stored; then the log is cut up to its end, the first rows are deleted, and no memory is left.
async fn forget_the_beginning(system: &mut System, room: &Room) {
    let partition = partition_of(room.as_bytes(), PARTITIONS);
    let log: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &system.kafka)
        .create()
        .expect("a consumer");
    let number = i32::try_from(partition).expect("few");
    let (_, end) = log
        .fetch_watermarks(TOPIC, number, SOON)
        .expect("the log's bounds");
    let key = format!("{TOPIC}/{partition}");
    until("everything to be stored", SOON, async || {
        let rows = system.rows("partitions").await;
        let row = rows
            .into_iter()
            .find(|row| row.get("partition").and_then(|key| key.as_s().ok()) == Some(&key))?;
        let offset: i64 = row.get("offset")?.as_n().ok()?.parse().ok()?;
        (offset >= end).then_some(())
    })
    .await;
    for role in [Role::Gateway, Role::Fanout] {
        system.stop_gracefully(role, 0).await;
    }
    let mut cut = TopicPartitionList::new();
    cut.add_partition_offset(TOPIC, number, Offset::Offset(end))
        .expect("an offset");
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &system.kafka)
        .create()
        .expect("an admin client");
    let deleted = admin.delete_records(&cut, &AdminOptions::new()).await;
    deleted.expect("records deleted");
    let store = dynamo::client(&system.dynamodb);
    for seq in 1..=LOST {
        let deleted = store
            .delete_item()
            .table_name(system.table("events"))
            .key("room_shard", text(&format!("{room}/0")))
            .key("seq", dynamo::number(seq))
            .send()
            .await;
        deleted.expect("a row deleted");
    }
    system.servers().redis.wipe().await;
    for role in [Role::Fanout, Role::Gateway] {
        system.restart(role, 0).await;
    }
}

fn since(id: &str, room: &str, seq: u64) -> Frame {
    Frame::subscribe(id, &format!("/topic/rooms/{room}")).with("since", seq)
}

async fn expect(client: &mut StompClient, subscription: &str, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        assert_eq!(client.message(subscription).await.number("seq"), seq);
    }
}

async fn replayed(system: &System, room: &str, more: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["replay", "--room", room];
    arguments.extend(more);
    let replayed = lines(system.tool(&arguments));
    crate::harness::wait::within("the replay", TOOL_LIMIT, replayed).await
}
