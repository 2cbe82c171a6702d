//! One scenario: a fresh system, the same traffic several times, and the control beside each.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::{
    CONTROL, Scenario,
    harness::{Role, Shape, Stack, System, User, process::resident_bytes},
    process,
    traffic::{self, Plan, Seen, percentile_ms},
};

/// Bytes of a message's text in every scenario.
const TEXT_BYTES: usize = 200;

/// Bytes of one MESSAGE on the wire beside its text, near enough for the control.
const FRAME_BYTES_ABOVE_TEXT: usize = 420;

/// Joins in flight while a scenario is prepared.
const JOINS_AT_ONCE: usize = 32;

/// Runs of each scenario; the one of median cost is shown.
const REPEATS: usize = 3;

/// What one run cost.
struct Run {
    seen: Seen,
    /// CPU seconds of each service.
    spent: Vec<f64>,
    /// CPU seconds of the control for the same sockets, messages and rate.
    control: f64,
}

/// Runs one scenario against a fresh system.
pub(crate) async fn measure(scenario: &Scenario, stack: Stack) -> Value {
    let mut system = System::start(Shape::single(stack)).await;
    let owner = system.user("load");
    let mut rooms = Vec::new();
    for _ in 0..scenario.rooms {
        rooms.push(owner.opens_room().await);
    }
    let pids = pids(&mut system, stack);
    let alone = resident_bytes(pids[0]);
    let members = join_all(&system, &rooms, scenario.subscribers).await;
    let plan = Plan {
        rooms,
        subscribers: scenario.subscribers,
        rate: scenario.rate,
        messages: (scenario.rate * scenario.seconds) as u64,
        burst: scenario.burst,
        text_bytes: TEXT_BYTES,
    };
    let gateways = system.gateways();
    let gateways: Vec<String> = gateways
        .iter()
        .map(|url| url.replace("http://", ""))
        .collect();
    let mut at_rest = 0;
    let mut runs = Vec::new();
    for _ in 0..REPEATS {
        let before = spent_by(&pids);
        let listener = |user: usize| members[user].token.clone();
        let note = || {
            if at_rest == 0 {
                at_rest = resident_bytes(pids[0]);
            }
        };
        let seen = traffic::run(&gateways, &plan, &owner.token, listener, note).await;
        let spent = spent_by(&pids).into_iter().zip(before);
        runs.push(Run {
            seen: seen.unwrap(),
            spent: spent.map(|(after, before)| after - before).collect(),
            control: control_cpu_seconds(scenario).await,
        });
    }
    let sockets = (scenario.rooms * scenario.subscribers) as u64;
    report(scenario, runs, at_rest.saturating_sub(alone) / sockets)
}

/// The processes whose CPU time counts: gateway, fanout and persister, or the one of the stand-ins.
fn pids(system: &mut System, stack: Stack) -> Vec<u32> {
    let roles: &[Role] = match stack {
        Stack::Embedded => &[Role::Gateway],
        Stack::Real { .. } => &[Role::Gateway, Role::Fanout, Role::Persister],
    };
    let pid = |role: &Role| system.process(*role, 0).id();
    roles.iter().map(pid).collect()
}

fn spent_by(pids: &[u32]) -> Vec<f64> {
    pids.iter().map(|pid| process::cpu_seconds(*pid)).collect()
}

/// Makes the members: every room has as many of its own.
async fn join_all(system: &System, rooms: &[String], subscribers: usize) -> Vec<User> {
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

/// CPU seconds of the control; what comes in one burst it writes at once.
async fn control_cpu_seconds(scenario: &Scenario) -> f64 {
    let sockets = scenario.rooms * scenario.subscribers;
    let at_once = (scenario.burst as usize / scenario.rooms).max(1);
    let messages = scenario.rate * scenario.seconds / scenario.rooms as f64;
    let writes = (messages / at_once as f64) as usize;
    let bytes = (TEXT_BYTES + FRAME_BYTES_ABOVE_TEXT) * at_once;
    let rate = scenario.rate / (scenario.rooms * at_once) as f64;
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
    let readers: Vec<_> = (0..sockets)
        .map(|_| {
            let socket = std::net::TcpStream::connect(address.trim()).unwrap();
            let mut expected = std::io::Read::take(socket, (writes * bytes) as u64);
            std::thread::Builder::new()
                .stack_size(64 << 10)
                .spawn(move || std::io::copy(&mut expected, &mut std::io::sink()))
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

/// The run of median cost, in figures; exact only if every run was.
fn report(scenario: &Scenario, mut runs: Vec<Run>, bytes_per_connection: u64) -> Value {
    let is_exact = runs.iter().all(|run| run.seen.is_exact());
    runs.sort_by(|one, other| f64::total_cmp(&one.spent.iter().sum(), &other.spent.iter().sum()));
    let Run {
        seen,
        spent,
        control,
    } = &runs[runs.len() / 2];
    let millions = seen.delivered as f64 / 1e6;
    let latency = |share| percentile_ms(&seen.latencies_us, share);
    let receipt = |share| percentile_ms(&seen.receipts_us, share);
    json!({
        "scenario": scenario.name,
        "rooms": scenario.rooms,
        "subscribers": scenario.subscribers,
        "rate": scenario.rate,
        "exact": is_exact,
        "lost": seen.lost,
        "repeated": seen.repeated,
        "out_of_order": seen.out_of_order,
        "deliveries_per_s": seen.delivered as f64 / seen.took.as_secs_f64(),
        "latency_ms": { "p50": latency(0.5), "p99": latency(0.99), "max": latency(1.0) },
        "receipt_ms": { "p50": receipt(0.5), "p99": receipt(0.99) },
        "cpu_s_per_million": spent.iter().map(|seconds| seconds / millions).collect::<Vec<_>>(),
        "control_cpu_s_per_million": control / millions,
        "kib_per_connection": bytes_per_connection as f64 / 1024.0,
    })
}
