//! The members: they join by REST, and those who are connected look at the room.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::{
    net::TcpStream,
    sync::{Barrier, Semaphore},
    task::JoinSet,
};

use super::{
    harness::{user::token, wait::a_moment},
    wire::{self, Frames},
};

/// Requests in flight while members join: as many as the store answers in time on two cores.
const JOINS_AT_ONCE: usize = 16;
/// Connections that are being made at once.
const CONNECTS_AT_ONCE: usize = 32;
/// How long the members' tokens hold: longer than everything takes.
const TOKEN_SECONDS: i64 = 7_200;
/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(90);

/// A member who does not look at the room and has it on their list.
pub(super) struct Badge {
    changes: Arc<AtomicU64>,
    _listening: JoinSet<()>,
}

fn token_of(member: usize) -> String {
    token(&format!("member-{member}"), TOKEN_SECONDS)
}

/// Members join over one client, as so many connections would be a burden of their own.
pub(super) async fn join(http: &str, room: &str, members: usize) {
    let client = Client::builder().no_proxy().timeout(REQUEST_LIMIT);
    let client = client.build().unwrap();
    let url = format!("{http}/api/v1/rooms/{room}/join");
    stream::iter(0..members)
        .for_each_concurrent(JOINS_AT_ONCE, |member| {
            joined(client.clone(), url.clone(), token_of(member))
        })
        .await;
}

/// Asks until it is done, as any client does that is told to come back later.
async fn joined(client: Client, url: String, token: String) {
    loop {
        let asked = client.post(&url).bearer_auth(&token).json(&json!({}));
        let status = asked.send().await.unwrap().status();
        match status {
            StatusCode::OK => return,
            StatusCode::ACCEPTED | StatusCode::SERVICE_UNAVAILABLE => a_moment().await,
            status => panic!("a join is answered {status}"),
        }
    }
}

/// Connects members who look at the room; returns once all of them are live.
pub(super) async fn look(http: &str, room: &str, readers: usize) -> JoinSet<()> {
    let address = http.replace("http://", "");
    let live = Arc::new(Barrier::new(readers + 1));
    let turns = Arc::new(Semaphore::new(CONNECTS_AT_ONCE));
    let mut listening = JoinSet::new();
    for reader in 0..readers {
        let (address, room) = (address.clone(), room.to_owned());
        let (live, turns) = (Arc::clone(&live), Arc::clone(&turns));
        listening.spawn(async move {
            let turn = turns.acquire().await;
            let mut frames = Frames::new();
            let mut socket = focused(&mut frames, &address, reader, &room).await;
            drop(turn);
            live.wait().await;
            while let Ok(Some(_)) = frames.next(&mut socket).await {}
        });
    }
    live.wait().await;
    listening
}

/// A connection that is subscribed to the room and looks at it.
async fn focused(frames: &mut Frames, address: &str, reader: usize, room: &str) -> TcpStream {
    let subscribe = format!("SUBSCRIBE\nid:r\ndestination:/topic/rooms/{room}\nreceipt:s\n\n\0");
    let focus = format!("SEND\ndestination:/app/rooms/{room}/focus\nreceipt:f\n\n\0");
    said(frames, address, reader, &[&subscribe, &focus]).await
}

/// A member's connection on which these frames were said, each of which asks for a receipt.
async fn said(frames: &mut Frames, address: &str, member: usize, what: &[&str]) -> TcpStream {
    let mut socket = wire::connect(address, &token_of(member)).await.unwrap();
    for frame in what {
        wire::send(&mut socket, frame.as_bytes()).await.unwrap();
        loop {
            let frame = frames.next(&mut socket).await.unwrap();
            let frame = frame.expect("the server keeps the connection");
            assert!(
                !frame.starts_with(b"ERROR"),
                "{}",
                String::from_utf8_lossy(frame)
            );
            if frame.starts_with(b"RECEIPT") {
                break;
            }
        }
    }
    socket
}

// === impl Badge ===

impl Badge {
    /// The first member's, live from now on.
    pub(super) async fn of(http: &str) -> Self {
        let address = http.replace("http://", "");
        let mut frames = Frames::new();
        let subscribe = "SUBSCRIBE\nid:l\ndestination:/user/queue/rooms\nreceipt:l\n\n\0";
        let mut socket = said(&mut frames, &address, 0, &[subscribe]).await;
        let changes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&changes);
        let mut listening = JoinSet::new();
        listening.spawn(async move {
            while let Ok(Some(frame)) = frames.next(&mut socket).await {
                if frame.starts_with(b"MESSAGE") {
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self {
            changes,
            _listening: listening,
        }
    }

    /// Changes that came so far.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }
}
