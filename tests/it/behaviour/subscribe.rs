//! SUBSCRIBE: live, since, history, reset, acknowledgements.

use crate::harness::{Frame, Room, StompClient, System, User};

/// A room of the user's with so many messages in it, their texts 1, 2, 3 …; also a connection and the room's head.
async fn room_with(user: &User, messages: usize) -> (Room, StompClient, u64) {
    let room = user.opens_room().await;
    let (mut client, head) = user.watches(&room).await;
    for number in 1..=messages {
        client.send(&Frame::send(&room, &number.to_string())).await;
    }
    client.messages(&room, messages).await;
    (room, client, head + messages as u64)
}

fn since(id: &str, room: &str, seq: u64) -> Frame {
    Frame::subscribe(id, &format!("/topic/rooms/{room}")).with("since", seq)
}

fn seqs(messages: &[Frame]) -> Vec<u64> {
    messages
        .iter()
        .map(|message| message.number("seq"))
        .collect()
}

#[tokio::test]
async fn the_receipt_states_the_head_and_comes_first() {
    let system = System::shared().await;
    let (room, mut client, head) = room_with(&system.user("alice"), 3).await;
    let receipt = client.request(since("again", &room, 0)).await;
    assert_eq!(client.kept("again"), 0, "the RECEIPT comes first");
    assert_eq!((receipt.number("head"), receipt.number("count")), (head, 3));
    assert!(!receipt.header("epoch").is_empty());
    // All of it was there to be sent, and comes after.
    let replayed = client.messages("again", head as usize).await;
    assert_eq!(seqs(&replayed), (1..=head).collect::<Vec<_>>());
}

#[tokio::test]
async fn since_replays_what_was_missed_and_goes_on_live() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let (room, mut client, head) = room_with(&alice, 5).await;
    let mut other = alice.connects().await;
    other.send(&since("s", &room, 0)).await;
    let all = other
        .messages("s", usize::try_from(head).expect("few"))
        .await;
    assert_eq!(seqs(&all), (1..=head).collect::<Vec<_>>());
    assert_eq!(
        all[0].header("type"),
        "room",
        "the first event says who created the room"
    );
    assert!(all.iter().all(|message| message.header("replay") == "true"));
    client.request(Frame::send(&room, "live")).await;
    let live = other.message("s").await;
    assert_eq!((live.number("seq"), live.find("replay")), (head + 1, None));
}

#[tokio::test]
async fn since_at_the_head_replays_nothing() {
    let system = System::shared().await;
    let (room, mut client, head) = room_with(&system.user("alice"), 2).await;
    let epoch = client
        .request(since("s", &room, head))
        .await
        .header("epoch")
        .to_owned();
    client
        .request(since("with-epoch", &room, head).with("epoch", epoch))
        .await;
    client.request(Frame::send(&room, "next")).await;
    assert_eq!(client.message("s").await.number("seq"), head + 1);
    assert_eq!(client.message("with-epoch").await.number("seq"), head + 1);
}

#[tokio::test]
async fn history_is_the_last_messages_and_all_events_since_the_first_of_them() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let (room, mut client, head) = room_with(&alice, 4).await;
    bob.joins(&room).await;
    client.request(Frame::send(&room, "5")).await;
    client.messages(&room, 2).await;
    client
        .request(Frame::subscribe("h", &format!("/topic/rooms/{room}")).with("history", 2))
        .await;
    let messages = client.messages("h", 3).await;
    assert_eq!(seqs(&messages), [head, head + 1, head + 2]);
    let types: Vec<&str> = messages
        .iter()
        .map(|message| message.header("type"))
        .collect();
    assert_eq!(types, ["message", "member", "message"]);
}

#[tokio::test]
async fn what_cannot_be_continued_is_reset_and_then_live() {
    let system = System::shared().await;
    let (room, mut client, head) = room_with(&system.user("alice"), 2).await;
    let broken = [
        ("ahead", since("ahead", &room, head + 5)),
        ("epoch", since("epoch", &room, 1).with("epoch", "another")),
    ];
    for (reason, frame) in broken {
        client.request(frame).await;
        let reset = client.message(reason).await;
        assert_eq!((reset.header("type"), reset.find("seq")), ("reset", None));
        assert!(
            reset
                .header("message-id")
                .starts_with(&format!("{room}-reset-"))
        );
        let body = reset.json();
        assert_eq!(
            (&body["type"], &body["reason"], &body["head"]),
            (&"reset".into(), &reason.into(), &head.into())
        );
    }
    client.request(Frame::send(&room, "live")).await;
    assert_eq!(client.message("ahead").await.number("seq"), head + 1);
    assert_eq!(client.message("epoch").await.number("seq"), head + 1);
}

#[tokio::test]
async fn who_is_too_far_behind_is_reset_and_then_live() {
    const RESUMED_MAX: u64 = 10;
    let system = System::strict().await;
    let (room, mut client, head) = room_with(&system.user("alice"), 15).await;
    let last = head - RESUMED_MAX;
    client.request(since("far", &room, last - 1)).await;
    let reset = client.message("far").await;
    let body = reset.json();
    assert_eq!(
        (&body["type"], &body["reason"], &body["head"]),
        (&"reset".into(), &"too-far".into(), &head.into())
    );
    // One event later is near enough.
    client.request(since("near", &room, last)).await;
    let near = client.messages("near", 10).await;
    assert_eq!(seqs(&near), (last + 1..=head).collect::<Vec<_>>());
    client.request(Frame::send(&room, "live")).await;
    assert_eq!(client.message("far").await.number("seq"), head + 1);
    assert_eq!(client.message("near").await.number("seq"), head + 1);
}

