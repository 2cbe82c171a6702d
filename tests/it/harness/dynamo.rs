//! DynamoDB Local, in memory: it keeps its tables while it lives.

use std::time::Duration;

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::AttributeValue,
};

use super::{
    port,
    process::{Process, Program},
    scratch, tools, wait,
};

/// A cold Java machine on two busy cores.
const START_LIMIT: Duration = Duration::from_secs(180);

/// How long an answer may take; a page of a table that services write to meanwhile is not read at once.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// The same for one attempt of three.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(20);

/// The region the tests name; nothing depends on it.
pub(crate) const REGION: &str = "eu-central-1";
/// The key the tests sign with; nothing checks it.
pub(crate) const KEY: &str = "test";

/// One row, as DynamoDB returns it.
pub(crate) type Row = std::collections::HashMap<String, AttributeValue>;

/// A running server. Dropped, it is killed.
pub(crate) struct DynamoLocal {
    process: Process,
    port: u16,
}

// === impl DynamoLocal ===

impl DynamoLocal {
    pub(crate) async fn start() -> Self {
        let port = port::free();
        let jars = tools::path("dynamodb/libs");
        let class = "software.amazon.dynamodb.services.local.main.ServerRunner";
        let process = Program {
            name: "dynamodb".into(),
            path: "java".into(),
            arguments: [
                "-Xmx512m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-cp",
            ]
            .map(String::from)
            .into_iter()
            .chain([format!("{}/*", jars.display()), class.into()])
            .chain([
                "-inMemory".into(),
                "-disableTelemetry".into(),
                "-port".into(),
                port.to_string(),
            ])
            .collect(),
            variables: Vec::new(),
            folder: scratch::folder("dynamodb"),
        }
        .start();
        let started = Self { process, port };
        let client = client(&started.endpoint());
        wait::until("DynamoDB Local to answer", START_LIMIT, async || {
            client.list_tables().send().await.ok().map(drop)
        })
        .await;
        started
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The server itself, to freeze and thaw. Killed, it loses its tables.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A client of whatever speaks DynamoDB at this address.
pub(crate) fn client(endpoint: &str) -> Client {
    let timeouts = aws_config::timeout::TimeoutConfig::builder()
        .operation_timeout(ANSWER_LIMIT)
        .operation_attempt_timeout(ATTEMPT_LIMIT)
        .build();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(KEY, KEY, None, None, "tests"))
        .timeout_config(timeouts)
        .build();
    Client::from_conf(config)
}

/// Every row of a table.
pub(crate) async fn scan(client: &Client, table: &str) -> Vec<Row> {
    let mut pages = client
        .scan()
        .table_name(table)
        .consistent_read(true)
        .into_paginator()
        .send();
    let mut rows = Vec::new();
    while let Some(page) = pages.next().await {
        rows.extend(page.expect("a page of the table").items.unwrap_or_default());
    }
    rows
}

/// A text as the store takes it.
pub(crate) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// A number as the store takes it.
pub(crate) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}
