//! Coming in: versions, sign-in, and how long it may take.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Frame, StompClient, System, User,
    stomp::Door,
    user::{self, now_s, signed, token},
};

/// How long a token is good that is to expire: long enough to be renewed before, however busy the machine is.
const SHORT_S: i64 = 6;

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

// req: 47
#[tokio::test]
async fn an_unknown_version_is_refused_with_those_that_are_known() {
    let system = System::shared().await;
    let mut client = knock(system).await;
    client
        .send(&connect(&system.user("alice").token).with("accept-version", "3.0"))
        .await;
    let (error, close) = client.error().await;
    assert_eq!((error.header("code"), close), ("bad-request", Some(1002)));
    let supported: Vec<&str> = error.header("version").split(',').collect();
    assert_eq!(supported.len(), 3, "{error:?}");
    for version in ["1.0", "1.1", "1.2"] {
        assert!(supported.contains(&version), "{error:?}");
        assert!(error.text().contains(version), "{error:?}");
    }
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
    let short = |user: &User| token(&user.id, SHORT_S);
    ends.sign_in(&short(&alice)).await.expect("CONNECTED");
    lives.sign_in(&short(&bob)).await.expect("CONNECTED");
    let renewal = Frame::new("SEND")
        .with("destination", "/app/auth")
        .with("Authorization", format!("Bearer {}", bob.token));
    lives.request(renewal).await;
    let (error, _) = ends.error().await;
    assert_eq!(error.header("code"), "token-expired");
    bob.opens_room().await;
    lives
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
}

// req: 41
#[tokio::test]
async fn nothing_has_an_effect_before_connect() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = knock(system).await;
    client.send(&Frame::send(&room, "too early")).await;
    let (error, close) = client.error().await;
    assert_eq!((error.header("code"), close), ("bad-frame", Some(1002)));
    assert_eq!(alice.reads(&room, "limit=10").await["items"], json!([]));
}

// req: 42
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

// req: 53
#[tokio::test]
async fn who_does_not_sign_in_in_time_is_closed() {
    let system = System::shared().await;
    let (mut silent, mut slow) = (knock(system).await, knock(system).await);
    let half = "CONNECT\naccept-version:1.2\n";
    slow.send_message(Message::text(half)).await;
    let ((one, first), (other, second)) = tokio::join!(silent.error(), slow.error());
    assert_eq!((first, second), (Some(1008), Some(1008)));
    for error in [one, other] {
        assert_eq!(error.header("code"), "unauthenticated");
    }
}
