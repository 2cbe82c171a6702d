//! No accounts at all: an outside identity provider says who is who, by a key set that gateways fetch.

use axum::{Json, Router, routing::get};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::OnceCell};

use crate::harness::{
    Frame, StompClient, System,
    rest::Rest,
    system::{Shape, Stack},
    user::{self, User},
    wait::{SOON, until},
};

/// The key pair of RFC 8037, appendix A, and one the provider does not know.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const OTHER_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbOrlTN7D2uJ2kchW34aEKOAjYtTPxFM
-----END PRIVATE KEY-----
";
const ISSUER: &str = "https://id.example";

/// A system that trusts the provider, which is this test.
async fn trusting() -> &'static System {
    static TRUSTING: OnceCell<System> = OnceCell::const_new();
    TRUSTING
        .get_or_init(|| trusting_in(Shape::single(Stack::chosen())))
        .await
}

/// A system of this shape that does so.
pub(crate) async fn trusting_in(shape: Shape) -> System {
    let url = serve().await;
    let settings = [
        ("ROOMLOG_JWT_SECRET", ""),
        ("ROOMLOG_JWT_JWKS_URL", url.as_str()),
        ("ROOMLOG_JWT_ISSUER", ISSUER),
        ("ROOMLOG_JWT_AUDIENCE", "chat"),
    ];
    System::start_with(shape, &settings).await
}

/// Serves the key set, on a thread of its own: the tests share it and each has a runtime of its own.
async fn serve() -> String {
    let key = json!({
        "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": "first", "x": PUBLIC,
    });
    let set = json!({ "keys": [key] });
    let (told, address) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("an address");
            told.send(address).expect("somebody waits");
            let routes = Router::new().route("/keys", get(move || async move { Json(set) }));
            axum::serve(listener, routes).await
        })
    });
    format!("http://{}/keys", address.await.expect("an address"))
}

fn claims(user: &str) -> Value {
    json!({"sub": user, "exp": user::now_s() + 3_600, "iss": ISSUER, "aud": "chat", "name": "Zoë of the provider"})
}

fn signed(claims: &Value, private: &str, kid: &str) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(kid.to_owned());
    let key = EncodingKey::from_ed_pem(private.as_bytes()).expect("a key");
    encode(&header, claims, &key).expect("a token")
}

/// Somebody the provider vouches for, in this role.
pub(crate) fn vouched(system: &System, id: &str, role: Option<&str>) -> User {
    let mut claims = claims(id);
    if let Some(role) = role {
        claims["role"] = role.into();
    }
    let token = signed(&claims, PRIVATE, "first");
    let http = system.http(0);
    User {
        id: id.into(),
        rest: Rest::new(&http, Some(&token)),
        token,
        http,
    }
}

#[tokio::test]
async fn a_user_of_the_provider_is_there_from_first_sight() {
    let system = trusting().await;
    let (zoe, yan) = (vouched(system, "zoe", None), vouched(system, "yan", None));
    let absent = yan.rest.get("users/zoe").await;
    assert_eq!(absent.refusal(), (404, "not-found"));
    let me = zoe.rest.get("me").await.ok();
    assert_eq!(
        (&me["user"]["id"], &me["role"]),
        (&json!("zoe"), &json!("user"))
    );
    let shown = until("zoe to be there", SOON, async || {
        let answer = yan.rest.get("users/zoe").await;
        answer.status.is_success().then_some(answer.body)
    })
    .await;
    assert_eq!(shown["user"]["name"], "Zoë of the provider");
    let room = zoe.opens_room().await;
    yan.joins(&room).await;
    let (mut client, _) = yan.watches(&room).await;
    zoe.connects()
        .await
        .request(Frame::send(&room, "hello"))
        .await;
    let body = client.message(&room).await.json();
    assert_eq!(
        body["sender"],
        json!({"id": "zoe", "name": "Zoë of the provider", "avatar": null})
    );
}

#[tokio::test]
async fn what_the_provider_did_not_sign_is_refused() {
    let system = trusting().await;
    let with = |field: &str, value: Value| {
        let mut claims = claims("mallory");
        claims[field] = value;
        claims
    };
    let bad = [
        signed(&claims("mallory"), OTHER_PRIVATE, "first"),
        signed(&claims("mallory"), PRIVATE, "unknown"),
        signed(&with("iss", json!("roomlog")), PRIVATE, "first"),
        signed(&with("aud", json!("roomlog")), PRIVATE, "first"),
        signed(&with("exp", json!(user::now_s() - 1)), PRIVATE, "first"),
        // The public key is no secret, so it must not be taken for one.
        user::signed(&claims("mallory"), PUBLIC),
    ];
    for token in bad {
        let answer = Rest::new(&system.http(0), Some(&token)).get("me").await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
}

#[tokio::test]
async fn nobody_signs_up_or_in_here() {
    let system = trusting().await;
    let nobody = Rest::new(&system.http(0), None);
    let wish = json!({"login": "somebody", "password": "correct horse"});
    for path in ["auth/signup", "auth/login"] {
        let answer = nobody.post(path, wish.clone()).await;
        assert_eq!(answer.refusal(), (404, "accounts-off"), "{path}");
    }
    let wish = json!({"refresh_token": "x"});
    let answer = nobody.post("auth/refresh", wish).await;
    assert_eq!(answer.refusal(), (404, "accounts-off"));
    let guest = nobody.post("auth/guest", json!({"name": "Guest"})).await;
    assert_eq!(guest.refusal(), (404, "accounts-off"));
}

#[tokio::test]
async fn a_ticket_for_a_user_of_the_provider_is_good_once_and_is_kept_as_a_hash() {
    let system = trusting().await;
    let zoe = vouched(system, "ticketed", None);
    let issued = zoe.rest.post("ws-tickets", json!({})).await.ok();
    let ticket = issued["ticket"].as_str().expect("a ticket");
    let rows = format!("{:?}", system.rows("sessions").await);
    assert!(rows.contains("ticket:") && !rows.contains(ticket), "{rows}");
    let first = StompClient::by_ticket(&zoe.http, ticket).await;
    assert_eq!(first.expect("CONNECTED").header("user-name"), zoe.id);
    for spent in [ticket, "", "0123"] {
        let refused = StompClient::by_ticket(&zoe.http, spent).await;
        let error = refused.expect_err("an ERROR");
        assert_eq!(error.header("code"), "unauthenticated", "{spent}");
    }
}

#[tokio::test]
async fn the_role_is_what_the_token_says() {
    let system = trusting().await;
    let owner = vouched(system, "owner", None);
    let room = owner.opens_private_room().await;
    let page = format!("rooms/{room}/messages");
    for role in [None, Some("user"), Some("Admin"), Some("root")] {
        let user = vouched(system, "curious", role);
        assert_eq!(user.rest.get("me").await.ok()["role"], "user", "{role:?}");
        assert_eq!(
            user.rest.get(&page).await.refusal(),
            (404, "not-found"),
            "{role:?}"
        );
    }
    let admin = vouched(system, "warden", Some("admin"));
    assert_eq!(admin.rest.get("me").await.ok()["role"], "admin");
    admin.rest.get(&page).await.ok();
}
