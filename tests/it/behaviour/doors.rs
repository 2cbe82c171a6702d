//! The public listener against those who may not come in: origins, cookies, sizes, floods, and what strangers learn.

use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{
    Frame, Stack, StompClient, System, User,
    rest::Rest,
    socket::{FINAL, PING, Socket, TEXT},
    stomp::Door,
};

/// Bytes of a request's head that are read.
const HEAD_MAX: usize = 16 * 1024;

/// Signs in without showing a credential; the ERROR's code.
async fn knocks_with_nothing(socket: &mut Socket) -> String {
    let connect = Frame::new("CONNECT").with("accept-version", "1.2");
    socket.send(FINAL | TEXT, &connect.encode()).await;
    let (frames, close) = socket.rest().await;
    assert_eq!(close, Some(1008), "{frames:?}");
    frames.last().expect("an ERROR").header("code").to_owned()
}

#[tokio::test]
async fn pages_of_other_origins_are_turned_away_before_the_upgrade() {
    let system = System::shared().await;
    let http = system.http(0);
    let authority = http.strip_prefix("http://").expect("an address");
    let (host, port) = authority.rsplit_once(':').expect("a port");
    let other_port = port.parse::<u16>().expect("a port") ^ 1;
    for origin in [
        "null",
        "https://evil.example",
        &format!("http://sub.{authority}"),
        &format!("http://{authority}.evil.example"),
        &format!("http://{host}:{other_port}"),
        &format!("http://{host}"),
        &format!("ftp://{authority}"),
    ] {
        let socket = Socket::upgrade(&http, &[("Origin", origin)]).await;
        assert_eq!(socket.status(), 403, "{origin}");
    }
    let own = Socket::upgrade(&http, &[("Origin", &http)]).await;
    assert_eq!(own.status(), 101, "the own page");
    assert_eq!(Socket::upgrade(&http, &[]).await.status(), 101, "a program");
}

#[tokio::test]
async fn no_cookie_and_no_query_signs_anyone_in() {
    let system = System::shared().await;
    let (http, token) = (system.http(0), system.user("alice").token);
    let cookie = format!("token={token}; access_token={token}; Authorization=Bearer {token}");
    let mut socket = Socket::upgrade(&http, &[("Cookie", &cookie)]).await;
    assert_eq!(socket.header("set-cookie"), None);
    assert_eq!(knocks_with_nothing(&mut socket).await, "unauthenticated");

    let nobody = Rest::new(&http, None);
    let me = nobody
        .ask(Method::GET, "me", None, &[("Cookie", &cookie)])
        .await;
    assert_eq!(me.refusal(), (401, "unauthenticated"));
    let query = format!("token={token}&access_token={token}&authorization=Bearer%20{token}");
    let me = nobody.get(&format!("me?{query}")).await;
    assert_eq!(me.refusal(), (401, "unauthenticated"));
    let connect = Frame::new("CONNECT").with("accept-version", "1.2");
    for query in [query, format!("ticket={token}"), "ticket=".into()] {
        let door = Door {
            query: Some(query),
            ..Door::default()
        };
        let mut client = StompClient::knock(&http, door).await.expect("an upgrade");
        client.send(&connect).await;
        assert_eq!(client.error().await.0.header("code"), "unauthenticated");
    }
    let guest = nobody.post("auth/guest", json!({"name": "Ada"})).await;
    assert!(guest.status.is_success() && guest.find("set-cookie").is_none());
}

