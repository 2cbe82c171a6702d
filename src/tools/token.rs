//! `roomlog token`: a token from the configured secret, and nothing else on stdout.

use anyhow::{Context as _, anyhow};
use clap::Args;
use roomlog_core::ids::UserId;
use roomlog_gateway::mint_token;
use roomlog_platform::config::Span;
use serde_json::json;

use crate::cli::{Client, Settings};

/// Options of `roomlog token`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The user's id.
    #[arg(long, value_name = "ID")]
    user: String,
    /// A global role: `admin` or `user`.
    #[arg(long, default_value = "user", value_parser = ["user", "admin"])]
    role: String,
    /// How long it is valid, like `3s` or `12h`; the configured access time without it.
    #[arg(long, value_parser = span)]
    ttl: Option<Span>,
}

pub(crate) fn run(options: &Options, settings: &Settings) -> anyhow::Result<()> {
    let config = settings.load()?;
    let user = UserId::parse(&options.user).context("--user")?;
    let ttl = options.ttl.unwrap_or(config.jwt.access_ttl);
    let token = mint_token(&config.jwt, &user, &options.role, ttl)?;
    settings.output.print(&token, &json!({ "token": token }));
    Ok(())
}

/// The token a client tool acts with: the given one, or one made for the given user.
pub(super) fn of_client(client: &Client, settings: &Settings) -> anyhow::Result<String> {
    if let Some(token) = &client.token {
        return Ok(token.clone());
    }
    let user = client.user.as_deref().ok_or_else(|| {
        anyhow!("say who you are by --token JWT, or by --user ID where ROOMLOG_JWT_SECRET is set")
    })?;
    let config = settings.load()?;
    let user = UserId::parse(user).context("--user")?;
    Ok(mint_token(
        &config.jwt,
        &user,
        "user",
        config.jwt.access_ttl,
    )?)
}

fn span(text: &str) -> Result<Span, String> {
    Span::parse(text).ok_or_else(|| "expected a whole number and ms, s, m or h, like 3s".to_owned())
}
