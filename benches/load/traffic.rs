//! Open-loop traffic: messages are due at fixed times, and every latency counts from the time a message was due.
//!
//! A server that stalls is thus charged for the messages it kept waiting, not only for those it was given.

use std::{
    io::Result,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt as _, sync::Barrier, task::JoinSet};

use super::wire::{self, Frames};

/// What to send and who listens.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Room ids; each has as many subscribers.
    pub(crate) rooms: Vec<String>,
    /// Subscribers of each room.
    pub(crate) subscribers: usize,
    /// Messages a second over all rooms.
    pub(crate) rate: f64,
    /// Messages over all rooms.
    pub(crate) messages: u64,
    /// Messages sent at the same moment, so that several wait for one socket.
    pub(crate) burst: u64,
    /// Bytes of a message's text.
    pub(crate) text_bytes: usize,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Messages delivered, over all subscribers.
    pub(crate) delivered: u64,
    /// Deliveries that were due and did not come.
    pub(crate) lost: u64,
    /// Deliveries of a seq that had come before.
    pub(crate) repeated: u64,
    /// Deliveries whose seq was not the next.
    pub(crate) out_of_order: u64,
    /// From due to delivered, in microseconds, sorted.
    pub(crate) latencies_us: Vec<u32>,
    /// From sent to RECEIPT, in microseconds, sorted.
    pub(crate) receipts_us: Vec<u32>,
    /// From the moment the first message was due to the last delivery.
    pub(crate) took: Duration,
}

/// How long subscribers wait for what is missing after the last message was due.
const SETTLE: Duration = Duration::from_secs(20);

/// One in so many deliveries' latencies is kept, so that keeping them costs little.
const LATENCY_SAMPLE: u64 = 4;

// === impl Seen ===

impl Seen {
    fn add(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.lost += other.lost;
        self.repeated += other.repeated;
        self.out_of_order += other.out_of_order;
        self.latencies_us.extend(other.latencies_us);
        self.receipts_us.extend(other.receipts_us);
    }

    /// Whether every message came to every subscriber once and in order.
    pub(crate) fn is_exact(&self) -> bool {
        self.lost + self.repeated + self.out_of_order == 0
    }
}

/// A latency at a share of the sorted samples, in milliseconds.
pub(crate) fn percentile_ms(sorted_us: &[u32], share: f64) -> f64 {
    let index = (sorted_us.len().saturating_sub(1) as f64 * share) as usize;
    sorted_us
        .get(index)
        .map_or(f64::NAN, |us| f64::from(*us) / 1_000.0)
}

/// Runs the plan against gateways. `listener` has the token of the subscriber of this number, room by room; `sender`
/// is the token of somebody who is in every room. `at_rest` is called when all are subscribed and nothing is sent yet.
pub(crate) async fn run(
    gateways: &[String],
    plan: &Plan,
    sender: &str,
    listener: impl Fn(usize) -> String,
    at_rest: impl FnOnce(),
) -> Result<Seen> {
    let plan = Arc::new(plan.clone());
    let start = Arc::new(std::sync::OnceLock::new());
    let subscribed = Arc::new(Barrier::new(plan.rooms.len() * plan.subscribers + 1));
    let mut tasks = JoinSet::new();
    for (number, room) in (0..).zip(&plan.rooms) {
        for subscriber in 0..plan.subscribers {
            let user = number * plan.subscribers + subscriber;
            let address = gateways[user % gateways.len()].clone();
            let (room, token, plan) = (room.clone(), listener(user), Arc::clone(&plan));
            let (start, subscribed) = (Arc::clone(&start), Arc::clone(&subscribed));
            tasks.spawn(async move {
                listen(&address, &token, &room, number, &plan, &subscribed, &start).await
            });
        }
    }
    subscribed.wait().await;
    at_rest();
    let begin = *start.get_or_init(|| Instant::now() + Duration::from_millis(200));
    let mut seen = send(&gateways[0], sender, &plan, begin).await?;
    while let Some(listener) = tasks.join_next().await {
        seen.add(listener.map_err(std::io::Error::other)??);
    }
    seen.took = begin.elapsed();
    seen.latencies_us.sort_unstable();
    seen.receipts_us.sort_unstable();
    Ok(seen)
}

/// How many of the plan's messages go to this room: they take turns.
fn messages_of(plan: &Plan, room: usize) -> u64 {
    let rooms = plan.rooms.len() as u64;
    plan.messages / rooms + u64::from((room as u64) < plan.messages % rooms)
}

/// When a message is due, after the beginning.
fn due(plan: &Plan, message: u64) -> Duration {
    Duration::from_secs_f64((message / plan.burst * plan.burst) as f64 / plan.rate)
}

