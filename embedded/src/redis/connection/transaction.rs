//! Transactions: requests gathered between MULTI and EXEC, unless a watched key changes meanwhile.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::{Connection, Transaction};
use crate::redis::commands::{Command, check_arity};
use crate::redis::keyspace::Keyspace;
use crate::redis::now_ms;
use crate::redis::reply::{Failure, Reply};
use crate::redis::request::Request;

/// Keys that one connection may watch.
const WATCHED_MAX: usize = 10_000;

impl Connection {
    pub(super) fn multi(&mut self) -> Result<Reply, Failure> {
        if self.transaction.is_some() {
            return Err(Failure::new("ERR MULTI calls can not be nested"));
        }
        self.transaction = Some(Transaction::default());
        Ok(Reply::Ok)
    }

    /// Adds a request to the open transaction, which breaks it if the request could not run at all.
    pub(super) fn queue(&mut self, request: Request) -> Result<Reply, Failure> {
        let is_publish = request[0].eq_ignore_ascii_case(b"PUBLISH");
        let checked = match is_publish {
            true => check_arity("publish", 3, &request),
            false => Command::find(&request).map(drop),
        };
        let bytes_max = self.shared.config.query_bytes_max;
        let Some(transaction) = &mut self.transaction else {
            return Err(Failure::new("ERR EXEC without MULTI"));
        };
        let bytes = request
            .iter()
            .map(|word| word.len() + size_of::<Bytes>())
            .sum::<usize>();
        let checked = checked.and_then(|()| match transaction.bytes + bytes <= bytes_max {
            true => Ok(()),
            false => Err(Failure::new("ERR transaction too large")),
        });
        if let Err(failure) = checked {
            *transaction = Transaction {
                is_broken: true,
                ..Transaction::default()
            };
            return Err(failure);
        }
        if !transaction.is_broken {
            transaction.bytes += bytes;
            transaction.requests.push(request);
        }
        Ok(Reply::Simple("QUEUED"))
    }

    pub(super) fn exec(&mut self) -> Result<Reply, Failure> {
        let Some(transaction) = self.transaction.take() else {
            return Err(Failure::new("ERR EXEC without MULTI"));
        };
        let shared = Arc::clone(&self.shared);
        let mut keyspace = shared.keyspace();
        keyspace.pass_time(now_ms());
        let is_disturbed = self.alarm.load(Ordering::Relaxed);
        self.forget_watches(&mut keyspace);
        if transaction.is_broken {
            return Err(Failure::new(
                "EXECABORT Transaction discarded because of previous errors.",
            ));
        }
        if is_disturbed {
            return Ok(Reply::NilArray);
        }
        let replies = transaction.requests.iter().map(|request| {
            if let Some(reply) = self.publish(request) {
                return reply;
            }
            match Command::find(request) {
                Ok(command) => command.run(&mut keyspace, request),
                Err(failure) => Reply::Error(failure),
            }
        });
        Ok(Reply::Array(replies.collect()))
    }

    pub(super) fn discard(&mut self) -> Result<Reply, Failure> {
        if self.transaction.take().is_none() {
            return Err(Failure::new("ERR DISCARD without MULTI"));
        }
        self.unwatch();
        Ok(Reply::Ok)
    }

    pub(super) fn break_transaction(&mut self) {
        if let Some(transaction) = &mut self.transaction {
            transaction.is_broken = true;
        }
    }

    pub(super) fn watch(&mut self, request: &Request) -> Result<Reply, Failure> {
        if self.transaction.is_some() {
            return Err(Failure::new("ERR WATCH inside MULTI is not allowed"));
        }
        check_arity("watch", -2, request)?;
        if self.watched.len() + request.len() > WATCHED_MAX {
            return Err(Failure::new("ERR too many watched keys"));
        }
        let mut keyspace = self.shared.keyspace();
        keyspace.pass_time(now_ms());
        for key in &request[1..] {
            if !self.watched.contains(key) {
                keyspace.watch(key.clone(), &self.alarm);
                self.watched.push(key.clone());
            }
        }
        Ok(Reply::Ok)
    }

    pub(super) fn unwatch(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.forget_watches(&mut shared.keyspace());
    }

    fn forget_watches(&mut self, keyspace: &mut Keyspace) {
        for key in self.watched.drain(..) {
            keyspace.unwatch(&key, &self.alarm);
        }
        self.alarm.store(false, Ordering::Relaxed);
    }
}
