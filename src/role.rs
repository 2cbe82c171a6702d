//! Runs one service as a process: telemetry, admin listener, the READY line, and an orderly stop.

use anyhow::Context as _;
use axum::Router;
use clap::ValueEnum;
use roomlog_platform::{
    admin::Admin,
    config::{Config, ConfigError},
    readiness::Readiness,
    registry,
    shutdown::Shutdown,
    telemetry::Telemetry,
};

/// The services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Client connections and REST.
    Gateway,
    /// Numbering and forwarding.
    Fanout,
    /// DynamoDB behind.
    Persister,
}

// === impl Role ===

impl Role {
    fn service_name(self) -> &'static str {
        match self {
            Self::Gateway => "roomlog-gateway",
            Self::Fanout => "roomlog-fanout",
            Self::Persister => "roomlog-persister",
        }
    }

    /// Refuses what this role alone can't be started with; whatever no role can is refused when it is loaded.
    pub(crate) fn check(self, config: &Config) -> Result<(), ConfigError> {
        match self {
            Self::Gateway => roomlog_gateway::check(config),
            Self::Fanout | Self::Persister => Ok(()),
        }
    }

    /// Runs the service until shutdown has begun and what it began is finished.
    pub(crate) async fn serve(
        self,
        config: &Config,
        readiness: &Readiness,
        shutdown: &Shutdown,
    ) -> anyhow::Result<()> {
        match self {
            Self::Gateway => roomlog_gateway::run(config, readiness, shutdown, Router::new())
                .await
                .context("the gateway stopped"),
            Self::Fanout => roomlog_fanout::run(config, readiness, shutdown)
                .await
                .context("the fanout stopped"),
            Self::Persister => roomlog_persister::run(config, readiness, shutdown)
                .await
                .context("the persister stopped"),
        }
    }
}

/// Runs a service as this process.
pub(crate) async fn run(role: Role, config: &Config) -> anyhow::Result<()> {
    role.check(config)?;
    let telemetry = Telemetry::start(role.service_name(), &config.process)?;
    let shutdown = Shutdown::on_signal()?;
    let readiness = Readiness::default();
    let listen = config.process.admin_listen.0;
    Admin::new(readiness.clone(), telemetry.metrics.clone())
        .serve(listen, &shutdown)
        .await
        .with_context(|| format!("ROOMLOG_ADMIN_LISTEN: {listen} can't be listened on"))?;
    tokio::spawn(announce(readiness.clone()));
    adopt_schema_ids(config).await?;
    role.serve(config, &readiness, &shutdown).await
}

/// Frames values with the ids of the schema registry, where one is configured.
pub(crate) async fn adopt_schema_ids(config: &Config) -> anyhow::Result<()> {
    match &config.kafka.registry_url {
        Some(address) => registry::adopt_ids(address)
            .await
            .context("ROOMLOG_REGISTRY_URL"),
        None => Ok(()),
    }
}

/// Prints the one READY line that starters wait for.
async fn announce(readiness: Readiness) {
    readiness.ready().await;
    println!("READY {}", serde_json::json!(readiness.addresses()));
}