#[tokio::test]
async fn an_upgrade_request_has_bounds_and_one_version() {
    let system = System::shared().await;
    let http = system.http(0);
    let long = "x".repeat(HEAD_MAX);
    let header = Socket::upgrade(&http, &[("X-Long", &long)]).await;
    let path = Socket::asks(&http, format!("GET /ws?{long}").as_bytes()).await;
    let many: String = (0..10_000)
        .map(|number| format!("h{number}: x\r\n"))
        .collect();
    let request = format!("GET /ws HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    let headers = Socket::asks(&http, request.as_bytes()).await;
    for refused in [header, path, headers] {
        let status = refused.status();
        assert!([0, 400, 414, 431].contains(&status), "{status}");
    }
    for version in ["8", "12", "14", "", "thirteen"] {
        let socket = Socket::upgrade(&http, &[("Sec-WebSocket-Version", version)]).await;
        assert_eq!(socket.status(), 426, "{version}");
        assert_eq!(socket.header("sec-websocket-version"), Some("13"));
    }
    let plain = Rest::new(&http, None).get("/ws").await;
    assert!(plain.status.is_client_error(), "{plain:?}");
    assert_eq!(Socket::upgrade(&http, &[]).await.status(), 101);
}

#[tokio::test]
async fn who_does_not_finish_a_request_is_not_waited_for() {
    let system = System::shared().await;
    let http = system.http(0);
    let half = Socket::asks(&http, b"GET /ws HTTP/1.1\r\nHost: x\r\nX-Slow: ");
    let (half, silent) = tokio::join!(half, Socket::asks(&http, b""));
    for closed in [half, silent] {
        assert!([0, 408].contains(&closed.status()), "{}", closed.status());
    }
}

#[tokio::test]
async fn bodies_have_bounds_and_answers_are_not_compressed() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let path = format!("rooms/{room}/messages");
    let huge = json!({"text": "x".repeat(1 << 20)});
    // The answer comes before the body was read, and the connection may be gone before it is written. It is another's,
    // so that nobody's next request goes the same way.
    let bob = system.user("bob");
    let refused = bob.rest.try_ask(Method::POST, &path, Some(huge), &[]);
    if let Ok(answer) = refused.await {
        assert_eq!(answer.status.as_u16(), 413);
        assert_eq!(answer.find("connection"), Some("close"));
    }
    let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
    let deep: Value = serde_json::from_str(&deep).expect("JSON");
    let answer = alice
        .rest
        .post(&path, json!({"text": "x", "meta": {"d": deep}}))
        .await;
    assert_eq!(answer.refusal(), (400, "bad-request"));
    let asked = [("Accept-Encoding", "gzip, br, zstd")];
    let page = alice.rest.ask(Method::GET, &path, None, &asked).await;
    assert!(page.find("content-encoding").is_none(), "{page:?}");
    for path in ["/debug", "/admin", "/config"] {
        assert_eq!(alice.rest.get(path).await.status.as_u16(), 404, "{path}");
    }
    // Only who tries the system on their own machine finds its figures here.
    let figures = alice.rest.get("/metrics").await;
    let shown = match Stack::chosen() {
        Stack::Embedded => 200,
        Stack::Real { .. } => 404,
    };
    assert_eq!(figures.status.as_u16(), shown);
}

#[tokio::test]
async fn a_flood_of_pings_ends_its_connection_and_nobody_else_notices() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let mut calm = alice.connects().await;
    let mut flood = Socket::signed_in(&alice.http, &alice.token, &[]).await;
    for _ in 0..100 {
        flood.try_send(FINAL | PING, b"x").await;
    }
    let (frames, close) = flood.rest().await;
    let error = frames.last().expect("an ERROR");
    assert_eq!((error.header("code"), close), ("too-many", Some(1008)));
    calm.send_message(Message::Ping("x".into())).await;
    calm.request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
}

#[tokio::test]
async fn names_stay_data_whatever_is_in_them() {
    let system = System::shared().await;
    let nobody = Rest::new(&system.http(0), None);
    let evil = "Ada\r\nseq:9\n\n\u{2028}\u{1b}[31m<script>\u{202e}";
    let guest = nobody
        .post("auth/guest", json!({ "name": evil }))
        .await
        .ok();
    let token = guest["access_token"].as_str().expect("a token");
    let ada = Rest::new(&system.http(0), Some(token));
    let room = |name: &str| json!({"name": name, "kind": "group", "public": true});
    let refused = ada.post("rooms", room(evil)).await;
    assert_eq!(refused.refusal(), (400, "bad-request"));
    let made = ada.post("rooms", room("Tea: <b>\\n{}\"")).await.ok();
    let room = made["room"]["id"].as_str().expect("an id");
    let mut client = StompClient::try_connect(&system.http(0), token)
        .await
        .expect("CONNECTED");
    let topic = format!("/topic/rooms/{room}");
    client
        .send(&Frame::subscribe("s", &topic).with("history", 1))
        .await;
    client.request(Frame::send(room, evil)).await;
    // The harness fails at a frame of more than one message, and a body of more than one line is none.
    let message = client.message("s").await;
    assert_ne!(message.header("seq"), "9");
    let (body, shown) = (message.json(), message.text());
    assert_eq!(body["text"], evil);
    let name = body["sender"]["name"].as_str().expect("a name");
    for place in [shown, name, &made["room"]["name"].to_string()] {
        let breaks = ['\r', '\n', '\u{1b}'];
        assert!(!place.contains(breaks), "{place:?}");
    }
}

