//! What `dev` says once it is ready: the READY line for programs, then addresses and lines to copy for people.

use std::{collections::BTreeMap, process::Stdio};

use super::{DEMO_ROOM, Options, Running};
use crate::cli::Output;

/// Prints the READY line and, for people, the banner; opens the page where asked.
pub(super) fn print(running: &Running<'_>, options: &Options, output: Output) {
    let http = running.http();
    let tokens: BTreeMap<_, _> = running.tokens.iter().cloned().collect();
    let ready = serde_json::json!({
        "http": http,
        "admin": running.readiness.addresses().get("admin"),
        "kafka": running.config.kafka.brokers,
        "dynamodb": running.config.dynamodb.endpoint,
        "redis": running.config.redis.url.reveal(),
        "registry": running.registry,
        "tokens": tokens,
    });
    println!("READY {ready}");
    if output == Output::People {
        print_banner(running, options, &http);
    }
    if options.open {
        open(&http);
    }
}

fn print_banner(running: &Running<'_>, options: &Options, http: &str) {
    println!("\n  Roomlog is ready.  Open {http}/ and chat.\n");
    match &options.data {
        Some(folder) => println!(
            "  A receipt means: flushed to disk in {}. One copy, on this machine.",
            folder.display()
        ),
        None => println!(
            "  A receipt means: in this process's memory. All is gone when it ends; --data DIR keeps it."
        ),
    }
    if let Some(delay) = options.slow_store {
        println!("  Every request to the store takes {:?} longer.", delay.0);
    }
    println!("\n  STOMP     {}/ws", http.replacen("http", "ws", 1));
    println!("  REST      {http}/api/v1, described at {http}/api/docs");
    println!("  Kafka     {}", running.stack.kafka_addr());
    println!("  DynamoDB  {}", running.stack.dynamodb_endpoint());
    println!("  Redis     {}", running.stack.redis_url());
    println!("  Schemas   {}\n", running.registry);
    for (user, token) in &running.tokens {
        println!("  export {}={token}", user.to_uppercase());
    }
    let program = program();
    println!("\n  {program} tail --url {http} --token $BOB {DEMO_ROOM} --history 10");
    println!("  {program} send --url {http} --token $ALICE {DEMO_ROOM} 'hello'\n");
}

/// How to call this very program: after `make run` it is on nobody's PATH.
fn program() -> String {
    let path = std::env::current_exe().ok();
    path.map_or_else(|| "roomlog".to_owned(), |path| path.display().to_string())
}

/// Opens the page where there is a desktop to open it on.
fn open(url: &str) {
    let opened = std::process::Command::new("xdg-open")
        .arg(url)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if opened.is_err() {
        eprintln!("  (no browser could be opened from here)");
    }
}

// === impl Running ===

impl Running<'_> {
    /// Where clients connect.
    pub(super) fn http(&self) -> String {
        let address = self
            .readiness
            .addresses()
            .get("http")
            .cloned()
            .unwrap_or_default();
        format!("http://{address}")
    }
}
