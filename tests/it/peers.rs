//! Other people's clients, unchanged: stomp.py, @stomp/stompjs, a Python consumer of the log, and a browser.

use std::time::Duration;

use crate::harness::{Frame, Shape, Stack, System, process::Program, tools, user::token};

/// Interpreters start slowly on two busy cores, and the heart-beats take their time.
const PEER_LIMIT: Duration = Duration::from_secs(90);

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
