//! What we use of Redis.

mod sessions;
mod sorted_sets;
mod streams;
mod values;

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, ProtocolVersion, RedisConnectionInfo, Value};

use super::{Failure, Report};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Makes all checks against the server at `host:port`, in both versions of the protocol.
pub async fn run(addr: &str) -> Report {
    let mut report = Report::default();
    for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
        let server = Server {
            addr: addr.to_owned(),
            protocol,
        };
        server.run(&mut report).await;
    }
    report
}

/// The server and the version of the protocol it is spoken to in.
struct Server {
    addr: String,
    protocol: ProtocolVersion,
}

/// One connection, and calls by the words of the command.
struct Calls(MultiplexedConnection);

impl Calls {
    async fn call<T: FromRedisValue>(&mut self, words: &str) -> Result<T, Failure> {
        let mut command = redis::Cmd::new();
        for word in words.split(' ') {
            command.arg(word);
        }
        Ok(command.query_async(&mut self.0).await?)
    }

    /// The error text of a call that must fail.
    async fn refused(&mut self, words: &str) -> Result<String, Failure> {
        match self.call::<Value>(words).await {
            Err(failure) => Ok(failure.to_string()),
            Ok(value) => Err(format!("{words} gave {value:?}").into()),
        }
    }
}

impl Server {
    fn client(&self) -> Result<Client, Failure> {
        let client = Client::open(format!("redis://{}/", self.addr))?;
        let settings = RedisConnectionInfo::default().set_protocol(self.protocol);
        let info = client
            .get_connection_info()
            .clone()
            .set_redis_settings(settings);
        Ok(Client::open(info)?)
    }

    async fn calls(&self) -> Result<Calls, Failure> {
        Ok(Calls(
            self.client()?.get_multiplexed_async_connection().await?,
        ))
    }

    async fn run(&self, report: &mut Report) {
        report.check("strings", self.strings()).await;
        report
            .check("names that are taken once", self.taken_once())
            .await;
        report.check("keys expire", self.expiry()).await;
        report.check("hashes", self.hashes()).await;
        report.check("sets", self.sets()).await;
        report
            .check("sorted sets only forward", self.forward())
            .await;
        report.check("options of ZADD", self.adding()).await;
        report.check("ranges of sorted sets", self.ranges()).await;
        report
            .check("removing from sorted sets", self.removing())
            .await;
        report
            .check("a sorted set is scanned in several calls", self.scanning())
            .await;
        report
            .check("streams keep explicit ids in order", self.streams())
            .await;
        report
            .check("streams are cut to a length", self.trimming())
            .await;
        report
            .check("ranges of streams", self.stream_ranges())
            .await;
        report
            .check("a pipeline is answered in order", self.pipeline())
            .await;
        report
            .check("a transaction is one step", self.transaction())
            .await;
        report.check("a swap by renaming", self.swap()).await;
        report
            .check(
                "a watched key that changes ends the transaction",
                self.watching(),
            )
            .await;
        report
            .check("messages of channels and patterns", self.channels())
            .await;
        report.check("keys are scanned", self.keys()).await;
        report
            .check("errors have their code words", self.errors())
            .await;
        report
            .check("what a client says on connecting", self.connecting())
            .await;
    }
}
