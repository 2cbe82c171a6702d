//! `roomlog history`: a room's messages, a line each.

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use roomlog_core::ids::RoomId;

use super::rest::Rest;
use crate::cli::{Client, Settings};

/// Options of `roomlog history`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    client: Client,
    /// The room.
    room: String,
    /// Messages before this seq.
    #[arg(long, conflicts_with_all = ["after", "around"])]
    before: Option<u64>,
    /// Messages after this seq.
    #[arg(long, conflicts_with = "around")]
    after: Option<u64>,
    /// Messages around this seq, itself included.
    #[arg(long)]
    around: Option<u64>,
    /// How many, 1 to 200.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Every event, not only messages and notices.
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(options: Options, settings: &Settings) -> anyhow::Result<()> {
    let room = RoomId::parse(&options.room).context("the room")?;
    let rest = Rest::new(&options.client, settings)?;
    let mut query = vec![("limit", options.limit.to_string())];
    let bounds = [
        ("before", options.before),
        ("after", options.after),
        ("around", options.around),
    ];
    for (name, seq) in bounds {
        query.extend(seq.map(|seq| (name, seq.to_string())));
    }
    if options.all {
        query.push(("include", "all".to_owned()));
    }
    let parameters: Vec<_> = query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let path = format!("/rooms/{room}/messages?{}", parameters.join("&"));
    let page = rest.answer(rest.request(Method::GET, &path)).await?;
    for item in page["items"].as_array().into_iter().flatten() {
        println!("{item}");
    }
    Ok(())
}
