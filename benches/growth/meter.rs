//! Counts what the stores are asked to write: items of DynamoDB by table, commands of Redis by name.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};

use super::{
    SETTLE,
    harness::{Role, Stack, System, rest::Rest, wait::SOON},
};

/// How long nothing may have been written for everything to be written.
const STILL: Duration = Duration::from_secs(3);
/// How often the figures are looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What services count the items they write by.
const WRITTEN: &str = "roomlog_store_items_written_total{";
/// The tables a message and its reading touch. Others, as of who is signed in, are written to by time.
const TABLES: [&str; 7] = [
    "events",
    "members",
    "rooms",
    "rooms_of",
    "partitions",
    "mentions",
    "patches",
];
/// Commands of Redis that write.
const WRITING: [&str; 13] = [
    "del",
    "expire",
    "incr",
    "persist",
    "pexpire",
    "rename",
    "set",
    "setex",
    "xadd",
    "xtrim",
    "zadd",
    "zrem",
    "zremrangebyscore",
];

/// Where the figures are.
pub(super) struct Meter {
    services: Vec<Rest>,
    redis: MultiplexedConnection,
}

/// What was written until a moment, or between two.
#[derive(Clone, Debug, Default)]
pub(super) struct Cost {
    /// Items, by table.
    items: BTreeMap<String, f64>,
    /// Calls, by command.
    cached: BTreeMap<String, f64>,
}

// === impl Meter ===

impl Meter {
    pub(super) async fn of(system: &System, stack: Stack) -> Self {
        // Where everything is one process, its figures are the gateway's too.
        let roles: &[Role] = match stack {
            Stack::Embedded => &[Role::Gateway],
            Stack::Real { .. } => &[Role::Gateway, Role::Fanout, Role::Persister],
        };
        let client = redis::Client::open(system.redis.as_str()).unwrap();
        let patient = redis::AsyncConnectionConfig::new().set_response_timeout(Some(SOON));
        let redis = client.get_multiplexed_async_connection_with_config(&patient);
        Self {
            services: roles.iter().map(|role| system.admin(*role, 0)).collect(),
            redis: redis.await.unwrap(),
        }
    }

    /// Everything written until nothing is written any more.
    pub(super) async fn settled(&self) -> Cost {
        let deadline = Instant::now() + SETTLE;
        let (mut last, mut since) = (self.read().await, Instant::now());
        while since.elapsed() < STILL {
            assert!(
                Instant::now() < deadline,
                "still written to after {SETTLE:?}: {last:?}"
            );
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.read().await;
            if now.items != last.items {
                since = Instant::now();
            }
            last = now;
        }
        last
    }

    async fn read(&self) -> Cost {
        let mut cost = Cost::default();
        for service in &self.services {
            let page = service.get("/metrics").await.body;
            for (table, items) in page.as_str().unwrap_or_default().lines().filter_map(items) {
                if TABLES.contains(&table) {
                    *cost.items.entry(table.to_owned()).or_default() += items;
                }
            }
        }
        let info: String = redis::cmd("INFO")
            .arg("commandstats")
            .query_async(&mut self.redis.clone())
            .await
            .unwrap();
        let calls = info.lines().filter_map(calls);
        let writing = calls.filter(|(command, _)| WRITING.contains(command));
        cost.cached = writing
            .map(|(command, calls)| (command.to_owned(), calls))
            .collect();
        cost
    }
}

/// A line of a service's figures that tells the items of a table.
fn items(line: &str) -> Option<(&str, f64)> {
    let (labels, items) = line.strip_prefix(WRITTEN)?.rsplit_once(' ')?;
    let (_, named) = labels.split_once("table=\"")?;
    Some((named.split('"').next()?, items.parse().ok()?))
}

/// A line of Redis's figures that tells the calls of a command.
fn calls(line: &str) -> Option<(&str, f64)> {
    let (command, figures) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    let calls = figures.split(',').next()?;
    Some((command, calls.trim().parse().ok()?))
}

// === impl Cost ===

impl Cost {
    /// What was written after an earlier look.
    pub(super) fn since(&self, before: &Self) -> Self {
        let less = |now: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>| {
            now.iter()
                .map(|(name, value)| {
                    let known = before.get(name).copied().unwrap_or_default();
                    (name.clone(), value - known)
                })
                .collect()
        };
        Self {
            items: less(&self.items, &before.items),
            cached: less(&self.cached, &before.cached),
        }
    }

    /// Items of all tables.
    pub(super) fn items(&self) -> f64 {
        self.items.values().sum()
    }

    pub(super) fn items_of(&self, table: &str) -> f64 {
        self.items.get(table).copied().unwrap_or_default()
    }

    /// Calls of all commands that write.
    pub(super) fn cached(&self) -> f64 {
        self.cached.values().sum()
    }

    pub(super) fn json(&self) -> Value {
        json!({ "items": self.items, "redis": self.cached })
    }
}
