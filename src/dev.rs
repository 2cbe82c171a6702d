//! `roomlog dev`: every service in one process over embedded stand-ins, through the same client libraries and code
//! paths as in production.

mod banner;
mod demo;
mod files;
mod registry;
mod secret;

use std::path::PathBuf;

use anyhow::Context as _;
use axum::Router;
use clap::Args;
use roomlog_core::ids::UserId;
use roomlog_embedded::{Stack, StackConfig};
use roomlog_platform::{
    admin::Admin,
    config::{Config, Secret, Span},
    readiness::Readiness,
    shutdown::Shutdown,
    telemetry::Telemetry,
};

use crate::{
    cli::Settings,
    role::{Role, adopt_schema_ids},
    tools::{tables, topics},
};

/// The two users that wait in the demo room.
const DEMO_USERS: [&str; 2] = ["alice", "bob"];

/// The demo room, which every guest joins.
const DEMO_ROOM: &str = "lobby";

/// How long the demo users' tokens are valid.
const DEMO_TOKEN_TTL: Span = Span(std::time::Duration::from_secs(30 * 24 * 60 * 60));

/// Options of `roomlog dev`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Keep everything in this folder; without it, everything is in memory and gone at the end.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Make every request to the store take this much longer, to see that delivery does not care.
    #[arg(long, value_name = "TIME", value_parser = span)]
    slow_store: Option<Span>,
    /// Open the web page in a browser once ready.
    #[arg(long)]
    open: bool,
}

/// What is running, for the READY line and the banner.
pub(crate) struct Running<'a> {
    config: &'a Config,
    readiness: &'a Readiness,
    stack: &'a Stack,
    registry: String,
    tokens: Vec<(&'static str, String)>,
}

pub(crate) async fn run(options: Options, settings: &Settings) -> anyhow::Result<()> {
    let secret = secret::of(options.data.as_deref())?;
    let stack = Stack::start(StackConfig {
        data_dir: options.data.clone(),
        ..StackConfig::default()
    })
    .await
    .context("the embedded stack")?;
    let files = files::serve(options.data.as_deref(), &secret).await?;
    let mut defaults = defaults(&stack);
    defaults.extend(files.settings());
    let mut config = settings.load_over(defaults)?;
    // Whoever tries an identity provider of their own needs no tokens from here.
    if config.jwt.has_no_key() {
        config.jwt.secret = Some(Secret::new(secret));
    }
    Role::Gateway.check(&config)?;
    let telemetry = Telemetry::start("roomlog-dev", &config.process)?;
    let shutdown = Shutdown::on_signal()?;
    let readiness = Readiness::default();
    let admin = Admin::new(readiness.clone(), telemetry.metrics.clone());
    let figures = admin.clone().figures();
    admin
        .serve(config.process.admin_listen.0, &shutdown)
        .await
        .context("ROOMLOG_ADMIN_LISTEN")?;
    tables::ensure(&config).await?;
    topics::ensure(&config).await?;
    let registry = registry::serve(&shutdown).await?;
    config.kafka.registry_url = Some(registry.clone());
    adopt_schema_ids(&config).await?;

    let mut services = tokio::task::JoinSet::new();
    start(&mut services, Role::Fanout, &config, &readiness, &shutdown);
    start(
        &mut services,
        Role::Persister,
        &config,
        &readiness,
        &shutdown,
    );
    config.fanout.instances = tokio::select! {
        address = readiness.address("fanout") => vec![address],
        failed = services.join_next() => return ended(failed),
    };
    start_gateway(&mut services, &config, &readiness, &shutdown, figures);
    tokio::select! {
        () = readiness.ready() => {}
        failed = services.join_next() => return ended(failed),
    }

    let running = Running {
        tokens: tokens(&config)?,
        config: &config,
        readiness: &readiness,
        stack: &stack,
        registry,
    };
    if !running.tokens.is_empty() {
        demo::furnish(&running).await.context("the demo room")?;
    }
    // Only now, as what is to be seen is a store that is slow, not a start that is.
    stack.set_slow_store(options.slow_store.map(|span| span.0).unwrap_or_default());
    banner::print(&running, &options, settings.output);
    let stopped = ended(services.join_next().await);
    shutdown.begin();
    while let Some(service) = services.join_next().await {
        service??;
    }
    stack.shutdown().await;
    stopped
}

/// What `dev` sets below everything a user sets.
fn defaults(stack: &Stack) -> Vec<(&'static str, String)> {
    vec![
        ("kafka-brokers", stack.kafka_addr().to_string()),
        ("dynamodb-endpoint", stack.dynamodb_endpoint()),
        ("redis-url", stack.redis_url()),
        ("listen", "127.0.0.1:8080".to_owned()),
        ("fanout-listen", "127.0.0.1:0".to_owned()),
        ("admin-listen", "127.0.0.1:0".to_owned()),
        ("topics-partitions", "4".to_owned()),
        ("topics-replication", "1".to_owned()),
        ("topics-min-insync", "1".to_owned()),
        ("guests", "true".to_owned()),
        ("guest-room", DEMO_ROOM.to_owned()),
        ("sends-per-second", "2000".to_owned()),
        ("sends-burst", "5000".to_owned()),
        ("connections-per-user", "0".to_owned()),
        ("requests-per-second", "2000".to_owned()),
        ("frames-per-second", "10000".to_owned()),
        ("subscribes-per-second", "0".to_owned()),
        ("sign-ins-per-minute", "0".to_owned()),
        ("guests-per-minute", "0".to_owned()),
        ("connects-per-minute", "0".to_owned()),
        ("drain", "1s".to_owned()),
        ("log", "warn,dynoxide=error".to_owned()),
        ("log-format", "text".to_owned()),
    ]
}

fn start(
    services: &mut tokio::task::JoinSet<anyhow::Result<()>>,
    role: Role,
    config: &Config,
    readiness: &Readiness,
    shutdown: &Shutdown,
) {
    let (config, readiness, shutdown) = (config.clone(), readiness.clone(), shutdown.clone());
    services.spawn(async move { role.serve(&config, &readiness, &shutdown).await });
}

/// The gateway, which shows the figures of the one process there is to whoever tries it.
fn start_gateway(
    services: &mut tokio::task::JoinSet<anyhow::Result<()>>,
    config: &Config,
    readiness: &Readiness,
    shutdown: &Shutdown,
    figures: Router,
) {
    let (config, readiness, shutdown) = (config.clone(), readiness.clone(), shutdown.clone());
    services.spawn(async move {
        roomlog_gateway::run(&config, &readiness, &shutdown, figures)
            .await
            .context("the gateway stopped")
    });
}

/// The result of the first service that ended.
fn ended(
    service: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>,
) -> anyhow::Result<()> {
    service.map_or(Ok(()), |ended| ended?)
}

/// The demo users' tokens, where this system makes any.
fn tokens(config: &Config) -> anyhow::Result<Vec<(&'static str, String)>> {
    if config.jwt.secret.is_none() {
        return Ok(Vec::new());
    }
    let token = |name: &'static str| {
        let user = UserId::parse(name)?;
        anyhow::Ok((
            name,
            roomlog_gateway::mint_token(&config.jwt, &user, "user", DEMO_TOKEN_TTL)?,
        ))
    };
    DEMO_USERS.into_iter().map(token).collect()
}

fn span(text: &str) -> Result<Span, String> {
    Span::parse(text).ok_or_else(|| "expected a whole number and ms, s, m or h, like 2s".to_owned())
}
