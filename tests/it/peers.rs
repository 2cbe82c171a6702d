//! Other people's clients, unchanged: stomp.py, @stomp/stompjs, a Python consumer of the log, schemathesis and a browser.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Frame, Shape, Stack, System, process::Program, tools, user::token};

/// Interpreters start slowly on two busy cores, and the heart-beats take their time.
const PEER_LIMIT: Duration = Duration::from_secs(90);
/// Schemathesis asks a thousand times and more.
const SCHEMATHESIS_LIMIT: Duration = Duration::from_secs(840);
/// Random requests to each operation beside those that go through the document's own bounds, where
/// `ROOMLOG_TEST_API_EXAMPLES` names no number.
const API_EXAMPLES: &str = "4";
/// What would end what the others need: the room, a membership in it, the message, and every sign-in of the user.
const ENDINGS: [&str; 4] = ["deleteRoom", "leaveRoom", "deleteMessage", "logOut"];
/// What must hold of every answer.
const API_CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_schema_conformance,response_headers_conformance";

fn peer(
    name: &str,
    interpreter: std::path::PathBuf,
    script: &str,
    arguments: Vec<String>,
) -> Program {
    let script = tools::in_repository(&format!("tests/peers/{script}"));
    Program {
        name: name.into(),
        path: interpreter,
        arguments: [script.display().to_string()]
            .into_iter()
            .chain(arguments)
            .collect(),
        variables: vec![(
            "NODE_PATH".into(),
            tools::path("node/node_modules").display().to_string(),
        )],
        folder: tools::scratch_folder(name),
    }
}

/// Address, two users' tokens and a room both are in: what a chat client needs.
async fn a_conversation(system: &System) -> Vec<String> {
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    vec![
        system.http(0),
        alice.token,
        bob.token,
        token("expired", -60),
        room,
    ]
}

#[tokio::test]
async fn stomp_py_chats() {
    let system = System::shared().await;
    let arguments = a_conversation(system).await;
    peer(
        "stomp-py",
        tools::path("python/bin/python"),
        "stomp_py.py",
        arguments,
    )
    .run(PEER_LIMIT)
    .await;
}

#[tokio::test]
async fn stompjs_chats() {
    let system = System::shared().await;
    let arguments = a_conversation(system).await;
    peer("stompjs", "node".into(), "stompjs.cjs", arguments)
        .run(PEER_LIMIT)
        .await;
}

#[tokio::test]
async fn a_python_consumer_decodes_the_topic_with_the_schemas_alone() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = alice.connects().await;
    let texts = ["plain", "ünï\u{1f600}", "line\nbreak"];
    for text in texts {
        client
            .request(Frame::send(&room, text).with("x-own", "kept"))
            .await;
    }
    let schemas = tools::in_repository("schemas").display().to_string();
    let mut arguments = vec![system.kafka.clone(), schemas, room, alice.id];
    arguments.extend(texts.map(String::from));
    peer(
        "decoder",
        tools::path("python/bin/python"),
        "decode_topic.py",
        arguments,
    )
    .run(PEER_LIMIT)
    .await;
}

/// Within a room that is there, and from outside of it.
#[tokio::test]
async fn schemathesis_finds_no_fault_and_no_undocumented_answer() {
    let system = System::shared().await;
    let (alice, bob) = (system.user("alice"), system.user("bob"));
    let room = alice.opens_room().await;
    bob.joins(&room).await;
    let message = alice
        .rest
        .post(&format!("rooms/{room}/messages"), json!({"text": "first"}))
        .await
        .ok();
    let found = format!(
        "[parameters]\n\"path.id\" = \"{room}\"\n\"path.seq\" = {}\n\"path.user\" = \"{}\"\n",
        message["seq"], bob.id
    );
    let excluded = ENDINGS.map(|name| format!("--exclude-operation-id={name}"));
    schemathesis(&system.http(0), &alice.token, &found, &excluded).await;

    let only = ENDINGS.map(|name| format!("--include-operation-id={name}"));
    let carol = system.user("carol");
    schemathesis(&system.http(0), &carol.token, "", &only).await;
}

/// Runs it with a seed, so that it asks the same each time.
async fn schemathesis(http: &str, token: &str, settings: &str, operations: &[String]) {
    let folder = tools::scratch_folder("schemathesis");
    let file = folder.join("schemathesis.toml");
    std::fs::write(&file, settings).expect("a file in the scratch folder");
    let examples = std::env::var("ROOMLOG_TEST_API_EXAMPLES");
    let examples = examples.unwrap_or_else(|_| API_EXAMPLES.to_owned());
    let arguments = [
        format!("--config-file={}", file.display()),
        "run".to_owned(),
        format!("{http}/api/openapi.json"),
        format!("--header=Authorization: Bearer {token}"),
        format!("--checks={API_CHECKS}"),
        "--phases=coverage,fuzzing".to_owned(),
        format!("--max-examples={examples}"),
        "--seed=1".to_owned(),
        "--continue-on-failure".to_owned(),
        "--no-color".to_owned(),
    ];
    let program = Program {
        name: "schemathesis".into(),
        path: tools::path("python/bin/schemathesis"),
        arguments: arguments
            .into_iter()
            .chain(operations.iter().cloned())
            .collect(),
        variables: Vec::new(),
        folder,
    };
    program.run(SCHEMATHESIS_LIMIT).await;
}

#[tokio::test]
async fn a_browser_shows_two_people_chatting_on_the_first_page() {
    // The page is at home in the development system's demo room.
    let system = System::start(Shape::single(Stack::Embedded)).await;
    let browser = tools::on_path("chromium").display().to_string();
    peer(
        "browser",
        "node".into(),
        "browser.cjs",
        vec![system.http(0), browser],
    )
    .run(PEER_LIMIT)
    .await;
}
