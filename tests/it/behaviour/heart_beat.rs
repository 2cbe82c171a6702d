//! Heart-beats: what counts as life, and that both sides keep what was agreed.

use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Frame, StompClient, System, User,
    stomp::Door,
    wait::{SOON, within},
};

/// Well within what is agreed, so that two busy cores may make it late.
const BEAT_EVERY: Duration = Duration::from_millis(400);
/// Twice the agreed second; the clocks of both sides count whole milliseconds.
const SILENCE_ALLOWED: Duration = Duration::from_millis(1_998);
/// What those that live agree on: twice that is long against any delay of theirs.
const LIVING: &str = "3000,0";
/// How often they are heard after the silent one was closed: longer than that, so that silence would have ended them.
const BEATS_AFTER: usize = 16;

/// A connection with these heart-beats, and the header of CONNECTED.
async fn agreeing(user: &User, heart_beat: &str) -> (StompClient, String) {
    let mut client = StompClient::knock(&user.http, Door::default())
        .await
        .expect("an upgrade");
    let connect = Frame::new("CONNECT")
        .with("accept-version", "1.2")
        .with("Authorization", format!("Bearer {}", user.token))
        .with("heart-beat", heart_beat);
    client.send(&connect).await;
    let connected = client
        .frame("CONNECTED", |frame| frame.command == "CONNECTED")
        .await;
    let agreed = connected.header("heart-beat").to_owned();
    (client, agreed)
}

// req: 58
#[tokio::test]
async fn the_server_beats_when_it_has_nothing_to_say() {
    let system = System::shared().await;
    let (mut client, agreed) = agreeing(&system.user("alice"), "0,1000").await;
    assert_eq!(agreed, "1000,1000");
    client.beat(SOON).await;
    client.beat(SOON).await;
}

// req: 60, 110, 111
#[tokio::test]
async fn who_says_nothing_for_two_intervals_is_closed_and_whoever_says_anything_is_not() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let began = Instant::now();
    let (mut silent, _) = agreeing(&alice, "1000,0").await;
    let signs = [
        Message::text("\n"),
        Message::binary(b"\r\n\n".to_vec()),
        Message::Ping("alive".into()),
        Message::Pong("unasked".into()),
    ];
    let mut living = Vec::new();
    for sign in signs {
        living.push((agreeing(&alice, LIVING).await.0, sign));
    }
    let mut rhythm = tokio::time::interval(BEAT_EVERY);
    let mut beats = async |times: usize| {
        for _ in 0..times {
            rhythm.tick().await;
            for (client, sign) in &mut living {
                client.send_message(sign.clone()).await;
            }
        }
    };
    let (error, close) = tokio::select! {
        ended = silent.error() => ended,
        () = beats(usize::MAX) => unreachable!("it beats on"),
    };
    assert_eq!((error.header("code"), close), ("bad-request", Some(1002)));
    assert!(began.elapsed() >= SILENCE_ALLOWED, "closed too early");
    beats(BEATS_AFTER).await;
    for (mut client, sign) in living {
        let request = Frame::subscribe("errors", "/user/queue/errors");
        let what = format!("an answer after {sign:?}");
        within(&what, SOON, client.request(request)).await;
    }
}

// req: 62
#[tokio::test]
async fn the_server_beats_while_a_long_frame_trickles_in() {
    /// The server waits for twice what is agreed; these take longer.
    const BEATS: usize = 5;
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = agreeing(&alice, "2000,1000").await;
    let frame = Frame::send(&room, &"x".repeat(4_000)).with("receipt", "whole");
    let octets = frame.encode();
    let mut parts = octets.chunks(400);
    let mut beats = 0;
    for part in parts.by_ref() {
        // Each part is a sign of life, and the server's own beats don't wait for the last of them.
        client.send_message(Message::binary(part.to_vec())).await;
        if beats < BEATS {
            client.beat(SOON).await;
            beats += 1;
        }
    }
    client.receipt("whole").await;
}
