//! A person who uses a system: signs in, makes and joins rooms, connects, posts.

use std::sync::atomic::{AtomicUsize, Ordering};

use jsonwebtoken::{EncodingKey, Header};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{
    rest::{Answer, Rest},
    stomp::{Frame, StompClient},
    wait::{SOON, a_moment, within},
};

/// Signs the tokens of every system under test.
pub(crate) const SECRET: &str = "the end-to-end tests sign with this secret";
/// Outlives every test.
const TOKEN_SECONDS: i64 = 3600;

/// What a sender is told that is to come back later: while its partition has no owner, a room is not opened either.
const COME_BACK: [&str; 2] = ["log-unavailable", "overloaded"];

/// Somebody with a valid token, at one gateway.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) token: String,
    /// The gateway's address, as `http://host:port`.
    pub(crate) http: String,
    pub(crate) rest: Rest,
}

/// A room's id.
pub(crate) type Room = String;

// === impl User ===

impl User {
    /// A user whose id begins with `name` and is nobody else's.
    pub(crate) fn new(name: &str, http: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let id = format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let token = token(&id, TOKEN_SECONDS);
        let rest = Rest::new(http, Some(&token));
        Self {
            id,
            token,
            http: http.into(),
            rest,
        }
    }

    /// The same user at another gateway.
    pub(crate) fn at(&self, http: &str) -> Self {
        Self {
            rest: Rest::new(http, Some(&self.token)),
            http: http.into(),
            ..self.clone()
        }
    }

    /// The same user with the global role that may do everything.
    pub(crate) fn into_admin(self) -> Self {
        let claims = json!({
            "sub": self.id, "exp": now_s() + TOKEN_SECONDS, "iss": "roomlog", "aud": "roomlog", "role": "admin",
        });
        let token = signed(&claims, SECRET);
        Self {
            rest: Rest::new(&self.http, Some(&token)),
            token,
            ..self
        }
    }

    /// A new public room of this user's.
    pub(crate) async fn opens_room(&self) -> Room {
        self.creates_room(json!({"name": "A room", "kind": "group", "public": true}))
            .await
    }

    /// A new room nobody finds.
    pub(crate) async fn opens_private_room(&self) -> Room {
        self.creates_room(json!({"name": "A private room", "kind": "group", "public": false}))
            .await
    }

    async fn creates_room(&self, wish: Value) -> Room {
        let busy = [StatusCode::SERVICE_UNAVAILABLE];
        let made = self.insists("rooms", wish, &busy).await;
        made["room"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{made}"))
            .to_owned()
    }

    pub(crate) async fn joins(&self, room: &str) {
        // Once more is no harm, and shows that it has happened by now.
        let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::ACCEPTED];
        let path = format!("rooms/{room}/join");
        self.insists(&path, json!({}), &busy).await;
    }

    /// Asks until it is done, as any client does that is told to come back later: so says a server that others keep busy.
    pub(crate) async fn insists(&self, path: &str, wish: Value, busy: &[StatusCode]) -> Value {
        within("a request to be done", SOON, async {
            loop {
                let answer = self.rest.post(path, wish.clone()).await;
                if !busy.contains(&answer.status) {
                    return answer.ok();
                }
                a_moment().await;
            }
        })
        .await
    }

    /// Posts a message by REST under an id, which is also its text.
    pub(crate) async fn posts(&self, room: &str, id: &str) -> Answer {
        let path = format!("rooms/{room}/messages");
        let (body, key) = (Some(json!({ "text": id })), [("idempotency-key", id)]);
        self.rest.ask(Method::POST, &path, body, &key).await
    }

    /// A signed-in STOMP connection.
    pub(crate) async fn connects(&self) -> StompClient {
        let connected = within(
            "CONNECTED",
            SOON,
            StompClient::try_connect(&self.http, &self.token),
        )
        .await;
        connected.unwrap_or_else(|error| panic!("{} is refused: {error:?}", self.id))
    }

    /// A connection that is subscribed to the room under its id; also the room's head at that moment.
    pub(crate) async fn watches(&self, room: &str) -> (StompClient, u64) {
        let mut client = self.connects().await;
        let receipt = client
            .request(Frame::subscribe(room, &format!("/topic/rooms/{room}")))
            .await;
        let head = receipt.number("head");
        (client, head)
    }

    /// Sends a frame until there is a RECEIPT, each time on a connection of its own, as any client does that is told to
    /// come back later; the connection on which it was taken.
    pub(crate) async fn gets_through(&self, frame: Frame) -> StompClient {
        let frame = frame.with("receipt", "through");
        within("a receipt", SOON, async {
            loop {
                let mut client = self.connects().await;
                client.send(&frame).await;
                let answers = ["RECEIPT", "ERROR"];
                let answer = client.frame("a receipt or a refusal", |frame| {
                    answers.contains(&&*frame.command)
                });
                let answer = answer.await;
                if answer.command == "RECEIPT" {
                    return client;
                }
                let code = answer.header("code");
                assert!(COME_BACK.contains(&code), "{answer:?}");
                a_moment().await;
            }
        })
        .await
    }

    /// The newest messages by REST.
    pub(crate) async fn reads(&self, room: &str, query: &str) -> Value {
        self.rest
            .get(&format!("rooms/{room}/messages?{query}"))
            .await
            .ok()
    }
}

/// A token of any user, valid for so many seconds (or expired since).
pub(crate) fn token(user: &str, seconds: i64) -> String {
    signed(
        &json!({"sub": user, "exp": now_s() + seconds, "iss": "roomlog", "aud": "roomlog"}),
        SECRET,
    )
}

/// Any claims, signed with any secret.
pub(crate) fn signed(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("claims can be signed")
}

/// Seconds since the Unix epoch.
pub(crate) fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("before the end of time")
}
