//! Accounts: signing up, logging in, staying signed in, signing out.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{
    Frame, StompClient, System,
    rest::{Answer, Rest},
    stomp::Door,
};

const PASSWORD: &str = "correct horse battery staple";

/// A login name nobody else in this run takes.
fn login(name: &str) -> String {
    format!("{name}.{}@example.org", uuid::Uuid::new_v4().simple())
}

fn nobody(system: &System) -> Rest {
    Rest::new(&system.http(0), None)
}

fn bearer(system: &System, entrance: &Value) -> Rest {
    Rest::new(&system.http(0), Some(text(entrance, "access_token")))
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field]
        .as_str()
        .unwrap_or_else(|| panic!("no {field} in {body}"))
}

async fn signs_up(system: &System, login: &str) -> Value {
    let wish = json!({"login": login, "password": PASSWORD, "name": "Ada"});
    nobody(system).post("auth/signup", wish).await.ok()
}

async fn logs_in(system: &System, login: &str, password: &str) -> Answer {
    let wish = json!({"login": login, "password": password});
    nobody(system).post("auth/login", wish).await
}

async fn renews(system: &System, token: &str) -> Answer {
    let wish = json!({ "refresh_token": token });
    nobody(system).post("auth/refresh", wish).await
}

async fn connects(system: &System, entrance: &Value) -> StompClient {
    let token = text(entrance, "access_token");
    StompClient::try_connect(&system.http(0), token)
        .await
        .expect("CONNECTED")
}

#[tokio::test]
async fn who_signs_up_can_log_in_and_chat() {
    let system = System::shared().await;
    let login = login("Ada");
    let made = signs_up(system, &login).await;
    assert_eq!(made["user"]["name"], "Ada");
    let entrance = logs_in(system, &login.to_uppercase(), PASSWORD).await.ok();
    assert_eq!(entrance["user"], made["user"]);
    let me = bearer(system, &entrance).get("me").await.ok();
    assert_eq!(me["user"]["id"], made["user"]["id"]);
    let client = connects(system, &entrance).await;
    drop(client);
}

#[tokio::test]
async fn what_can_be_no_account_is_refused() {
    let system = System::shared().await;
    let wish = |login: &str, password: &str| json!({"login": login, "password": password});
    let bad = [
        wish("ab", PASSWORD),
        wish("no spaces please", PASSWORD),
        wish("../admin", PASSWORD),
        wish(&login("short"), "1234567"),
        wish(&login("long"), &"x".repeat(1025)),
        json!({"login": login("nameless"), "password": PASSWORD, "name": "\u{202e}"}),
        json!({"login": login("five"), "password": 5}),
        json!({"login": login("none")}),
    ];
    for wish in bad {
        let answer = nobody(system).post("auth/signup", wish.clone()).await;
        assert_eq!(answer.refusal(), (400, "bad-request"), "{wish}");
    }
}

