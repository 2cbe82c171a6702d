//! What a message costs the stores, and what its reading does, as a room grows:
//! `cargo bench --bench growth -- [--quick] [--real] [--write] [members …]`.
//!
//! The sizes are those of a team, a community and a crowd. In the quiet phase nobody reads, so what is written belongs to
//! the messages themselves; in the reading phase everybody who is connected looks at the room. Items and commands are
//! counted, not time, so a busy machine shows the same curves. `--quick` takes a minute on the stand-ins; `--write` puts
//! the figures of the real stack and their plot into docs/, which nobody else does.

#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "a tool, not a service"
)]

#[path = "growth/crowd.rs"]
mod crowd;
mod figures;
#[path = "../tests/it/harness/mod.rs"]
#[allow(dead_code, unused_imports)]
mod harness;
#[path = "growth/meter.rs"]
mod meter;
#[path = "growth/page.rs"]
mod page;
#[path = "growth/plot.rs"]
mod plot;
#[path = "load/wire.rs"]
#[allow(dead_code)]
mod wire;

use std::time::{Duration, Instant};

use serde_json::json;

use harness::{
    Shape, Stack, System, User,
    wait::{a_moment, until},
};
use meter::{Cost, Meter};

/// How long everything may take to be stored, or read by everybody.
const SETTLE: Duration = Duration::from_secs(900);
/// Messages a second: many more than a reader marks, so that coalescing shows.
const RATE: f64 = 20.0;
/// What a message may write at most while nobody reads: itself, how far its sender has read, how far its room has come,
/// and how far its partition is stored.
const ITEMS_A_MESSAGE_MAX: f64 = 4.0;

/// What is measured, and where.
struct Plan {
    stack: Stack,
    /// Members of the rooms that are compared.
    sizes: Vec<usize>,
    /// Members that are connected at most.
    connected_max: usize,
    /// Messages of each phase.
    messages: u64,
}

/// One size, measured.
struct Report {
    members: usize,
    /// Those of them who were connected and looked at the room.
    readers: usize,
    messages: u64,
    /// Changes of the room that somebody's list was told meanwhile.
    badges: u64,
    /// While nobody read.
    quiet: Cost,
    /// While everybody did.
    reading: Cost,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plan = Plan::of(&arguments);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut reports = Vec::new();
    for members in &plan.sizes {
        let began = Instant::now();
        let report = runtime.block_on(measure(&plan, *members));
        println!("{}", report.line());
        eprintln!("{members} members took {:.0?}", began.elapsed());
        reports.push(report);
    }
    if arguments.iter().any(|argument| argument == "--write") {
        page::write(&reports);
    }
}

/// Measures one size on a fresh system.
async fn measure(plan: &Plan, members: usize) -> Report {
    let system = System::start(Shape::single(plan.stack)).await;
    let meter = Meter::of(&system, plan.stack).await;
    let owner = system.user("owner");
    let room = owner.opens_room().await;
    crowd::join(&system.http(0), &room, members - 1).await;
    // The first question builds the room's set of readers, which is no cost of a message.
    let first = post(&owner, &room, 1).await;
    read_by(&owner, &room, first, 1).await;
    let badge = crowd::Badge::of(&system.http(0)).await;
    let (before, told) = (meter.settled().await, badge.changes());
    post(&owner, &room, plan.messages).await;
    let after_quiet = meter.settled().await;
    let badges = badge.changes() - told;
    drop(badge);

    let readers = (members - 1).min(plan.connected_max);
    let mut listening = crowd::look(&system.http(0), &room, readers).await;
    let looking = meter.settled().await;
    let last = post(&owner, &room, plan.messages).await;
    read_by(&owner, &room, last, readers as u64 + 1).await;
    let after_reading = meter.settled().await;
    listening.abort_all();

    let quiet = after_quiet.since(&before);
    let a_message = quiet.items() / plan.messages as f64;
    assert!(
        a_message <= ITEMS_A_MESSAGE_MAX,
        "a message in a room of {members} writes {a_message} items: {quiet:?}"
    );
    Report {
        members,
        readers,
        messages: plan.messages,
        badges,
        quiet,
        reading: after_reading.since(&looking),
    }
}

