//! Redis, without persistence: whatever it holds may be lost.

use super::{
    port,
    process::{Process, Program},
    scratch, wait,
};

/// A running server. Dropped, it is killed.
pub(crate) struct Redis {
    process: Process,
    port: u16,
}

// === impl Redis ===

impl Redis {
    pub(crate) async fn start() -> Self {
        let port = port::free();
        let arguments = [
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--port",
        ];
        let process = Program {
            name: "redis".into(),
            path: "redis-server".into(),
            arguments: arguments
                .map(String::from)
                .into_iter()
                .chain([port.to_string()])
                .collect(),
            variables: Vec::new(),
            folder: scratch::folder("redis"),
        }
        .start();
        let started = Self { process, port };
        started.answers().await;
        started
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}/", self.address())
    }

    /// FLUSHALL: everything in it is gone, and it goes on.
    pub(crate) async fn wipe(&self) {
        let client = redis::Client::open(self.url()).expect("a valid address");
        let connection = client.get_multiplexed_async_connection().await;
        let wiped = redis::cmd("FLUSHALL")
            .exec_async(&mut connection.expect("a connection"))
            .await;
        wiped.expect("FLUSHALL");
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it and starts it empty on the same port.
    pub(crate) async fn restart(&mut self) {
        self.process.start_again();
        self.answers().await;
    }

    /// The server itself, to freeze, thaw and kill.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    async fn answers(&self) {
        let client = redis::Client::open(self.url()).expect("a valid address");
        wait::until("Redis to answer", wait::SOON, async || {
            let mut connection = client.get_multiplexed_async_connection().await.ok()?;
            redis::cmd("PING")
                .query_async::<String>(&mut connection)
                .await
                .ok()
        })
        .await;
    }
}