async fn listen(
    address: &str,
    token: &str,
    room: &str,
    number: usize,
    plan: &Plan,
    subscribed: &Barrier,
    start: &std::sync::OnceLock<Instant>,
) -> Result<Seen> {
    let mut socket = wire::connect(address, token).await?;
    let frame = format!("SUBSCRIBE\nid:{room}\ndestination:/topic/rooms/{room}\nreceipt:s\n\n\0");
    wire::send(&mut socket, frame.as_bytes()).await?;
    let mut frames = Frames::new();
    while !next(&mut frames, &mut socket)
        .await?
        .starts_with(b"RECEIPT")
    {}
    subscribed.wait().await;
    let expected = messages_of(plan, number);
    let mut seen = Seen::default();
    let mut last_seq = None;
    let until = tokio::time::Instant::now() + due(plan, plan.messages) + SETTLE;
    while seen.delivered < expected {
        let Ok(frame) = tokio::time::timeout_at(until, next(&mut frames, &mut socket)).await else {
            break;
        };
        let frame = frame?;
        if frame.starts_with(b"MESSAGE") {
            note(frame, &mut seen, &mut last_seq, start.get().copied());
        }
    }
    seen.lost = expected.saturating_sub(seen.delivered);
    Ok(seen)
}

async fn next<'a>(frames: &'a mut Frames, socket: &mut tokio::net::TcpStream) -> Result<&'a [u8]> {
    let closed = || std::io::Error::other("the server closed the connection");
    let frame = frames.next(socket).await?.ok_or_else(closed)?;
    if frame.starts_with(b"ERROR") {
        return Err(std::io::Error::other(
            String::from_utf8_lossy(frame).into_owned(),
        ));
    }
    Ok(frame)
}

/// Checks the order by the server's seq and takes the latency from the due time that the text begins with.
fn note(frame: &[u8], seen: &mut Seen, last_seq: &mut Option<u64>, start: Option<Instant>) {
    let Some(seq) = wire::header(frame, b"seq").and_then(|seq| seq.parse::<u64>().ok()) else {
        return;
    };
    match *last_seq {
        Some(last) if seq <= last => seen.repeated += 1,
        Some(last) if seq > last + 1 => seen.out_of_order += 1,
        _ => {}
    }
    *last_seq = Some(last_seq.unwrap_or(0).max(seq));
    seen.delivered += 1;
    if !seen.delivered.is_multiple_of(LATENCY_SAMPLE) {
        return;
    }
    let text = frame
        .windows(4)
        .position(|window| window == b"due=")
        .map(|at| &frame[at + 4..]);
    let digits = text.map(|text| text.iter().take_while(|byte| byte.is_ascii_digit()));
    let due_us = digits
        .map(|digits| digits.fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0')));
    if let (Some(due_us), Some(start)) = (due_us, start) {
        let now_us = Instant::now().saturating_duration_since(start).as_micros() as u64;
        seen.latencies_us
            .push(u32::try_from(now_us.saturating_sub(due_us)).unwrap_or(u32::MAX));
    }
}

/// Sends the plan's messages when they are due and notes when their receipts come.
async fn send(address: &str, token: &str, plan: &Arc<Plan>, begin: Instant) -> Result<Seen> {
    let socket = wire::connect(address, token).await?;
    let (mut read, mut write) = socket.into_split();
    let sent_us: Arc<Vec<AtomicU64>> =
        Arc::new((0..plan.messages).map(|_| AtomicU64::new(0)).collect());
    let (times, messages) = (Arc::clone(&sent_us), plan.messages);
    let receipts = tokio::spawn(async move {
        let mut frames = Frames::new();
        let mut receipts_us = Vec::new();
        while (receipts_us.len() as u64) < messages {
            let Some(frame) = frames.next(&mut read).await? else {
                break;
            };
            if frame.starts_with(b"ERROR") {
                return Err(std::io::Error::other(
                    String::from_utf8_lossy(frame).into_owned(),
                ));
            }
            let id = wire::header(frame, b"receipt-id").and_then(|id| id.parse::<usize>().ok());
            if let Some(sent) = id.and_then(|id| times.get(id)) {
                let waited = begin.elapsed().as_micros() as u64 - sent.load(Ordering::Relaxed);
                receipts_us.push(u32::try_from(waited).unwrap_or(u32::MAX));
            }
        }
        Ok(receipts_us)
    });
    for message in 0..plan.messages {
        let due = due(plan, message);
        tokio::time::sleep_until((begin + due).into()).await;
        let room = &plan.rooms[(message % plan.rooms.len() as u64) as usize];
        let text = format!("due={} ", due.as_micros());
        let frame = format!(
            "SEND\ndestination:/app/rooms/{room}\nreceipt:{message}\n\n{text:.<width$}\0",
            width = plan.text_bytes
        );
        sent_us[message as usize].store(begin.elapsed().as_micros() as u64, Ordering::Relaxed);
        wire::send(&mut write, frame.as_bytes()).await?;
    }
    write.flush().await?;
    let receipts = tokio::time::timeout(SETTLE, receipts)
        .await
        .map_err(|_| std::io::Error::other("receipts are missing"))?;
    Ok(Seen {
        receipts_us: receipts.map_err(std::io::Error::other)??,
        ..Seen::default()
    })
}
