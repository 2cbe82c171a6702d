//! Retries are known to processes that were not there when the first one was sent.

use futures_util::future::join_all;

use super::scale::is_stored;
use crate::harness::{
    Frame, Role, Room, Shape, Stack, System, User,
    rest::Answer,
    traffic::{Seen, Sight},
};

const IDS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_known_after_fanouts_and_persister_were_killed() {
    let shape = Shape {
        fanouts: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let mut system = System::start(shape).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut watching, head) = alice.watches(&room).await;
    sends_all(&alice, &room).await;
    let first = watching.messages(&room, IDS).await;
    assert_eq!(first[IDS - 1].number("seq"), head + IDS as u64);

    for (round, is_wiped) in [(1, false), (2, true)] {
        let died = [(Role::Fanout, 0), (Role::Fanout, 1), (Role::Persister, 0)];
        for (role, index) in died {
            system.kill(role, index);
        }
        if is_wiped {
            system.servers().redis.wipe().await;
        }
        for (role, index) in died {
            system.restart(role, index).await;
        }
        sends_all(&alice, &room).await;
        let mut client = alice.connects().await;
        let end = format!("end-{round}");
        client
            .request(Frame::send(&room, "the end").with("id", &end))
            .await;
        let shown = watching.message(&room).await;
        assert_eq!(shown.json()["id"], *end, "a retry is not shown again");
        assert_eq!(shown.number("seq"), head + IDS as u64 + round);
    }
    let sight = Sight::from([(room.clone(), sees(&alice, &room).await)]);
    is_stored(&system, &sight).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_by_another_gateway_is_not_held_against_the_rate() {
    const BURST: usize = 5;
    let shape = Shape {
        gateways: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let settings = [
        ("ROOMLOG_SENDS_PER_SECOND", "1"),
        ("ROOMLOG_SENDS_BURST", "5"),
    ];
    let system = System::start_with(shape, &settings).await;
    let here = system.user("alice");
    let there = here.at(&system.http(1));
    let room = here.opens_room().await;
    let ids: Vec<String> = (0..BURST).map(|number| format!("m-{number}")).collect();
    let mut first = Vec::new();
    for id in &ids {
        first.push(here.posts(&room, id).await.ok()["seq"].clone());
    }

    let fresh: Vec<String> = (0..4 * BURST).map(|number| format!("n-{number}")).collect();
    let answers = join_all(fresh.iter().map(|id| there.posts(&room, id))).await;
    let is_refused = |answer: &Answer| answer.status == 429 && answer.refusal().1 == "too-many";
    let refused = answers.iter().filter(|answer| is_refused(answer)).count();
    assert!(refused > 0, "{answers:?}");
    let again = join_all(ids.iter().map(|id| there.posts(&room, id))).await;
    let again: Vec<_> = again
        .into_iter()
        .map(|answer| answer.ok()["seq"].clone())
        .collect();
    assert_eq!(again, first);
}

/// Each of the ids once; the log has all of them.
async fn sends_all(user: &User, room: &Room) {
    let mut client = user.connects().await;
    for number in 0..IDS {
        let post = Frame::send(room, "once").with("id", format!("m-{number}"));
        client.request(post).await;
    }
}

/// What somebody sees who reads the room from its beginning.
async fn sees(user: &User, room: &Room) -> Vec<Seen> {
    let mut client = user.connects().await;
    let all = Frame::subscribe("all", &format!("/topic/rooms/{room}"));
    let head = client.request(all.with("since", 0)).await.number("head");
    let events = usize::try_from(head).expect("few");
    let messages = client.messages("all", events).await;
    let seen = messages.iter().map(|message| Seen {
        seq: message.number("seq"),
        count: message.number("count"),
        id: message.json()["id"].as_str().expect("an id").to_owned(),
        kind: message.header("type").to_owned(),
    });
    seen.collect()
}
