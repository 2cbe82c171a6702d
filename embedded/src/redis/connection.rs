//! One client's connection: requests in, replies out in the same order, messages of channels in between.

mod subscription;
mod transaction;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::commands::{Command, check_arity};
use super::keyspace::{Alarm, Keyspace};
use super::now_ms;
use super::pubsub::{Channels, Mailbox};
use super::reply::{Failure, Protocol, Reply};
use super::request::{Decoder, Request};
use super::{Config, number};
use crate::mutex::lock;

/// The version of Redis that this server answers like.
pub(super) const VERSION: &str = "7.2.0";

/// Replies gathered before they are written. A client that does not read them is not read from either.
const REPLY_BYTES_GATHERED: usize = 64 * 1024;

/// Bytes read from the socket at a time.
const READ_BYTES: usize = 16 * 1024;

/// What all connections share.
pub(super) struct Shared {
    keyspace: Mutex<Keyspace>,
    channels: Mutex<Channels>,
    config: Config,
}

/// Why a connection is closed from this side.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error("the socket failed")]
    Socket(#[from] io::Error),
    #[error("cannot read the request: {0}")]
    Request(Failure),
    #[error("the subscriber is too slow")]
    SlowSubscriber,
}

/// What a connection knows of its client.
struct Connection {
    shared: Arc<Shared>,
    id: u64,
    name: Option<Bytes>,
    protocol: Protocol,
    transaction: Option<Transaction>,
    watched: Vec<Bytes>,
    alarm: Alarm,
    mailbox: Option<Mailbox>,
    is_closing: bool,
}

/// Requests between MULTI and EXEC.
#[derive(Default)]
struct Transaction {
    requests: Vec<Request>,
    bytes: usize,
    is_broken: bool,
}

// === impl Shared ===

impl Shared {
    pub(super) fn new(config: Config) -> Shared {
        Shared {
            keyspace: Mutex::default(),
            channels: Mutex::new(Channels::new(config.subscriber_bytes_max)),
            config,
        }
    }

    pub(super) fn keyspace(&self) -> MutexGuard<'_, Keyspace> {
        lock(&self.keyspace)
    }

    fn channels(&self) -> MutexGuard<'_, Channels> {
        lock(&self.channels)
    }
}

/// Answers requests until the client hangs up, asks to be closed, or sends what can't be read.
pub(super) async fn serve(
    shared: Arc<Shared>,
    mut socket: TcpStream,
    id: u64,
) -> Result<(), ConnectionError> {
    socket.set_nodelay(true)?;
    let mut decoder = Decoder::new(shared.config.query_bytes_max);
    let mut connection = Connection::new(shared, id);
    let mut out = BytesMut::new();
    loop {
        while let Some(request) = connection.next_request(&mut decoder, &mut out) {
            let request = match request {
                Ok(request) => request,
                Err(failure) => {
                    socket.write_all(&out).await?;
                    return Err(ConnectionError::Request(failure));
                }
            };
            connection.answer(request, &mut out);
            if out.len() >= REPLY_BYTES_GATHERED {
                socket.write_all(&out.split()).await?;
            }
            if connection.is_closing {
                socket.write_all(&out).await?;
                return Ok(());
            }
        }
        connection.drain_messages(&mut out);
        if !out.is_empty() {
            socket.write_all(&out.split()).await?;
        }
        decoder.buffer().reserve(READ_BYTES);
        tokio::select! {
            read = socket.read_buf(decoder.buffer()) => {
                if read? == 0 {
                    return Ok(());
                }
            }
            message = connection.message() => {
                message.ok_or(ConnectionError::SlowSubscriber)?.write(&mut out, connection.protocol);
            }
        }
    }
}

// === impl Connection ===

impl Connection {
    fn new(shared: Arc<Shared>, id: u64) -> Connection {
        Connection {
            shared,
            id,
            name: None,
            protocol: Protocol::default(),
            transaction: None,
            watched: Vec::new(),
            alarm: Alarm::default(),
            mailbox: None,
            is_closing: false,
        }
    }

    /// The next request, if it has arrived; its error is written out as a last reply.
    fn next_request(
        &self,
        decoder: &mut Decoder,
        out: &mut BytesMut,
    ) -> Option<Result<Request, Failure>> {
        let request = decoder.next().transpose()?;
        Some(request.inspect_err(|failure| Reply::Error(failure.clone()).write(out, self.protocol)))
    }

    /// Waits for a message of a channel; forever if none is subscribed to.
    async fn message(&mut self) -> Option<Reply> {
        match &mut self.mailbox {
            Some(mailbox) => mailbox.next().await,
            None => std::future::pending().await,
        }
    }

    fn drain_messages(&mut self, out: &mut BytesMut) {
        while out.len() < REPLY_BYTES_GATHERED
            && let Some(message) = self.mailbox.as_mut().and_then(Mailbox::try_next)
        {
            message.write(out, self.protocol);
        }
    }

