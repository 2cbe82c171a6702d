//! `roomlog tables`: make the DynamoDB tables and their epoch.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use roomlog_platform::{config::Config, dynamo::Store};

/// Options of `roomlog tables`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make the tables that are missing; those that exist are left alone.
    Create,
}

pub(crate) async fn run(options: Options, config: &Config) -> anyhow::Result<()> {
    match options.action {
        Action::Create => {
            let epoch = ensure(config).await?;
            println!("{}", serde_json::json!({ "epoch": epoch }));
            Ok(())
        }
    }
}

/// The tables are there; answers with their epoch.
pub(crate) async fn ensure(config: &Config) -> anyhow::Result<String> {
    let store = Store::connect(&config.dynamodb).await;
    store
        .create_tables()
        .await
        .context("the tables can't be made")?;
    store
        .epoch()
        .await
        .context("the tables' epoch can't be read")
}
