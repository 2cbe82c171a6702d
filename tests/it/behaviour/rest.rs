//! REST: guests, rooms, messages, health.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Frame, Role, StompClient, System, rest::Rest, wait};

#[tokio::test]
async fn a_guest_signs_in_by_name_and_chats() {
    let system = System::shared().await;
    let nobody = Rest::new(&system.http(0), None);
    let guest = nobody.post("auth/guest", json!({"name": "Zoë"})).await.ok();
    assert_eq!(guest["user"]["name"], "Zoë");
    let token = guest["access_token"].as_str().expect("a token");
    let client = StompClient::try_connect(&system.http(0), token)
        .await
        .expect("CONNECTED");
    assert_eq!(
        client.connected.expect("just now").header("user-name"),
        guest["user"]["id"]
    );
}

#[tokio::test]
async fn a_room_is_created_listed_and_joined() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let wish = json!({"id": format!("chosen-{}", alice.id), "name": "Tea", "kind": "group", "public": true});
    let answer = alice.rest.post("rooms", wish.clone()).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.body["room"]["id"]),
        (201, &wish["id"])
    );
    assert_eq!(answer.body["seq"], 1);
    assert_eq!(
        alice.rest.post("rooms", wish.clone()).await.refusal(),
        (409, "conflict")
    );

    let room = wish["id"].as_str().expect("text");
    bob.joins(room).await;
    let rooms = bob.rest.get("rooms").await.ok();
    assert!(rooms.to_string().contains(room), "{rooms}");
    bob.joins(room).await;
    bob.connects().await.request(Frame::send(room, "in")).await;
}

#[tokio::test]
async fn messages_are_paged_by_seq() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    for number in 1..=10 {
        client.send(&Frame::send(&room, &number.to_string())).await;
    }
    client.messages(&room, 10).await;
    let pages = [
        ("limit=3", vec![8, 9, 10], (true, false)),
        ("limit=20", (1..=10).collect(), (false, false)),
        (
            &format!("before={}&limit=3", head + 4),
            vec![1, 2, 3],
            (false, true),
        ),
        (
            &format!("after={}&limit=3", head + 4),
            vec![5, 6, 7],
            (true, true),
        ),
    ];
    for (query, expected, (before, after)) in pages {
        let page = alice.reads(&room, query).await;
        let items = page["items"].as_array().expect("items");
        let seqs: Vec<u64> = items
            .iter()
            .map(|item| item["seq"].as_u64().expect("a seq") - head)
            .collect();
        assert_eq!(seqs, expected, "{query}: {page}");
        assert_eq!(
            (&page["has_before"], &page["has_after"]),
            (&json!(before), &json!(after)),
            "{query}: {page}"
        );
        assert_eq!(page["head"], head + 10);
    }
    let around = alice
        .reads(&room, &format!("around={}&limit=3", head + 5))
        .await;
    let items = around["items"].as_array().expect("items");
    assert!(items.iter().any(|item| item["seq"] == head + 5), "{around}");
    let all = alice.reads(&room, "include=all&limit=200").await;
    assert_eq!(
        all["items"].as_array().expect("items").len() as u64,
        head + 10
    );
}

#[tokio::test]
async fn a_message_is_posted_and_repeated_by_rest() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    let path = format!("rooms/{room}/messages");
    for _ in 0..2 {
        let posted = alice
            .rest
            .ask(
                Method::POST,
                &path,
                Some(json!({"text": "hello"})),
                &[("Idempotency-Key", "k-1")],
            )
            .await;
        let posted = posted.ok();
        assert_eq!(
            (&posted["seq"], &posted["id"]),
            (&json!(head + 1), &json!("k-1"))
        );
    }
    assert_eq!(client.message(&room).await.json()["text"], "hello");
    client.request(Frame::send(&room, "next")).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 2);
}

#[tokio::test]
async fn a_retry_of_something_long_past_is_taken_and_shown_to_nobody() {
    /// More than is looked through for the first one.
    const SINCE: u64 = 310;
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    let path = format!("rooms/{room}/messages");
    let says = async || {
        let (body, key) = (Some(json!({"text": "hello"})), [("Idempotency-Key", "k-1")]);
        alice.rest.ask(Method::POST, &path, body, &key).await
    };
    assert_eq!(says().await.status, 201);
    client.message(&room).await;
    for _ in 0..SINCE {
        client.send(&Frame::send(&room, "since")).await;
        client.message(&room).await;
    }
    let again = says().await;
    assert_eq!(again.status, 202, "{again:?}");
    assert_eq!(
        (&again.body["seq"], &again.body["id"]),
        (&json!(null), &json!("k-1"))
    );
    client.request(Frame::send(&room, "next")).await;
    assert_eq!(client.message(&room).await.number("seq"), head + SINCE + 2);
}

