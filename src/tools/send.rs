//! `roomlog send`: post messages and print where the log put each.

use std::io::BufRead as _;

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use roomlog_core::ids::{MessageId, RoomId};
use serde_json::json;

use super::rest::Rest;
use crate::cli::{Client, Settings};

/// Options of `roomlog send`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    client: Client,
    /// The room.
    room: String,
    /// The message; without it, every line of standard input is one.
    text: Option<String>,
    /// The message's id, so that sending it again shows it once.
    #[arg(long, requires = "text")]
    id: Option<String>,
}

pub(crate) async fn run(options: Options, settings: &Settings) -> anyhow::Result<()> {
    let room = RoomId::parse(&options.room).context("the room")?;
    if let Some(id) = &options.id {
        MessageId::parse(id).context("--id")?;
    }
    let rest = Rest::new(&options.client, settings)?;
    if let Some(text) = options.text {
        return post(&rest, &room, &text, options.id.as_deref()).await;
    }
    for line in std::io::stdin().lock().lines() {
        post(&rest, &room, &line?, None).await?;
    }
    Ok(())
}

async fn post(rest: &Rest, room: &RoomId, text: &str, id: Option<&str>) -> anyhow::Result<()> {
    let id = id.map_or_else(|| uuid::Uuid::now_v7().to_string(), str::to_owned);
    let request = rest
        .request(Method::POST, &format!("/rooms/{room}/messages"))
        .header("Idempotency-Key", &id)
        .json(&json!({ "text": text }));
    println!("{}", rest.answer(request).await?);
    Ok(())
}
