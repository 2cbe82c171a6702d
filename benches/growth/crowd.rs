//! The members: they join by REST, and those who are connected look at the room.

use std::{sync::Arc, time::Duration};

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

/// Requests in flight while members join.
const JOINS_AT_ONCE: usize = 64;
/// Connections that are being made at once.
const CONNECTS_AT_ONCE: usize = 32;
/// How long the members' tokens hold: longer than everything takes.
const TOKEN_SECONDS: i64 = 7_200;
/// How long one request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(90);

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
    let mut socket = wire::connect(address, &token_of(reader)).await.unwrap();
    for frame in [
        format!("SUBSCRIBE\nid:r\ndestination:/topic/rooms/{room}\nreceipt:s\n\n\0"),
        format!("SEND\ndestination:/app/rooms/{room}/focus\nreceipt:f\n\n\0"),
    ] {
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
