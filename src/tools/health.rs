//! `roomlog health`: asks this machine's own service how it is, for the health checks of containers.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use crate::cli::Settings;

/// A service that takes longer is not well; health checks run every few seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Options of `roomlog health`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Ask only whether the process runs, not whether it can serve.
    #[arg(long)]
    live: bool,
}

/// Fails unless the service at the admin address is well.
pub(crate) async fn run(options: &Options, settings: &Settings) -> anyhow::Result<()> {
    let config = settings.load()?;
    let address = reachable(config.process.admin_listen.0);
    let question = if options.live { "live" } else { "ready" };
    // What proxies the environment names are for other machines.
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(ANSWER_WITHIN)
        .build()?;
    let answer = client
        .get(format!("http://{address}/health/{question}"))
        .send()
        .await
        .with_context(|| format!("nothing answers at {address} (ROOMLOG_ADMIN_LISTEN)"))?;
    let status = answer.status();
    let told = answer.text().await.unwrap_or_default();
    if !status.is_success() {
        bail!("not {question}: {told}");
    }
    settings.output.print(question, &json!({ question: true }));
    Ok(())
}

/// A listener on every address is found on this machine's own.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    listen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_every_address_is_asked_on_this_machine() {
        let listen = |text: &str| reachable(text.parse().expect("an address")).to_string();
        assert_eq!(listen("0.0.0.0:9464"), "127.0.0.1:9464");
        assert_eq!(listen("[::]:9464"), "[::1]:9464");
        assert_eq!(listen("10.1.2.3:1"), "10.1.2.3:1");
    }
}