/// Posts messages at the rate; the last one's seq.
async fn post(owner: &User, room: &str, messages: u64) -> u64 {
    let begin = tokio::time::Instant::now();
    let mut last = None;
    for message in 0..messages {
        tokio::time::sleep_until(begin + Duration::from_secs_f64(message as f64 / RATE)).await;
        let body = json!({ "text": "a message of the growth bench" });
        let path = format!("rooms/{room}/messages");
        // Without a seq the answer came before the event did.
        last = owner.rest.post(&path, body).await.ok()["seq"].as_u64();
    }
    match last {
        Some(last) => last,
        None => newest(owner, room).await,
    }
}

/// The last message's seq.
async fn newest(owner: &User, room: &str) -> u64 {
    let path = format!("rooms/{room}/messages?limit=1");
    until("a page that holds the last message", SETTLE, async || {
        let page = owner.rest.get(&path).await.body;
        page["items"][0]["seq"].as_u64()
    })
    .await
}

/// Waits until at least so many have read a message.
async fn read_by(owner: &User, room: &str, seq: u64, readers: u64) {
    let path = format!("rooms/{room}/messages/{seq}/readers?limit=1");
    let deadline = Instant::now() + SETTLE;
    loop {
        let total = owner.rest.get(&path).await.body["total"].as_u64();
        if total >= Some(readers) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "read by {total:?} of {readers} after {SETTLE:?}"
        );
        a_moment().await;
    }
}

// === impl Plan ===

impl Plan {
    fn of(arguments: &[String]) -> Self {
        let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
        let is_real = given("--real") || given("--write");
        let mut plan = match given("--quick") && !given("--write") {
            true => Self {
                stack: Stack::Embedded,
                sizes: vec![10, 100, 1_000],
                connected_max: 200,
                messages: 40,
            },
            false => Self {
                stack: Stack::Embedded,
                sizes: vec![10, 1_000, 50_000],
                connected_max: 2_000,
                messages: 100,
            },
        };
        if is_real {
            plan.stack = Stack::Real { brokers: 1 };
        }
        let named = arguments
            .iter()
            .filter_map(|argument| argument.parse::<usize>().ok());
        let named: Vec<usize> = named.filter(|members| *members >= 2).collect();
        if !named.is_empty() {
            plan.sizes = named;
        }
        plan
    }
}

// === impl Report ===

impl Report {
    /// Items a message writes while nobody reads.
    fn items_a_message(&self) -> f64 {
        self.quiet.items() / self.messages as f64
    }

    /// The same while everybody reads.
    fn items_a_message_read(&self) -> f64 {
        self.reading.items() / self.messages as f64
    }

    /// What an item for each reader and message would come to.
    fn items_a_message_naive(&self) -> f64 {
        self.readers as f64 + self.items_a_message()
    }

    /// Positions stored while everybody read, for each reader.
    fn positions_a_reader(&self) -> f64 {
        self.reading.items_of("members") / self.readers as f64
    }

    /// Changes that a list is told, for each message.
    fn badges_a_message(&self) -> f64 {
        self.badges as f64 / self.messages as f64
    }

    /// Commands that wrote to Redis, for each message.
    fn cached_a_message(&self) -> f64 {
        self.quiet.cached() / self.messages as f64
    }

    /// The same while everybody read, for each reader and message.
    fn cached_a_reader_and_message(&self) -> f64 {
        self.reading.cached() / (self.readers as f64 * self.messages as f64)
    }

    /// One line of JSON.
    fn line(&self) -> serde_json::Value {
        json!({
            "members": self.members,
            "readers": self.readers,
            "messages": self.messages,
            "items_a_message": self.items_a_message(),
            "redis_writes_a_message": self.cached_a_message(),
            "badges_a_message": self.badges_a_message(),
            "items_a_message_read": self.items_a_message_read(),
            "positions_a_reader": self.positions_a_reader(),
            "redis_writes_a_reader_and_message": self.cached_a_reader_and_message(),
            "quiet": self.quiet.json(),
            "reading": self.reading.json(),
        })
    }
}