#[tokio::test]
async fn refusals_are_problem_documents_with_the_same_codes() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let nobody = Rest::new(&system.http(0), None);
    let (public, private) = (alice.opens_room().await, alice.opens_private_room().await);
    assert_eq!(
        nobody.get("rooms").await.refusal(),
        (401, "unauthenticated")
    );
    assert_eq!(
        bob.rest.get("rooms/no-such-room/messages").await.refusal(),
        (404, "not-found")
    );
    assert_eq!(
        bob.rest
            .get(&format!("rooms/{private}/messages"))
            .await
            .refusal(),
        (404, "not-found")
    );
    assert_eq!(
        bob.rest
            .get(&format!("rooms/{public}/messages"))
            .await
            .refusal(),
        (403, "not-a-member")
    );
    assert_eq!(
        bob.rest
            .post(&format!("rooms/{private}/join"), json!({}))
            .await
            .refusal(),
        (404, "not-found")
    );
    assert_eq!(
        bob.rest.get("rooms/bad%20id/messages").await.refusal().0 / 100,
        4
    );
    for query in ["limit=0", "limit=201", "before=x", "before=1&after=2"] {
        assert_eq!(
            alice
                .rest
                .get(&format!("rooms/{public}/messages?{query}"))
                .await
                .refusal(),
            (400, "bad-request"),
            "{query}"
        );
    }
    assert_eq!(
        alice.rest.post("rooms", json!({"name": 5})).await.refusal(),
        (400, "bad-request")
    );
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_answered_with_those_it_has() {
    let alice = System::shared().await.user("alice");
    let answer = alice.rest.post("me", json!({})).await;
    assert_eq!(answer.refusal(), (405, "bad-request"));
    assert_eq!(answer.header("allow"), "GET,HEAD,PATCH");
}

#[tokio::test]
async fn health_readiness_and_metrics_are_there() {
    let system = System::shared().await;
    let public = Rest::new(&system.http(0), None);
    for path in ["/health/live", "/health/ready"] {
        assert!(public.get(path).await.status.is_success(), "{path}");
    }
    let admin = system.admin(Role::Gateway, 0);
    wait::until("the metrics of a connection", wait::SOON, async || {
        let metrics = admin.get("/metrics").await.ok();
        metrics
            .as_str()
            .is_some_and(|text| text.contains("roomlog_"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_api_describes_itself_without_asking_anybody_else() {
    let system = System::shared().await;
    let public = Rest::new(&system.http(0), None);
    for below in ["/api", "/api/v1"] {
        let openapi = public.get(&format!("{below}/openapi.json")).await.ok();
        assert_eq!(openapi["openapi"], "3.1.0");
        let asyncapi = public.get(&format!("{below}/asyncapi.json")).await.ok();
        assert_eq!(asyncapi["asyncapi"], "3.0.0");
    }
    let page = public.get("/api/docs").await;
    assert!(page.media_type.starts_with("text/html"), "{page:?}");
    let policy = page.header("content-security-policy").to_owned();
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let page = page.ok();
    let text = page.as_str().expect("a page");
    assert!(
        !text.contains("http://") && !text.contains("https://"),
        "{text}"
    );
    for asset in ["/assets/docs.js", "/assets/docs.css"] {
        assert!(text.contains(asset));
        public.get(asset).await.ok();
    }
}

#[tokio::test]
async fn pages_hold_still_while_messages_come_and_change() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let path = format!("rooms/{room}/messages");
    let mut posted = Vec::new();
    let mut say = async |text: &str| {
        let answer = alice.rest.post(&path, json!({"text": text})).await.ok();
        posted.push(answer["seq"].as_u64().expect("a seq"));
        posted.clone()
    };
    for number in 0..20 {
        say(&number.to_string()).await;
    }
    let seqs = |page: &serde_json::Value| -> Vec<u64> {
        let items = page["items"].as_array().expect("items").iter();
        items
            .map(|item| item["seq"].as_u64().expect("a seq"))
            .collect()
    };
    let mut page = alice.reads(&room, "limit=6").await;
    let mut walked = seqs(&page);
    let mut known = say("meanwhile").await;
    while page["has_before"] == true {
        let edited = format!("{path}/{}", walked[0]);
        let edit = Some(json!({"text": "edited meanwhile"}));
        alice.rest.ask(Method::PATCH, &edited, edit, &[]).await.ok();
        known = say("meanwhile").await;
        page = alice
            .reads(&room, &format!("before={}&limit=6", walked[0]))
            .await;
        let mut longer = seqs(&page);
        assert!(longer.len() == 6 || page["has_before"] == false, "{page}");
        longer.append(&mut walked);
        walked = longer;
    }
    assert_eq!(walked, known[..20]);

    let mut forwards = Vec::new();
    loop {
        let after = forwards.last().copied().unwrap_or(0);
        let page = alice.reads(&room, &format!("after={after}&limit=6")).await;
        forwards.extend(seqs(&page));
        if page["has_after"] == false {
            break;
        }
        if forwards.len() < 20 {
            known = say("meanwhile").await;
        }
    }
    assert_eq!(forwards, known);
}
