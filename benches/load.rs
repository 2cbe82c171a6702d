//! The load tool: `cargo bench --bench load -- [scenario …] [--real] [--write]`.
//!
//! It starts a system of its own, each service a process, sends open-loop traffic, checks loss, repeats and order
//! while measuring, and prints each figure beside a control: a process that writes the same bytes to as many
//! sockets and does nothing else, in the same run on the same machine.

#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "a tool, not a service"
)]

#[path = "load/control.rs"]
mod control;
#[path = "../tests/it/harness/mod.rs"]
#[allow(dead_code, unused_imports)]
mod harness;
#[path = "load/page.rs"]
mod page;
#[path = "load/process.rs"]
mod process;
#[path = "load/traffic.rs"]
mod traffic;
#[path = "load/wire.rs"]
mod wire;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Command, Stdio},
};

use harness::{Role, Shape, Stack, System};
use traffic::{Plan, Seen, percentile_ms};

/// Marks the process that is the control.
const CONTROL: &str = "--control";

/// Bytes of one MESSAGE on the wire for a text of 200 bytes, near enough for the control.
const FRAME_BYTES_ABOVE_TEXT: usize = 420;

/// One shape of traffic.
struct Scenario {
    name: &'static str,
    rooms: usize,
    subscribers: usize,
    rate: f64,
    seconds: f64,
    burst: u64,
}

/// The shapes measured, named for what they press on.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "hot-room",
        rooms: 1,
        subscribers: 1_000,
        rate: 20.0,
        seconds: 10.0,
        burst: 1,
    },
    Scenario {
        name: "hot-room-burst",
        rooms: 1,
        subscribers: 1_000,
        rate: 40.0,
        seconds: 10.0,
        burst: 10,
    },
    Scenario {
        name: "many-rooms",
        rooms: 200,
        subscribers: 5,
        rate: 1_000.0,
        seconds: 10.0,
        burst: 1,
    },
    Scenario {
        name: "saturated",
        rooms: 1,
        subscribers: 500,
        rate: 1_000.0,
        seconds: 5.0,
        burst: 50,
    },
];

/// Bytes of a message's text in every scenario.
const TEXT_BYTES: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .first()
        .is_some_and(|argument| argument == CONTROL)
    {
        let number = |index: usize| arguments[index].parse::<f64>().unwrap();
        control::serve(
            number(1) as usize,
            number(2) as u64,
            number(3) as usize,
            number(4),
        )
        .unwrap();
        return;
    }
    let chosen = |scenario: &&Scenario| {
        let named: Vec<_> = arguments
            .iter()
            .filter(|argument| !argument.starts_with("--"))
            .collect();
        named.is_empty() || named.iter().any(|name| *name == scenario.name)
    };
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // The page holds figures of the real stack only.
    let stack = if given("--real") || given("--write") {
        Stack::Real { brokers: 1 }
    } else {
        Stack::Embedded
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut reports = Vec::new();
    for scenario in SCENARIOS.iter().filter(chosen) {
        let report = runtime.block_on(measure(scenario, stack));
        println!("{report}");
        reports.push(report);
    }
    if given("--write") {
        page::write(&reports).unwrap();
    }
}

/// Runs one scenario against a fresh system, then its control.
async fn measure(scenario: &Scenario, stack: Stack) -> serde_json::Value {
    let mut system = System::start(Shape::single(stack)).await;
    let owner = system.user("load");
    let mut rooms = Vec::new();
    for _ in 0..scenario.rooms {
        rooms.push(owner.opens_room().await);
    }
    let members = join_all(&system, &rooms, scenario.subscribers).await;
    let plan = Plan {
        rooms,
        subscribers: scenario.subscribers,
        rate: scenario.rate,
        messages: (scenario.rate * scenario.seconds) as u64,
        burst: scenario.burst,
        text_bytes: TEXT_BYTES,
    };
    let gateways: Vec<String> = system
        .gateways()
        .iter()
        .map(|url| url.replace("http://", ""))
        .collect();
    let roles: &[Role] = match stack {
        Stack::Embedded => &[Role::Gateway],
        Stack::Real { .. } => &[Role::Gateway, Role::Fanout, Role::Persister],
    };
    let pids: Vec<u32> = roles
        .iter()
        .map(|role| system.process(*role, 0).id())
        .collect();
    let before: Vec<f64> = pids.iter().map(|pid| process::cpu_seconds(*pid)).collect();
    let listener = |user: usize| members[user].token.clone();
    let seen = traffic::run(&gateways, &plan, &owner.token, listener)
        .await
        .unwrap();
    let spent: Vec<f64> = pids
        .iter()
        .zip(before)
        .map(|(pid, before)| process::cpu_seconds(*pid) - before)
        .collect();
    let control = control_cpu_seconds(scenario).await;
    report(
        scenario,
        stack,
        &seen,
        &spent,
        control,
        process::resident_bytes(pids[0]),
    )
}

