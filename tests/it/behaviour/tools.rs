//! The program as a shell user meets it: results on standard output, refusals by exit code.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{
    Frame, Role, System, User,
    process::Program,
    socket::Socket,
    tools::{in_repository, on_path, scratch_folder},
    wait::until,
};

/// A debug build that starts on two busy cores, and a log to be read.
pub(crate) const TOOL_LIMIT: Duration = Duration::from_secs(60);

/// The whole system on two busy cores.
const READY_LIMIT: Duration = Duration::from_secs(180);

pub(crate) async fn lines(program: Program) -> Vec<Value> {
    let output = program.run(TOOL_LIMIT).await;
    output
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// A tool that acts as this user at its gateway.
fn acting(system: &System, user: &User, tool: &str, arguments: &[&str]) -> Program {
    let mut all = vec![tool, "--url", &user.http, "--token", &user.token];
    all.extend(arguments);
    system.tool(&all)
}

#[tokio::test]
async fn what_send_sends_is_seen_by_tail_history_trace_and_replay() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (_listener, _head) = alice.watches(&room).await;
    let sent = lines(acting(
        system,
        &alice,
        "send",
        &[&room, "hello", "--id", "by-shell"],
    ))
    .await;
    assert_eq!(sent[0]["id"], "by-shell");
    let seq = &sent[0]["seq"];

    let tailed = lines(acting(
        system,
        &alice,
        "tail",
        &[&room, "--history", "1", "--count", "1"],
    ))
    .await;
    assert_eq!(
        (&tailed[0]["seq"], &tailed[0]["text"]),
        (seq, &"hello".into())
    );

    let history = lines(acting(system, &alice, "history", &[&room])).await;
    assert_eq!((history.len(), &history[0]["seq"]), (1, seq));

    let trace = until(
        "the trace to show the message stored",
        TOOL_LIMIT,
        async || {
            let trace = lines(acting(system, &alice, "trace", &["by-shell"])).await;
            trace[0]["persisted_ms"].is_u64().then(|| trace[0].clone())
        },
    )
    .await;
    let at = |station: &str| {
        trace[station]
            .as_u64()
            .unwrap_or_else(|| panic!("no {station} in {trace}"))
    };
    assert!(
        at("accepted_ms") <= at("acknowledged_ms").min(at("fanned_out_ms")),
        "{trace}"
    );
    assert!(at("fanned_out_ms") <= at("delivered_ms"), "{trace}");
    assert!(at("accepted_ms") <= at("persisted_ms"), "{trace}");

    let replayed = lines(system.at_its_log(&["replay", "--room", &room])).await;
    let last = replayed.last().expect("the room's events");
    assert_eq!((&last["seq"], &last["text"]), (seq, &"hello".into()));
    let dense: Vec<u64> = replayed
        .iter()
        .map(|event| event["seq"].as_u64().expect("a seq"))
        .collect();
    assert_eq!(
        dense,
        (1..=seq.as_u64().expect("a number")).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_token_of_the_tool_signs_in() {
    let system = System::shared().await;
    let mut user = system.user("alice");
    user.token = system
        .tool(&["token", "--user", &user.id])
        .run(TOOL_LIMIT)
        .await
        .trim()
        .to_owned();
    let mut client = user.connects().await;
    assert_eq!(
        client
            .connected
            .clone()
            .expect("just now")
            .header("user-name"),
        user.id
    );
    client
        .request(Frame::subscribe("errors", "/user/queue/errors"))
        .await;
}

#[tokio::test]
async fn every_tool_prints_json_lines_where_it_is_asked_to() {
    let system = System::shared().await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (_listener, _head) = alice.watches(&room).await;
    let admin = system.admin_address(Role::Gateway, 0);
    let as_client: [&[&str]; 4] = [
        &["send", &room, "hello", "--id", "in-json"],
        &["tail", &room, "--history", "1", "--count", "1"],
        &["history", &room],
        &["trace", "in-json"],
    ];
    for arguments in as_client {
        let mut tool = acting(system, &alice, arguments[0], &arguments[1..]);
        tool.arguments.push("--json".into());
        assert_eq!(lines(tool).await.len(), 1, "{arguments:?}");
    }
    let others: [(&[&str], &str); 11] = [
        (&["replay", "--room", &room], "offset"),
        (&["token", "--user", "alice"], "token"),
        (&["topics", "create"], "created"),
        (&["topics", "describe"], "partitions"),
        (&["tables", "create"], "epoch"),
        (&["health", "--admin-listen", &admin], "ready"),
        (&["health", "--live", "--admin-listen", &admin], "live"),
        (&["schema"], "subject"),
        (&["config", "init"], "variable"),
        (&["config", "check"], "usable"),
        (&["config", "show"], "gateway"),
    ];
    for (arguments, field) in others {
        let mut tool = system.at_its_log(arguments);
        // One broker is all there is, on either stack.
        for key in ["ROOMLOG_TOPICS_REPLICATION", "ROOMLOG_TOPICS_MIN_INSYNC"] {
            tool.variables.push((key.into(), "1".into()));
        }
        tool.variables
            .retain(|(name, _)| name != "ROOMLOG_ADMIN_LISTEN");
        tool.arguments.push("--json".into());
        let printed = lines(tool).await;
        assert!(!printed.is_empty(), "{arguments:?}");
        for line in &printed {
            assert!(
                !line[field].is_null(),
                "{arguments:?}: no {field} in {line}"
            );
        }
        let text = printed.iter().map(Value::to_string).collect::<String>();
        assert!(
            !text.contains(crate::harness::user::SECRET),
            "{arguments:?}"
        );
    }
    let openapi = system
        .tool(&["schema", "openapi", "--json"])
        .run(TOOL_LIMIT)
        .await;
    let openapi: Value = serde_json::from_str(&openapi).expect("one document");
    assert_eq!(openapi["openapi"], "3.1.0");
}

#[tokio::test]
async fn what_make_run_starts_gets_ready_and_says_where_to_go() {
    let makefile = in_repository("Makefile").display().to_string();
    let arguments = [
        "-s",
        "-n",
        "-f",
        &makefile,
        "run",
        "ARGS=--listen 127.0.0.1:0",
    ];
    let make = Program {
        name: "make".into(),
        path: on_path("make"),
        arguments: arguments.map(String::from).to_vec(),
        variables: Vec::new(),
        folder: scratch_folder("make"),
    };
    let recipe = make.run(TOOL_LIMIT).await;
    // The build is this test's own; what is left is what the program is started with.
    let last = recipe.lines().last().expect("a recipe");
    let (build, started) = last.split_once(" -- ").expect("the program's arguments");
    assert_eq!(build, "cargo run --locked --bin roomlog");
    let program = Program {
        name: "run".into(),
        path: env!("CARGO_BIN_EXE_roomlog").into(),
        arguments: started.split(' ').map(String::from).collect(),
        variables: Vec::new(),
        folder: scratch_folder("run"),
    };
    let mut dev = program.start();
    let ready = dev.says("READY ", READY_LIMIT).await;
    let ready: Value = serde_json::from_str(&ready["READY ".len()..]).expect("its addresses");
    let http = ready["http"].as_str().expect("where it answers");
    let greeting = format!("Roomlog is ready.  Open {http}/ and chat.");
    dev.says(&greeting, TOOL_LIMIT).await;
    for user in ["ALICE", "BOB"] {
        dev.says(&format!("export {user}=ey"), TOOL_LIMIT).await;
    }
    let page = Socket::asks(http, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert_eq!(page.status(), 200);
}
