//! The program as a shell user meets it: results on standard output, refusals by exit code.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Frame, System, User, process::Program, wait::until};

/// A debug build that starts on two busy cores, and a log to be read.
pub(crate) const TOOL_LIMIT: Duration = Duration::from_secs(60);

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
async fn a_wrong_setting_names_key_value_and_expectation_and_exits_64() {
    let system = System::shared().await;
    for (key, value) in [
        ("ROOMLOG_LISTEN", "nowhere"),
        ("ROOMLOG_HEART_BEAT", "soon"),
        ("ROOMLOG_NO_SUCH_KEY", "1"),
    ] {
        let mut gateway = system.tool(&["gateway"]);
        gateway.variables.retain(|(name, _)| name != key);
        gateway.variables.push((key.into(), value.into()));
        let errors = gateway.folder.join("gateway.stderr.log");
        let (code, _) = gateway.run_to_exit(TOOL_LIMIT).await;
        let said = std::fs::read_to_string(errors).expect("its standard error");
        assert_eq!(code, Some(64), "{key}: {said}");
        assert!(said.contains(key), "{said}");
    }
}
