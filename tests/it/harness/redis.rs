//! Redis, without persistence: whatever it holds may be lost.

use redis::aio::MultiplexedConnection;

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

    /// See [`wipe`].
    pub(crate) async fn wipe(&self) {
        wipe(&self.url()).await;
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

/// A connection that a busy server may keep waiting: the client's own patience is half a second.
pub(crate) async fn connected(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a valid address");
    let patient = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(Some(wait::SOON))
        .set_response_timeout(Some(wait::SOON));
    let connection = client.get_multiplexed_async_connection_with_config(&patient);
    connection.await.expect("a connection")
}

/// FLUSHALL: everything in it is gone, and it goes on.
pub(crate) async fn wipe(url: &str) {
    let wiped = redis::cmd("FLUSHALL")
        .exec_async(&mut connected(url).await)
        .await;
    wiped.expect("FLUSHALL");
}