#[tokio::test]
async fn replay_and_live_join_without_a_seam_while_messages_pour_in() {
    const POSTS: u64 = 200;
    const JOINERS: usize = 8;
    const HISTORY: u64 = 20;
    let system = System::shared().await;
    let alice = system.user("alice");
    let (room, mut client, head) = room_with(&alice, 1).await;
    let mut pouring = alice.connects().await;
    let poured = room.clone();
    let pour = tokio::spawn(async move {
        for number in 0..POSTS {
            pouring
                .request(Frame::send(&poured, &number.to_string()))
                .await;
        }
    });
    let last = head + POSTS;
    // The first event each of them is to see: of the room, or of the last messages there were when it joined.
    let mut joiners = Vec::new();
    for joiner in 0..JOINERS {
        let id = format!("joiner-{joiner}");
        client.message(&room).await;
        let first = if joiner % 2 == 0 {
            client.send(&since(&id, &room, 0)).await;
            1
        } else {
            let join = Frame::subscribe(&id, &format!("/topic/rooms/{room}"));
            let receipt = client.request(join.with("history", HISTORY)).await;
            receipt.number("head") - receipt.number("count").min(HISTORY) + 1
        };
        joiners.push((id, first));
    }
    pour.await.expect("every SEND is receipted");
    for (id, first) in joiners {
        let expected: Vec<u64> = (first..=last).collect();
        let messages = client.messages(&id, expected.len()).await;
        assert_eq!(seqs(&messages), expected, "{id}");
    }
}

// req: 73, 77, 80
#[tokio::test]
async fn two_subscriptions_to_one_room_both_receive_until_each_is_left() {
    let system = System::shared().await;
    let (room, mut client, head) = room_with(&system.user("alice"), 1).await;
    client.request(since("second", &room, head)).await;
    client.request(Frame::send(&room, "both")).await;
    assert_eq!(
        client.message(&room).await.number("seq"),
        client.message("second").await.number("seq")
    );
    client
        .request(Frame::new("UNSUBSCRIBE").with("id", "second"))
        .await;
    client.request(Frame::send(&room, "one")).await;
    client.message(&room).await;
    client
        .request(Frame::new("UNSUBSCRIBE").with("id", &room))
        .await;
    assert_eq!(
        client.kept("second"),
        0,
        "nothing comes after UNSUBSCRIBE is receipted"
    );
    // The id may be used anew.
    client.request(since("second", &room, head)).await;
    assert_eq!(
        seqs(&client.messages("second", 2).await),
        [head + 1, head + 2]
    );
}

#[tokio::test]
async fn an_ack_marks_read_and_an_unknown_one_is_an_error() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let (room, mut client, head) = room_with(&alice, 1).await;
    for mode in ["client", "client-individual"] {
        client
            .request(since(mode, &room, head - 1).with("ack", mode))
            .await;
        let message = client.message(mode).await;
        client
            .request(Frame::new("ACK").with("id", message.header("ack")))
            .await;
    }
    let mut nack = alice.connects().await;
    nack.request(since("n", &room, head - 1).with("ack", "client-individual"))
        .await;
    let message = nack.message("n").await;
    nack.request(Frame::new("NACK").with("id", message.header("ack")))
        .await;
    nack.send(&Frame::new("ACK").with("id", "no-such-ack"))
        .await;
    nack.error().await;
}

// req: 74
#[tokio::test]
async fn the_same_id_on_two_connections_is_two_subscriptions() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let (one, other) = (alice.opens_room().await, alice.opens_room().await);
    let (mut first, mut second) = (alice.connects().await, alice.connects().await);
    for (client, room) in [(&mut first, &one), (&mut second, &other)] {
        client
            .request(Frame::subscribe("s", &format!("/topic/rooms/{room}")))
            .await;
    }
    first
        .request(Frame::new("UNSUBSCRIBE").with("id", "s"))
        .await;
    for room in [&one, &other] {
        second.request(Frame::send(room, room)).await;
    }
    assert_eq!(second.message("s").await.json()["text"], other.as_str());
    first
        .request(Frame::new("BEGIN").with("transaction", "t"))
        .await;
    assert_eq!(first.kept("s"), 0);
}

// req: 77
#[tokio::test]
async fn nothing_comes_after_unsubscribe_is_receipted_while_messages_pour_in() {
    const POSTS: usize = 60;
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    client
        .request(Frame::subscribe("left", &format!("/topic/rooms/{room}")))
        .await;
    let posts = (0..POSTS).map(|number| Frame::send(&room, &number.to_string()));
    let mut frames: Vec<Frame> = posts.collect();
    let leave = Frame::new("UNSUBSCRIBE").with("id", "left");
    frames.insert(POSTS / 2, leave.with("receipt", "gone"));
    client
        .try_send_all(frames)
        .await
        .expect("an open connection");
    client.receipt("gone").await;
    let before = client.kept("left");
    client.messages(&room, POSTS).await;
    assert_eq!(client.kept("left"), before);
}
