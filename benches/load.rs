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

#[path = "load/backlog.rs"]
mod backlog;
#[path = "load/control.rs"]
mod control;
mod figures;
#[path = "../tests/it/harness/mod.rs"]
#[allow(dead_code, unused_imports)]
mod harness;
#[path = "load/page.rs"]
mod page;
#[path = "load/process.rs"]
mod process;
#[path = "load/run.rs"]
mod run;
#[path = "load/traffic.rs"]
mod traffic;
#[path = "load/wire.rs"]
mod wire;

use harness::Stack;

/// Marks the process that is the control.
const CONTROL: &str = "--control";

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
        rate: 200.0,
        seconds: 5.0,
        burst: 50,
    },
];

/// Names the measurement of the persister, which needs the real stack.
const BACKLOG: &str = "backlog";

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
    let named: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let chosen = |name: &str| named.is_empty() || named.iter().any(|other| *other == name);
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // The page holds figures of the real stack only.
    let is_real = given("--real") || given("--write");
    let stack = match is_real {
        true => Stack::Real { brokers: 1 },
        false => Stack::Embedded,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut reports = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| chosen(scenario.name)) {
        let report = runtime.block_on(run::measure(scenario, stack));
        println!("{report}");
        reports.push(report);
    }
    let mut caught_up = None;
    if is_real && chosen(BACKLOG) {
        let report = runtime.block_on(backlog::measure());
        println!("{report}");
        caught_up = Some(report);
    }
    if given("--write") {
        page::write(&reports, caught_up.as_ref());
    }
}