/// Makes the members: every room has as many of its own.
async fn join_all(system: &System, rooms: &[String], subscribers: usize) -> Vec<harness::User> {
    let mut members = Vec::with_capacity(rooms.len() * subscribers);
    for room in rooms {
        let joining: Vec<_> = (0..subscribers).map(|_| system.user("member")).collect();
        for chunk in joining.chunks(JOINS_AT_ONCE) {
            futures_util::future::join_all(chunk.iter().map(|user| user.joins(room))).await;
        }
        members.extend(joining);
    }
    members
}

/// Joins in flight while a scenario is prepared.
const JOINS_AT_ONCE: usize = 32;

/// CPU seconds of the control for the same sockets, messages and rate.
async fn control_cpu_seconds(scenario: &Scenario) -> f64 {
    let sockets = scenario.rooms * scenario.subscribers;
    let writes = scenario.rate * scenario.seconds / scenario.rooms as f64;
    let bytes = TEXT_BYTES + FRAME_BYTES_ABOVE_TEXT;
    let rate = scenario.rate / scenario.rooms as f64;
    let arguments = [
        sockets.to_string(),
        writes.to_string(),
        bytes.to_string(),
        rate.to_string(),
    ];
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg(CONTROL)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut address)
        .unwrap();
    let expected = writes as usize * bytes;
    let readers: Vec<_> = (0..sockets)
        .map(|_| {
            let socket = std::net::TcpStream::connect(address.trim()).unwrap();
            std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(move || {
                    std::io::copy(&mut socket.take(expected as u64), &mut std::io::sink())
                })
                .unwrap()
        })
        .collect();
    tokio::task::spawn_blocking(move || readers.into_iter().for_each(|reader| drop(reader.join())))
        .await
        .unwrap();
    let spent = process::cpu_seconds(child.id());
    drop(child.stdin.take());
    child.wait().unwrap();
    spent
}

fn report(
    scenario: &Scenario,
    stack: Stack,
    seen: &Seen,
    spent: &[f64],
    control: f64,
    resident: u64,
) -> serde_json::Value {
    let millions = seen.delivered as f64 / 1e6;
    serde_json::json!({
        "scenario": scenario.name,
        "stack": format!("{stack:?}"),
        "rooms": scenario.rooms,
        "subscribers": scenario.subscribers,
        "rate": scenario.rate,
        "exact": seen.is_exact(),
        "delivered": seen.delivered,
        "lost": seen.lost,
        "repeated": seen.repeated,
        "out_of_order": seen.out_of_order,
        "latency_ms": { "p50": percentile_ms(&seen.latencies_us, 0.5), "p99": percentile_ms(&seen.latencies_us, 0.99), "max": percentile_ms(&seen.latencies_us, 1.0) },
        "receipt_ms": { "p50": percentile_ms(&seen.receipts_us, 0.5), "p99": percentile_ms(&seen.receipts_us, 0.99) },
        "cpu_s_per_million": spent.iter().map(|seconds| seconds / millions).collect::<Vec<_>>(),
        "control_cpu_s_per_million": control / millions,
        "resident_bytes": resident,
        "commit": commit(),
    })
}

/// The commit measured.
fn commit() -> String {
    let git = Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output();
    git.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        .unwrap_or_default()
}
