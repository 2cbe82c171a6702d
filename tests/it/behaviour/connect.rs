//! Coming and going: versions, sign-in, heart-beats, DISCONNECT.

use std::time::Duration;

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Frame, StompClient, System,
    stomp::{Arrival, Door},
    user::{self, now_s, signed, token},
    wait::within,
};

/// A heart-beat of 1 s, a margin of as much again, and two busy cores.
const BEAT_LIMIT: Duration = Duration::from_secs(5);
/// Well within the agreed second.
const BEAT_EVERY: Duration = Duration::from_millis(400);
/// The contract's 5 s after the expiry, and the token's own 2 s.
const EXPIRY_LIMIT: Duration = Duration::from_secs(9);

async fn knock(system: &System) -> StompClient {
    StompClient::knock(&system.http(0), Door::default())
        .await
        .expect("an upgrade")
}

fn connect(token: &str) -> Frame {
    Frame::new("CONNECT").with("Authorization", format!("Bearer {token}"))
}

#[tokio::test]
async fn each_version_is_spoken_and_the_highest_common_one_is_taken() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let offers = [
        (Some("1.0"), "1.0"),
        (Some("1.1"), "1.1"),
        (Some("1.2"), "1.2"),
        (Some("1.2,1.1,1.0"), "1.2"),
        (Some("1.0,1.1,1.20,9.9"), "1.1"),
        (None, "1.0"),
    ];
    for (offered, taken) in offers {
        let mut client = knock(system).await;
        let mut frame = connect(&alice.token);
        if let Some(offered) = offered {
            frame = frame.with("accept-version", offered);
        }
        client.send(&frame).await;
        let connected = client
            .frame("CONNECTED", |frame| frame.command == "CONNECTED")
            .await;
        assert_eq!(connected.header("version"), taken, "{offered:?}");
        assert_eq!(connected.header("user-name"), alice.id);
        assert!(!connected.header("session").is_empty() && !connected.header("server").is_empty());
    }
}

#[tokio::test]
async fn an_unknown_version_is_refused_with_those_that_are_known() {
    let system = System::shared().await;
    let mut client = knock(system).await;
    client
        .send(&connect(&system.user("alice").token).with("accept-version", "3.0"))
        .await;
    let (error, _) = client.error().await;
    for version in ["1.0", "1.1", "1.2"] {
        assert!(error.header("version").contains(version), "{error:?}");
    }
}

#[tokio::test]
async fn the_highest_offered_subprotocol_is_echoed_and_binds_the_version() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let offering = |names| Door {
        subprotocols: Some(names),
        ..Door::default()
    };
    let mut client =
        StompClient::knock(&system.http(0), offering("v10.stomp, v12.stomp, v11.stomp"))
            .await
            .expect("an upgrade");
    assert_eq!(client.subprotocol.as_deref(), Some("v12.stomp"));
    client.sign_in(&alice.token).await.expect("CONNECTED");

    let mut client = StompClient::knock(&system.http(0), offering("v11.stomp"))
        .await
        .expect("an upgrade");
    assert_eq!(client.subprotocol.as_deref(), Some("v11.stomp"));
    client
        .send(&connect(&alice.token).with("accept-version", "1.2"))
        .await;
    client.error().await;

    assert_eq!(knock(system).await.subprotocol, None);
}

#[tokio::test]
async fn a_token_signs_in_at_the_upgrade_at_connect_or_as_passcode() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let door = Door {
        token: Some(alice.token.clone()),
        ..Door::default()
    };
    let mut client = StompClient::knock(&system.http(0), door)
        .await
        .expect("an upgrade");
    client
        .send(
            &Frame::new("STOMP")
                .with("accept-version", "1.2")
                .with("host", "anything"),
        )
        .await;
    let connected = client
        .frame("CONNECTED", |frame| frame.command == "CONNECTED")
        .await;
    assert_eq!(connected.header("user-name"), alice.id);

    let mut client = knock(system).await;
    let frame = Frame::new("CONNECT")
        .with("accept-version", "1.2")
        .with("login", "whoever")
        .with("passcode", &alice.token);
    client.send(&frame).await;
    let connected = client
        .frame("CONNECTED", |frame| frame.command == "CONNECTED")
        .await;
    assert_eq!(connected.header("user-name"), alice.id);
}

#[tokio::test]
async fn a_bad_token_is_refused_wherever_it_is_shown() {
    let system = System::shared().await;
    let good = system.user("mallory").token;
    let claims = |changed: serde_json::Value| {
        let mut claims =
            json!({"sub": "mallory", "exp": now_s() + 60, "iss": "roomlog", "aud": "roomlog"});
        claims
            .as_object_mut()
            .expect("an object")
            .extend(changed.as_object().expect("an object").clone());
        claims
    };
    let bad = [
        "nonsense".to_owned(),
        String::new(),
        signed(
            &claims(json!({})),
            "another secret of more than thirty-two bytes",
        ),
        signed(&claims(json!({"iss": "somebody-else"})), user::SECRET),
        signed(&claims(json!({"aud": "something-else"})), user::SECRET),
        signed(&claims(json!({"sub": "not a valid id"})), user::SECRET),
        // {"alg":"none","typ":"JWT"}
        format!(
            "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.",
            good.split('.').nth(1).expect("three parts")
        ),
        token("mallory", -60),
    ];
    for bad in &bad {
        let mut client = knock(system).await;
        client
            .send(
                &connect(bad)
                    .with("accept-version", "1.2")
                    .with("passcode", &good),
            )
            .await;
        let (error, _) = client.error().await;
        assert!(
            ["unauthenticated", "token-expired"].contains(&error.header("code")),
            "{error:?}"
        );
        let door = Door {
            token: Some(bad.clone()),
            ..Door::default()
        };
        assert_eq!(
            StompClient::knock(&system.http(0), door).await.err(),
            Some(401),
            "{bad}"
        );
    }
    let mut client = knock(system).await;
    client
        .send(&Frame::new("CONNECT").with("accept-version", "1.2"))
        .await;
    let (error, _) = client.error().await;
    assert_eq!(error.header("code"), "unauthenticated");
}