#[tokio::test]
async fn a_login_name_is_given_once_however_many_ask_at_once() {
    let system = System::shared().await;
    let login = login("race");
    let wish = json!({"login": login, "password": PASSWORD});
    let rest = nobody(system);
    let answers = join_all((0..8).map(|_| rest.post("auth/signup", wish.clone()))).await;
    let (made, taken): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(made.len(), 1, "{answers:?}");
    for answer in taken {
        assert_eq!(answer.refusal(), (409, "conflict"));
    }
    let entrance = logs_in(system, &login, PASSWORD).await.ok();
    assert_eq!(entrance["user"]["id"], made[0].body["user"]["id"]);
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_answered_alike() {
    let system = System::shared().await;
    let known = login("known");
    signs_up(system, &known).await;
    let wrong = logs_in(system, &known, "not the password").await;
    assert_eq!(wrong.refusal(), (401, "unauthenticated"));
    for unknown in [login("unknown"), "not a login".into(), "x".repeat(300)] {
        let answer = logs_in(system, &unknown, PASSWORD).await;
        assert_eq!((answer.status, &answer.body), (wrong.status, &wrong.body));
    }
}

#[tokio::test]
async fn a_password_is_the_same_however_it_is_typed() {
    let system = System::shared().await;
    let login = login("zoe");
    let wish = json!({"login": login, "password": "Zo\u{eb} likes tea"});
    nobody(system).post("auth/signup", wish).await.ok();
    logs_in(system, &login, "Zoe\u{308} likes tea").await.ok();
}

#[tokio::test]
async fn a_guest_keeps_name_and_id_on_return() {
    let system = System::shared().await;
    let guest = nobody(system)
        .post("auth/guest", json!({"name": "Wanderer"}))
        .await
        .ok();
    let back = renews(system, text(&guest, "refresh_token")).await.ok();
    assert_eq!(back["user"], guest["user"]);
    let me = bearer(system, &back).get("me").await.ok();
    assert_eq!(me["user"]["name"], "Wanderer");
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_its_return_ends_the_sign_in() {
    let system = System::shared().await;
    let login = login("thief");
    let first = signs_up(system, &login).await;
    let other = logs_in(system, &login, PASSWORD).await.ok();
    let mut stolen = connects(system, &first).await;
    let second = renews(system, text(&first, "refresh_token")).await.ok();
    // An answer that got lost is given again.
    let again = renews(system, text(&first, "refresh_token")).await.ok();
    assert_eq!(again["refresh_token"], second["refresh_token"]);
    let third = renews(system, text(&second, "refresh_token")).await.ok();
    // The first is two exchanges old: somebody else has it.
    let reused = renews(system, text(&first, "refresh_token")).await;
    assert_eq!(reused.refusal(), (401, "unauthenticated"));
    let newest = renews(system, text(&third, "refresh_token")).await;
    assert_eq!(newest.refusal(), (401, "unauthenticated"));
    let (error, code) = stolen.error().await;
    assert_eq!(
        (error.header("code"), code),
        ("unauthenticated", Some(1008))
    );
    let answer = bearer(system, &third).get("me").await;
    assert_eq!(answer.refusal(), (401, "unauthenticated"));
    // Another sign-in of the same user goes on.
    renews(system, text(&other, "refresh_token")).await.ok();
}

#[tokio::test]
async fn of_many_exchanges_at_once_one_successor_comes_out() {
    let system = System::shared().await;
    let first = signs_up(system, &login("twenty")).await;
    let token = text(&first, "refresh_token");
    let answers = join_all((0..20).map(|_| renews(system, token))).await;
    let mut successors: Vec<String> = answers
        .into_iter()
        .map(|answer| text(&answer.ok(), "refresh_token").to_owned())
        .collect();
    successors.dedup();
    assert_eq!(successors.len(), 1);
    renews(system, &successors[0]).await.ok();
}

#[tokio::test]
async fn what_is_no_refresh_token_is_refused_and_ends_nothing() {
    let system = System::shared().await;
    let entrance = signs_up(system, &login("forger")).await;
    let good = text(&entrance, "refresh_token");
    let (rest, _) = good.rsplit_once('.').expect("a proof");
    let access = text(&entrance, "access_token");
    for bad in [
        "",
        "x",
        access,
        &format!("{rest}.{}", "0".repeat(64)),
        &"x".repeat(9_000),
    ] {
        assert_eq!(
            renews(system, bad).await.refusal(),
            (401, "unauthenticated"),
            "{bad}"
        );
    }
    // A refresh token is no access token either.
    let answer = Rest::new(&system.http(0), Some(good)).get("me").await;
    assert_eq!(answer.refusal(), (401, "unauthenticated"));
    renews(system, good).await.ok();
}

#[tokio::test]
async fn logging_out_ends_this_sign_in_only() {
    let system = System::shared().await;
    let login = login("two");
    let (phone, desk) = (
        signs_up(system, &login).await,
        logs_in(system, &login, PASSWORD).await.ok(),
    );
    let (mut on_phone, mut on_desk) = (
        connects(system, &phone).await,
        connects(system, &desk).await,
    );
    let ticket = bearer(system, &phone)
        .post("ws-tickets", json!({}))
        .await
        .ok();
    let out = bearer(system, &phone).post("auth/logout", json!({})).await;
    assert_eq!(out.status, 204);
    let (error, _) = on_phone.error().await;
    assert_eq!(error.header("code"), "unauthenticated");
    assert_eq!(
        bearer(system, &phone).get("me").await.refusal(),
        (401, "unauthenticated")
    );
    assert_eq!(
        renews(system, text(&phone, "refresh_token"))
            .await
            .refusal(),
        (401, "unauthenticated")
    );
    let door = Door {
        query: Some(format!("ticket={}", text(&ticket, "ticket"))),
        ..Door::default()
    };
    let mut late = StompClient::knock(&system.http(0), door)
        .await
        .expect("an upgrade");
    late.send(&Frame::new("CONNECT").with("accept-version", "1.2"))
        .await;
    assert_eq!(late.error().await.0.header("code"), "unauthenticated");
    on_desk
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    // A refresh token alone signs out too: the access token may be over already.
    let wish = json!({"refresh_token": desk["refresh_token"]});
    assert_eq!(
        nobody(system)
            .post("auth/logout", wish.clone())
            .await
            .status,
        204
    );
    assert_eq!(nobody(system).post("auth/logout", wish).await.status, 204);
    on_desk.error().await;
}

#[tokio::test]
async fn logging_out_everywhere_ends_every_sign_in_and_none_that_comes_after() {
    let system = System::shared().await;
    let login = login("all");
    let (phone, desk) = (
        signs_up(system, &login).await,
        logs_in(system, &login, PASSWORD).await.ok(),
    );
    let mut on_desk = connects(system, &desk).await;
    let out = bearer(system, &phone)
        .post("auth/logout", json!({"everywhere": true}))
        .await;
    assert_eq!(out.status, 204);
    on_desk.error().await;
    for entrance in [&phone, &desk] {
        let refused = bearer(system, entrance).get("me").await;
        assert_eq!(refused.refusal(), (401, "unauthenticated"));
        let refused = renews(system, text(entrance, "refresh_token")).await;
        assert_eq!(refused.refusal(), (401, "unauthenticated"));
    }
    let fresh = logs_in(system, &login, PASSWORD).await.ok();
    bearer(system, &fresh).get("me").await.ok();
    connects(system, &fresh).await;
}

#[tokio::test]
async fn a_token_that_comes_from_no_sign_in_can_not_log_out() {
    let system = System::shared().await;
    let operator = system.user("operator");
    let answer = operator.rest.post("auth/logout", json!({})).await;
    assert_eq!(answer.refusal(), (400, "bad-request"));
    let answer = nobody(system).post("auth/logout", json!({})).await;
    assert_eq!(answer.refusal(), (401, "unauthenticated"));
}

#[tokio::test]
async fn a_ticket_is_good_once() {
    let system = System::shared().await;
    let entrance = signs_up(system, &login("ticket")).await;
    let ticket = bearer(system, &entrance)
        .post("ws-tickets", json!({}))
        .await
        .ok();
    let door = || Door {
        query: Some(format!("ticket={}", text(&ticket, "ticket"))),
        ..Door::default()
    };
    let connect = Frame::new("CONNECT").with("accept-version", "1.2");
    let mut first = StompClient::knock(&system.http(0), door())
        .await
        .expect("an upgrade");
    first.send(&connect).await;
    let connected = first
        .frame("CONNECTED", |frame| frame.command == "CONNECTED")
        .await;
    assert_eq!(connected.header("user-name"), text(&entrance["user"], "id"));
    let mut second = StompClient::knock(&system.http(0), door())
        .await
        .expect("an upgrade");
    second.send(&connect).await;
    assert_eq!(second.error().await.0.header("code"), "unauthenticated");
}

#[tokio::test]
async fn the_store_holds_no_password_and_no_token() {
    let system = System::shared().await;
    let login = login("secret");
    let entrance = signs_up(system, &login).await;
    let token = text(&entrance, "refresh_token");
    let proof = token.rsplit_once('.').expect("a proof").1;
    for table in ["users", "sessions"] {
        let rows = format!("{:?}", system.rows(table).await);
        assert!(
            rows.contains(text(&entrance["user"], "id")),
            "{table} holds the user"
        );
        for secret in [PASSWORD, proof, text(&entrance, "access_token")] {
            assert!(!rows.contains(secret), "{table} holds a secret");
        }
    }
}