/// What a stranger may ask of a room over REST.
fn questions(room: &str) -> Vec<(Method, String, Option<Value>)> {
    let below = |path: &str| format!("rooms/{room}{path}");
    let text = || Some(json!({"text": "x"}));
    vec![
        (Method::GET, below(""), None),
        (Method::PATCH, below(""), Some(json!({"name": "x"}))),
        (Method::DELETE, below(""), None),
        (Method::POST, below("/join"), Some(json!({}))),
        (Method::GET, below("/members"), None),
        (Method::PUT, below("/members/somebody"), Some(json!({}))),
        (Method::DELETE, below("/members/somebody"), None),
        (Method::GET, below("/messages"), None),
        (Method::POST, below("/messages"), text()),
        (Method::PATCH, below("/messages/1"), text()),
        (Method::DELETE, below("/messages/1"), None),
        (Method::PUT, below("/messages/1/reactions/x"), None),
        (Method::POST, below("/notices"), text()),
        (Method::POST, below("/read"), Some(json!({"seq": 1}))),
        (Method::GET, below("/presence"), None),
        (Method::GET, below("/viewers"), None),
    ]
}

/// What a stranger may ask of a room over STOMP.
fn requests(room: &str) -> Vec<Frame> {
    let sends = |verb: &str, body: Value| {
        Frame::new("SEND")
            .with("destination", format!("/app/rooms/{room}{verb}"))
            .with("content-type", "application/json")
            .body(body.to_string())
    };
    vec![
        Frame::subscribe("1", &format!("/topic/rooms/{room}")),
        Frame::subscribe("2", &format!("/topic/rooms/{room}")).with("since", 0),
        Frame::subscribe("3", &format!("/topic/rooms/{room}/signals")),
        sends("", json!({"text": "x"})),
        sends("/read", json!({"seq": 1})),
        sends("/edit", json!({"target": 1, "text": "x"})),
        sends("/delete", json!({"target": 1})),
        sends("/react", json!({"target": 1, "emoji": "x", "on": true})),
    ]
}

#[tokio::test]
async fn a_private_room_is_to_strangers_as_if_it_did_not_exist() {
    let system = System::shared().await;
    let (alice, eve) = (system.user("alice"), system.user("eve"));
    let private = alice.opens_private_room().await;
    alice
        .connects()
        .await
        .request(Frame::send(&private, "for us"))
        .await;
    for (of_private, of_none) in questions(&private).iter().zip(questions("no-such-room")) {
        let answers = |(method, path, body): &(Method, String, Option<Value>)| {
            let (method, path, body) = (method.clone(), path.clone(), body.clone());
            let rest = eve.rest.clone();
            async move { rest.ask(method, &path, body, &[]).await }
        };
        let (is_there, is_not) = (answers(of_private).await, answers(&of_none).await);
        assert_eq!(is_there.refusal(), (404, "not-found"), "{of_private:?}");
        assert_eq!(is_there.body, is_not.body, "{of_private:?}");
    }
    for (of_private, of_none) in requests(&private).iter().zip(requests("no-such-room")) {
        let (is_there, is_not) = (
            refused(&eve, of_private).await,
            refused(&eve, &of_none).await,
        );
        assert_eq!(is_there.0, "not-found", "{of_private:?}");
        assert_eq!(is_there, is_not, "{of_private:?}");
    }
    let rooms = eve.rest.get("rooms").await.ok();
    assert!(!rooms.to_string().contains(&private), "{rooms}");
}

/// Code and words of the refusal.
async fn refused(user: &User, frame: &Frame) -> (String, String) {
    let mut client = user.connects().await;
    client.send(frame).await;
    let (error, _) = client.error().await;
    let text = |name: &str| error.header(name).to_owned();
    (text("code"), text("message"))
}