#[tokio::test]
async fn an_expired_token_ends_the_session_unless_it_was_renewed() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let mut ends = knock(system).await;
    let mut lives = knock(system).await;
    ends.sign_in(&token(&alice.id, 2)).await.expect("CONNECTED");
    lives.sign_in(&token(&bob.id, 2)).await.expect("CONNECTED");
    let renewal = Frame::new("SEND")
        .with("destination", "/app/auth")
        .with("Authorization", format!("Bearer {}", bob.token));
    lives.request(renewal).await;
    let (error, _) = within("the session to end", EXPIRY_LIMIT, ends.error()).await;
    assert_eq!(error.header("code"), "token-expired");
    bob.opens_room().await;
    lives
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
}

#[tokio::test]
async fn nothing_has_an_effect_before_connect() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = knock(system).await;
    client.send(&Frame::send(&room, "too early")).await;
    client.error().await;
    assert_eq!(alice.reads(&room, "limit=10").await["items"], json!([]));
}

#[tokio::test]
async fn a_second_connect_is_an_error() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let mut client = alice.connects().await;
    client
        .send(&connect(&alice.token).with("accept-version", "1.2"))
        .await;
    client.error().await;
}

#[tokio::test]
async fn disconnect_is_receipted_before_the_connection_closes() {
    let system = System::shared().await;
    let mut client = system.user("alice").connects().await;
    client.request(Frame::new("DISCONNECT")).await;
    assert_eq!(client.closed().await, Some(1000));
}

#[tokio::test]
async fn the_server_beats_when_it_has_nothing_to_say() {
    let system = System::shared().await;
    let mut client = knock(system).await;
    let frame = connect(&system.user("alice").token)
        .with("accept-version", "1.2")
        .with("heart-beat", "0,1000");
    client.send(&frame).await;
    let connected = client
        .frame("CONNECTED", |frame| frame.command == "CONNECTED")
        .await;
    assert_eq!(connected.header("heart-beat"), "1000,1000");
    client.beat(BEAT_LIMIT).await;
    client.beat(BEAT_LIMIT).await;
}

#[tokio::test]
async fn a_silent_client_is_closed_and_a_beating_one_is_not() {
    let system = System::shared().await;
    let beating = connect(&system.user("alice").token)
        .with("accept-version", "1.2")
        .with("heart-beat", "1000,0");
    let (mut silent, mut alive) = (knock(system).await, knock(system).await);
    silent.send(&beating).await;
    alive.send(&beating).await;
    alive
        .frame("CONNECTED", |frame| frame.command == "CONNECTED")
        .await;
    let mut rhythm = tokio::time::interval(BEAT_EVERY);
    let beats = async {
        loop {
            rhythm.tick().await;
            alive.send_message(Message::text("\n")).await;
        }
    };
    tokio::select! {
        _ = within("the silent client to be closed", BEAT_LIMIT, silent.closed()) => {}
        () = beats => {}
    }
    alive
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
}

#[tokio::test]
async fn frames_arrive_whole_however_the_client_cuts_them() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    let bytes = Frame::send(&room, "zwei Hälften\u{1f600}")
        .with("receipt", "whole")
        .encode();
    for byte in &bytes {
        client.send_message(Message::binary(vec![*byte])).await;
    }
    client.receipt("whole").await;
    let several = [
        b"\n\r\n".to_vec(),
        Frame::send(&room, "two").encode(),
        String::from_utf8(Frame::send(&room, "three").encode())
            .expect("text")
            .replacen('\n', "\r\n", 3)
            .into_bytes(),
    ];
    client
        .send_message(Message::text(
            String::from_utf8(several.concat()).expect("text"),
        ))
        .await;
    let texts: Vec<String> = client
        .messages(&room, 3)
        .await
        .iter()
        .map(|frame| frame.json()["text"].to_string())
        .collect();
    assert_eq!(texts, ["\"zwei Hälften\u{1f600}\"", "\"two\"", "\"three\""]);
}

#[tokio::test]
async fn connect_subscribe_and_send_in_one_message_work_in_order() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = knock(system).await;
    let frames = [
        connect(&alice.token).with("accept-version", "1.2"),
        Frame::subscribe("s", &format!("/topic/rooms/{room}")),
        Frame::send(&room, "at once"),
    ];
    let bytes = frames.iter().flat_map(Frame::encode).collect();
    client
        .send_message(Message::text(String::from_utf8(bytes).expect("text")))
        .await;
    assert!(
        matches!(client.arrival().await, Arrival::Frame(frame) if frame.command == "CONNECTED")
    );
    assert_eq!(client.message("s").await.json()["text"], "at once");
}
