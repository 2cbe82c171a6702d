//! Files: uploaded and downloaded by presigned requests, for members only, exactly as granted.

use reqwest::{Client, Method, header, redirect::Policy};
use serde_json::{Value, json};

use crate::harness::{
    Frame, System,
    rest::{Answer, Rest},
    user::User,
};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and a few more bytes of a picture";

async fn wishes(user: &User, room: &str, name: &str, media_type: &str, size: usize) -> Answer {
    let wish = json!({"name": name, "type": media_type, "size": size});
    let path = format!("rooms/{room}/attachments");
    user.rest.post(&path, wish).await
}

/// Puts bytes as a grant says, but for what a test says otherwise.
async fn puts(upload: &Value, media_type: Option<&str>, bytes: &[u8]) -> u16 {
    let url = upload["url"].as_str().expect("an address");
    let granted = upload["headers"]["content-type"].as_str().expect("a type");
    let request = client()
        .put(url)
        .header(header::CONTENT_TYPE, media_type.unwrap_or(granted))
        .header(header::IF_NONE_MATCH, "*")
        .body(bytes.to_vec());
    request.send().await.expect("an answer").status().as_u16()
}

fn client() -> Client {
    let client = Client::builder().no_proxy().redirect(Policy::none());
    client.build().expect("a client")
}

/// A PNG in the room, uploaded.
pub(super) async fn uploads(user: &User, room: &str) -> Value {
    let granted = wishes(user, room, "a b.png", "image/png", PNG.len())
        .await
        .ok();
    assert_eq!(puts(&granted["upload"], None, PNG).await, 200);
    granted["attachment"].clone()
}

pub(super) async fn posts(user: &User, room: &str, ids: &[&Value]) -> Answer {
    let files: Vec<Value> = ids.iter().map(|id| json!({"id": id, "size": 1})).collect();
    let body = json!({"text": "look", "attachments": files});
    user.rest
        .post(&format!("rooms/{room}/messages"), body)
        .await
}

pub(super) async fn address(user: &User, file: &Value) -> Answer {
    let path = file["url"].as_str().expect("a path");
    let accept = [("accept", "application/json")];
    user.rest.ask(Method::GET, path, None, &accept).await
}

#[tokio::test]
async fn members_share_a_file_and_outsiders_do_not_get_it() {
    let system = System::shared().await;
    let (ada, bob, out) = (system.user("ada"), system.user("bob"), system.user("out"));
    let room = ada.opens_room().await;
    let (mut client, _) = {
        bob.joins(&room).await;
        bob.watches(&room).await
    };
    let file = uploads(&ada, &room).await;
    posts(&ada, &room, &[&file["id"]]).await.ok();
    // What the message says of the file is what was granted, whatever its sender says.
    let shown = client.message(&room).await.json();
    assert_eq!(shown["attachments"], json!([file]));
    assert_eq!(
        (&file["name"], &file["size"]),
        (&json!("a b.png"), &json!(PNG.len()))
    );
    let found = address(&bob, &file).await.ok();
    let url = found["url"].as_str().expect("an address");
    let answer = self::client().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let said = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(said("content-type"), "image/png");
    assert_eq!(
        said("content-disposition"),
        "attachment; filename*=UTF-8''a%20b.png"
    );
    assert_eq!(answer.bytes().await.expect("bytes"), PNG);
    assert_eq!(address(&out, &file).await.refusal(), (403, "not-a-member"));
    let private = ada.opens_private_room().await;
    let hidden = uploads(&ada, &private).await;
    assert_eq!(address(&bob, &hidden).await.refusal(), (404, "not-found"));
    let nobody = Rest::new(&system.http(0), None);
    let path = file["url"].as_str().expect("a path");
    assert_eq!(nobody.get(path).await.refusal(), (401, "unauthenticated"));
    for bad in ["f-0", "..%2f..", "x%20y", &"x".repeat(65)] {
        let answer = ada.rest.get(&format!("attachments/{bad}")).await;
        assert_eq!(answer.refusal(), (404, "not-found"), "{bad}");
    }
    // Without asking for JSON one is led there.
    let led = client_led(&bob, path).await;
    assert!(
        led.starts_with("http") && led.contains("X-Amz-Signature="),
        "{led}"
    );
}

