//! `roomlog trace`: when a message was accepted, acknowledged, fanned out, delivered and persisted.

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use roomlog_core::ids::MessageId;

use super::rest::Rest;
use crate::cli::{Client, Settings};

/// Options of `roomlog trace`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    client: Client,
    /// The message's id, as `roomlog send` prints it. The gateway that accepted it remembers the recent ones.
    id: String,
}

pub(crate) async fn run(options: Options, settings: &Settings) -> anyhow::Result<()> {
    let id = MessageId::parse(&options.id).context("the id")?;
    let rest = Rest::new(&options.client, settings)?;
    let trace = rest
        .answer(rest.request(Method::GET, &format!("/trace/{id}")))
        .await?;
    println!("{trace}");
    Ok(())
}
