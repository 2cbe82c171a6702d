//! What no memory, cache or store holds any more is read from the log itself.

use crate::harness::{Frame, Shape, Stack, System};

/// More than a fanout keeps of one room.
const MESSAGES: usize = 1_100;

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_comes_from_the_log_when_redis_is_wiped_and_dynamodb_is_gone() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    let posts = (0..MESSAGES).map(|number| {
        let id = format!("m-{number}");
        Frame::send(&room, &id).with("id", id)
    });
    let sent = client.try_send_all(posts).await;
    sent.expect("an open connection");
    client.messages(&room, MESSAGES).await;

    system.servers().dynamodb.process().kill();
    system.servers().redis.wipe().await;
    let topic = format!("/topic/rooms/{room}");
    let again = Frame::subscribe("again", &topic).with("since", 0);
    client.request(again).await;
    let head = usize::try_from(head).expect("few");
    let all = client.messages("again", head + MESSAGES).await;
    for (message, seq) in all.iter().zip(1_u64..) {
        assert_eq!(message.number("seq"), seq, "{message:?}");
    }
    for (message, number) in all[head..].iter().zip(0..) {
        assert_eq!(message.json()["id"], format!("m-{number}"));
        assert_eq!(message.number("count"), number + 1, "{message:?}");
    }
}