async fn client_led(user: &User, path: &str) -> String {
    let request = client().get(format!("{}{path}", user.http));
    let answer = request
        .bearer_auth(&user.token)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 307);
    answer.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned()
}

#[tokio::test]
async fn the_signature_holds_an_upload_to_its_size_type_and_place() {
    let system = System::shared().await;
    let ada = system.user("ada");
    let room = ada.opens_room().await;
    let granted = wishes(&ada, &room, "a.png", "image/png", PNG.len())
        .await
        .ok();
    let upload = &granted["upload"];
    let longer = [PNG, b"x"].concat();
    assert_eq!(puts(upload, None, &longer).await, 403, "a byte more");
    assert_eq!(puts(upload, None, &PNG[1..]).await, 403, "a byte less");
    assert_eq!(
        puts(upload, Some("text/html"), PNG).await,
        403,
        "another type"
    );
    let url = upload["url"].as_str().expect("an address");
    let id = granted["attachment"]["id"].as_str().expect("an id");
    for (from, to) in [
        (id, "f-other"),
        (room.as_str(), "elsewhere"),
        ("X-Amz-Expires=300", "X-Amz-Expires=3000"),
        ("content-length%3B", ""),
        ("X-Amz-Signature=", "X-Amz-Signature=0"),
    ] {
        assert!(url.contains(from), "{from} in {url}");
        let mut forged = upload.clone();
        forged["url"] = url.replacen(from, to, 1).into();
        assert_eq!(puts(&forged, None, PNG).await, 403, "{from}");
    }
    let read = client().get(url).send().await.expect("an answer");
    assert_eq!(read.status(), 403, "an upload is no download");
    let many_times = client().put(url).header(header::CONTENT_TYPE, "image/png");
    let many_times = many_times.body(PNG).send().await.expect("an answer");
    assert_eq!(many_times.status(), 403, "without the condition");
    assert_eq!(puts(upload, None, PNG).await, 200);
    let again = puts(upload, None, PNG).await;
    assert_eq!(again, 412, "a file that is there stays what it is");
}

#[tokio::test]
async fn what_can_not_be_shared_is_refused() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let room = ada.opens_room().await;
    bob.joins(&room).await;
    for (name, media_type, size, refusal) in [
        ("a.html", "text/html", 10, (400, "bad-request")),
        ("a.svg", "image/svg+xml", 10, (400, "bad-request")),
        ("a.png", "Image/PNG", 10, (400, "bad-request")),
        ("a.png", "image/png; x=y", 10, (400, "bad-request")),
        ("a.png", "image/png", 0, (400, "bad-request")),
        ("", "image/png", 10, (400, "bad-request")),
        ("a\nb", "image/png", 10, (400, "bad-request")),
        ("a.png", "image/png", 26_214_401, (413, "too-large")),
    ] {
        let answer = wishes(&ada, &room, name, media_type, size).await;
        assert_eq!(answer.refusal(), refusal, "{name:?} {media_type} {size}");
    }
    let stranger = system.user("stranger");
    let answer = wishes(&stranger, &room, "a.png", "image/png", 10).await;
    assert_eq!(answer.refusal(), (403, "not-a-member"));
    let bad = (400, "bad-request");
    assert_eq!(
        posts(&ada, &room, &[&json!("f-unknown")]).await.refusal(),
        bad
    );
    let granted = wishes(&ada, &room, "a.png", "image/png", PNG.len())
        .await
        .ok();
    let id = &granted["attachment"]["id"];
    assert_eq!(
        posts(&ada, &room, &[id]).await.refusal(),
        bad,
        "not uploaded yet"
    );
    let page = b"<html><script>alert(1)</script></html>            ";
    let disguised = wishes(&ada, &room, "a.png", "image/png", page.len())
        .await
        .ok();
    assert_eq!(puts(&disguised["upload"], None, page).await, 200);
    let id = &disguised["attachment"]["id"];
    assert_eq!(posts(&ada, &room, &[id]).await.refusal(), bad, "no picture");
    let file = uploads(&ada, &room).await;
    assert_eq!(
        posts(&bob, &room, &[&file["id"]]).await.refusal(),
        bad,
        "another's"
    );
    assert_eq!(
        posts(&ada, &room, &[&file["id"], &file["id"]])
            .await
            .refusal(),
        bad,
        "twice"
    );
    let other = ada.opens_room().await;
    assert_eq!(
        posts(&ada, &other, &[&file["id"]]).await.refusal(),
        bad,
        "another room's"
    );
}

