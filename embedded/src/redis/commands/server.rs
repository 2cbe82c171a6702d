//! What the server says of itself.

use std::{
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

use super::Outcome;
use crate::redis::connection::VERSION;
use crate::redis::keyspace::Keyspace;
use crate::redis::reply::{Failure, Reply};

pub(super) fn ping(_: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    match arguments {
        [] => Ok(Reply::Simple("PONG")),
        [text] => Ok(Reply::Bulk(text.clone())),
        _ => Err(Failure::wrong_arity("ping")),
    }
}

pub(super) fn echo(_: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::Bulk(arguments[0].clone()))
}

pub(super) fn time(keys: &mut Keyspace, _: &[Bytes]) -> Outcome {
    let now_ms = keys.now_ms();
    let (seconds, micros) = (now_ms / 1000, now_ms % 1000 * 1000);
    Ok(Reply::Array(vec![
        Reply::text(seconds.to_string()),
        Reply::text(micros.to_string()),
    ]))
}

/// Names this run, as a server does in its own information.
static RUN: LazyLock<String> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let nanos = since.map_or(0, |elapsed| elapsed.as_nanos());
    format!("{:08x}{nanos:032x}", std::process::id())
});

pub(super) fn info(keys: &mut Keyspace, sections: &[Bytes]) -> Outcome {
    let is_calls = |section: &Bytes| section.eq_ignore_ascii_case(b"commandstats");
    if sections.iter().any(is_calls) {
        return Ok(Reply::text(calls(keys)));
    }
    let (keys, run) = (keys.len(), &*RUN);
    Ok(Reply::text(format!(
        "# Server\r\nredis_version:{VERSION}\r\nredis_mode:standalone\r\nrun_id:{run}\r\n\
         # Replication\r\nrole:master\r\nconnected_slaves:0\r\n\
         # Cluster\r\ncluster_enabled:0\r\n\
         # Keyspace\r\ndb0:keys={keys},expires=0,avg_ttl=0\r\n"
    )))
}

/// How often each command was carried out; the times a server tells beside are left out.
fn calls(keys: &Keyspace) -> String {
    let lines = keys.calls().iter().map(|(command, calls)| {
        let command = command.to_ascii_lowercase();
        format!("cmdstat_{command}:calls={calls}\r\n")
    });
    std::iter::once("# Commandstats\r\n".to_owned())
        .chain(lines)
        .collect()
}

/// Clients that ask for the table of commands do without it.
pub(super) fn commands(_: &mut Keyspace, _: &[Bytes]) -> Outcome {
    Ok(Reply::Array(Vec::new()))
}

/// Inside of a transaction, where it comes too late to matter.
pub(super) fn unwatch(_: &mut Keyspace, _: &[Bytes]) -> Outcome {
    Ok(Reply::Ok)
}