    fn answer(&mut self, request: Request, out: &mut BytesMut) {
        let name = String::from_utf8_lossy(&request[0]).to_ascii_uppercase();
        if let Some(replies) = self.subscribe(&name, &request) {
            for reply in replies {
                reply.write(out, self.protocol);
            }
            return;
        }
        let reply = match self.own(&name, &request) {
            Some(outcome) => outcome.into(),
            None if self.transaction.is_some() => self.queue(request).into(),
            None => self.run(&request),
        };
        reply.write(out, self.protocol);
    }

    /// The commands that are about the connection rather than about keys.
    fn own(&mut self, name: &str, request: &Request) -> Option<Result<Reply, Failure>> {
        let arguments = &request[1..];
        Some(match name {
            "MULTI" => check_arity(name, 1, request).and_then(|()| self.multi()),
            "EXEC" => check_arity(name, 1, request).and_then(|()| self.exec()),
            "DISCARD" => check_arity(name, 1, request).and_then(|()| self.discard()),
            "WATCH" => self.watch(request),
            "UNWATCH" if self.transaction.is_none() => check_arity(name, 1, request).map(|()| {
                self.unwatch();
                Reply::Ok
            }),
            "HELLO" => self.hello(arguments),
            "CLIENT" => self.client(request),
            "SELECT" => {
                check_arity(name, 2, request).and_then(|()| match number::integer(&arguments[0])? {
                    0 => Ok(Reply::Ok),
                    _ => Err(Failure::new("ERR DB index is out of range")),
                })
            }
            "AUTH" => Err(Failure::new(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            )),
            "READONLY" | "READWRITE" => Err(Failure::new(
                "ERR This instance has cluster support disabled",
            )),
            "QUIT" => {
                self.is_closing = true;
                Ok(Reply::Ok)
            }
            "RESET" => {
                self.transaction = None;
                self.unwatch();
                self.shared.channels().close(self.id);
                self.mailbox = None;
                self.protocol = Protocol::default();
                Ok(Reply::Simple("RESET"))
            }
            "PING" if self.protocol == Protocol::Resp2 && self.is_subscribed() => {
                let text = arguments.first().cloned().unwrap_or_default();
                Ok(Reply::Array(vec![Reply::text("pong"), Reply::Bulk(text)]))
            }
            _ => return None,
        })
    }

    fn run(&self, request: &Request) -> Reply {
        if let Some(reply) = self.publish(request) {
            return reply;
        }
        match Command::find(request) {
            Ok(command) => {
                let mut keyspace = self.shared.keyspace();
                keyspace.pass_time(now_ms());
                command.run(&mut keyspace, request)
            }
            Err(failure) => Reply::Error(failure),
        }
    }

    fn publish(&self, request: &Request) -> Option<Reply> {
        if !request[0].eq_ignore_ascii_case(b"PUBLISH") {
            return None;
        }
        let published = check_arity("publish", 3, request).map(|()| {
            let reached = self.shared.channels().publish(&request[1], &request[2]);
            Reply::count(reached)
        });
        Some(published.into())
    }

    fn hello(&mut self, arguments: &[Bytes]) -> Result<Reply, Failure> {
        let protocol = match arguments.first().map(|version| &version[..]) {
            None => self.protocol,
            Some(b"2") => Protocol::Resp2,
            Some(b"3") => Protocol::Resp3,
            Some(_) => return Err(Failure::new("NOPROTO unsupported protocol version")),
        };
        let mut options = arguments.iter().skip(1);
        while let Some(option) = options.next() {
            match option.to_ascii_uppercase().as_slice() {
                b"SETNAME" => self.name = Some(options.next().ok_or_else(Failure::syntax)?.clone()),
                // Without passwords the default user may do everything, and there is no other.
                b"AUTH" => {
                    let (_user, _password) =
                        (options.next(), options.next().ok_or_else(Failure::syntax)?);
                }
                _ => return Err(Failure::syntax()),
            }
        }
        self.protocol = protocol;
        let version = match protocol {
            Protocol::Resp2 => 2,
            Protocol::Resp3 => 3,
        };
        let field = |name: &str, value| (Reply::text(name), value);
        Ok(Reply::Map(vec![
            field("server", Reply::text("redis")),
            field("version", Reply::text(VERSION)),
            field("proto", Reply::Integer(version)),
            field("id", Reply::Integer(self.id.cast_signed())),
            field("mode", Reply::text("standalone")),
            field("role", Reply::text("master")),
            field("modules", Reply::Array(Vec::new())),
        ]))
    }

    fn client(&mut self, request: &Request) -> Result<Reply, Failure> {
        check_arity("client", -2, request)?;
        match (request[1].to_ascii_uppercase().as_slice(), &request[2..]) {
            (b"ID", []) => Ok(Reply::Integer(self.id.cast_signed())),
            (b"GETNAME", []) => Ok(Reply::bulk_or_nil(self.name.clone())),
            (b"SETNAME", [name]) => {
                self.name = Some(name.clone());
                Ok(Reply::Ok)
            }
            (b"SETINFO", [_, _]) | (b"NO-EVICT" | b"NO-TOUCH", [_]) => Ok(Reply::Ok),
            _ => Err(Failure::new(
                "ERR unknown subcommand or wrong number of arguments for 'client' command",
            )),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.channels().close(self.id);
        self.unwatch();
    }
}