#[tokio::test]
async fn a_file_goes_with_a_message_over_stomp_too() {
    let system = System::shared().await;
    let ada = system.user("ada");
    let room = ada.opens_room().await;
    let file = uploads(&ada, &room).await;
    let (mut client, _) = ada.watches(&room).await;
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
    let send = |id: &Value| {
        let body = json!({"text": "look", "attachments": [{"id": id}]});
        Frame::send(&room, &body.to_string()).with("content-type", "application/json")
    };
    client.request(send(&file["id"])).await;
    assert_eq!(
        client.message(&room).await.json()["attachments"],
        json!([file])
    );
    client.send(&send(&json!("f-unknown"))).await;
    assert_eq!(client.message("errors").await.header("code"), "bad-request");
}

#[tokio::test]
async fn a_profile_image_is_uploaded_and_shown_to_everyone() {
    let system = System::shared().await;
    let (ada, bob) = (system.user("ada"), system.user("bob"));
    let wish = |media_type: &str, size: usize| json!({"type": media_type, "size": size});
    for (media_type, size, refusal) in [
        ("application/pdf", 10, (400, "bad-request")),
        ("image/svg+xml", 10, (400, "bad-request")),
        ("image/png", 2_097_153, (413, "too-large")),
    ] {
        let answer = ada.rest.post("me/avatar", wish(media_type, size)).await;
        assert_eq!(answer.refusal(), refusal, "{media_type}");
    }
    let granted = ada
        .rest
        .post("me/avatar", wish("image/png", PNG.len()))
        .await
        .ok();
    let avatar = &granted["avatar"];
    let alters = async |user: &User, avatar: &Value| {
        let wish = json!({"avatar": avatar});
        user.rest.ask(Method::PATCH, "me", Some(wish), &[]).await
    };
    assert_eq!(
        alters(&ada, avatar).await.refusal(),
        (400, "bad-request"),
        "not there yet"
    );
    assert_eq!(puts(&granted["upload"], None, PNG).await, 200);
    assert_eq!(
        alters(&bob, avatar).await.refusal(),
        (400, "bad-request"),
        "another's"
    );
    let unknown = json!("/api/v1/avatars/f-unknown");
    assert_eq!(alters(&ada, &unknown).await.refusal(), (400, "bad-request"));
    assert_eq!(&alters(&ada, avatar).await.ok()["user"]["avatar"], avatar);
    // A page shows it without a token.
    let url = format!("{}{}", system.http(0), avatar.as_str().expect("a path"));
    let led = client().get(url).send().await.expect("an answer");
    assert_eq!(led.status(), 307);
    let place = led.headers()["location"].to_str().expect("text");
    let shown = client().get(place).send().await.expect("an answer");
    assert_eq!(shown.bytes().await.expect("bytes"), PNG);
    let room = ada.opens_room().await;
    let file = uploads(&ada, &room).await;
    let id = file["id"].as_str().expect("an id");
    let answer = Rest::new(&system.http(0), None)
        .get(&format!("avatars/{id}"))
        .await;
    assert_eq!(
        answer.refusal(),
        (404, "not-found"),
        "a room's file is no profile image"
    );
}
