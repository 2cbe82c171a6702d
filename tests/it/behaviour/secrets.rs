//! What nobody else is to see: credentials and texts stay out of logs, figures and answers, whatever is logged.

use serde_json::{Value, json};

use crate::harness::{
    Frame, Role, Shape, Stack, StompClient, System,
    rest::Rest,
    stomp::Door,
    wait::{SOON, until},
};

const PASSWORD: &str = "canary-password-never-shown";
const WRONG_PASSWORD: &str = "canary-password-of-a-guess";
const TEXT: &str = "canary-text-for-members-only";
const WRONG_TOKEN: &str = "canary-token.of-a.stranger";

/// Everything a client was answered.
#[derive(Default)]
struct Answers(String);

// === impl Answers ===

impl Answers {
    /// Signs in, or fails to.
    async fn connect(&mut self, http: &str, door: Door, header: (&str, &str)) {
        let mut client = match StompClient::knock(http, door).await {
            Ok(client) => client,
            Err(status) => return self.0.push_str(&status.to_string()),
        };
        let frame = Frame::new("CONNECT")
            .with("accept-version", "1.2")
            .with("login", "canary-login")
            .with(header.0, header.1);
        client.send(&frame).await;
        let answer = client.frame("an answer", |_| true).await;
        self.0.push_str(&format!("{answer:?}\n"));
    }

    async fn post(&mut self, rest: &Rest, path: &str, body: Value) -> Value {
        let answer = rest.post(path, body).await;
        let refused = !answer.status.is_success();
        if refused {
            self.0.push_str(&format!("{answer:?}\n"));
        }
        answer.body
    }
}

fn text(body: &Value, field: &str) -> String {
    let text = body[field].as_str();
    text.unwrap_or_else(|| panic!("no {field} in {body}"))
        .to_owned()
}

// req: 54
#[tokio::test]
async fn no_credential_and_no_text_is_logged_or_echoed_however_much_is_logged() {
    let wordy = [("ROOMLOG_LOG", "trace")];
    let mut system = System::start_with(Shape::single(Stack::Embedded), &wordy).await;
    let http = system.http(0);
    let nobody = Rest::new(&http, None);
    let mut answers = Answers::default();

    let account = json!({"login": "canary@example.org", "password": PASSWORD, "name": "Ada"});
    let entrance = answers.post(&nobody, "auth/signup", account).await;
    let guess = json!({"login": "canary@example.org", "password": WRONG_PASSWORD});
    answers.post(&nobody, "auth/login", guess).await;
    let (access, refresh) = (
        text(&entrance, "access_token"),
        text(&entrance, "refresh_token"),
    );
    let bearer = Rest::new(&http, Some(&access));
    let ticket = text(
        &answers.post(&bearer, "ws-tickets", json!({})).await,
        "ticket",
    );
    let renewed = answers
        .post(&nobody, "auth/refresh", json!({ "refresh_token": refresh }))
        .await;
    for token in [&refresh[..refresh.len() - 1], WRONG_TOKEN] {
        let wish = json!({ "refresh_token": token });
        answers.post(&nobody, "auth/refresh", wish).await;
    }
    answers
        .post(&Rest::new(&http, Some(WRONG_TOKEN)), "rooms", json!({}))
        .await;

    let by_ticket = Door {
        query: Some(format!("ticket={ticket}")),
        ..Door::default()
    };
    let at_the_door = |token: &str| Door {
        token: Some(token.to_owned()),
        ..Door::default()
    };
    let none = ("host", "roomlog");
    for door in [
        by_ticket.clone(),
        by_ticket,
        at_the_door(&access),
        at_the_door(WRONG_TOKEN),
    ] {
        answers.connect(&http, door, none).await;
    }
    for token in [access.as_str(), WRONG_TOKEN] {
        let authorization = format!("Bearer {token}");
        let headers = [
            ("Authorization", authorization.as_str()),
            ("passcode", token),
        ];
        for header in headers {
            answers.connect(&http, Door::default(), header).await;
        }
    }

    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    client.request(Frame::send(&room, TEXT)).await;
    client.message(&room).await;
    let renewal = Frame::new("SEND")
        .with("destination", "/app/auth")
        .with("Authorization", format!("Bearer {}", alice.token));
    client.request(renewal).await;
    until("the message to be stored", SOON, async || {
        let rows = system.rows("events").await;
        let of_room = rows.iter().filter(|row| format!("{row:?}").contains(&room));
        (of_room.count() > 1).then_some(())
    })
    .await;

    let figures = system.admin(Role::Gateway, 0).get("/metrics").await.ok();
    let process = system.process(Role::Gateway, 0);
    let logged = process.errors();
    for expected in ["a sign-in was refused", "DEBUG"] {
        assert!(
            logged.contains(expected),
            "the log is not what it should be"
        );
    }
    let (new_access, new_refresh) = (
        text(&renewed, "access_token"),
        text(&renewed, "refresh_token"),
    );
    // A token's last part is what makes it good; it must not come apart either.
    let last_part = |token: &str| token.rsplit('.').next().expect("a part").to_owned();
    let mut secrets: Vec<String> = [PASSWORD, WRONG_PASSWORD, TEXT, WRONG_TOKEN]
        .map(String::from)
        .to_vec();
    for token in [&access, &refresh, &new_access, &new_refresh, &alice.token] {
        secrets.push(last_part(token));
    }
    secrets.push(ticket);
    let shown = [
        ("the log", logged),
        ("the output", process.output()),
        ("the figures", figures.to_string()),
        ("an answer", answers.0),
    ];
    for secret in &secrets {
        for (place, text) in &shown {
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert_eq!(line, None, "{place} shows {secret}");
        }
    }
    // Figures are counted, not named.
    for name in [&alice.id, &room] {
        assert!(!shown[2].1.contains(name.as_str()), "{name} is a label");
    }
}
