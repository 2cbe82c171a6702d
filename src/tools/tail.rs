//! `roomlog tail`: a room's events as they come, a JSON line each.

use anyhow::{Context as _, bail};
use clap::Args;
use roomlog_core::ids::RoomId;

use super::stomp_client::StompClient;
use crate::cli::{Client, Settings};

/// Options of `roomlog tail`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    client: Client,
    /// The room.
    room: String,
    /// First everything after this seq.
    #[arg(long, conflicts_with = "history")]
    since: Option<u64>,
    /// First the last so many messages, at most 500.
    #[arg(long)]
    history: Option<u64>,
    /// End after so many events.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

pub(crate) async fn run(options: Options, settings: &Settings) -> anyhow::Result<()> {
    let room = RoomId::parse(&options.room).context("the room")?;
    let token = super::token::of_client(&options.client, settings)?;
    let mut client = StompClient::connect(&options.client.url, &token).await?;
    let mut headers = Vec::new();
    headers.extend(options.since.map(|seq| ("since", seq.to_string())));
    headers.extend(options.history.map(|count| ("history", count.to_string())));
    client
        .subscribe(&format!("/topic/rooms/{room}"), &headers)
        .await?;
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(frame) = client.next().await? else {
            bail!("the server closed the connection");
        };
        println!("{}", String::from_utf8_lossy(&frame.body));
        left -= 1;
    }
    Ok(())
}
