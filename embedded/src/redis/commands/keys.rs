//! Keys of any kind, and when they expire.

use bytes::Bytes;

use super::{Outcome, Scan, Words};
use crate::redis::keyspace::Keyspace;
use crate::redis::reply::{Failure, Reply};
use crate::redis::{glob, number, scan};

/// How a time is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    AtSeconds,
    AtMillis,
}

// === impl Unit ===

impl Unit {
    /// The moment in milliseconds since 1970; `None` when it is beyond all reason.
    fn moment(self, time: i64, now_ms: u64) -> Option<i64> {
        let now_ms = i64::try_from(now_ms).ok()?;
        match self {
            Unit::Seconds => time.checked_mul(1000)?.checked_add(now_ms),
            Unit::Millis => time.checked_add(now_ms),
            Unit::AtSeconds => time.checked_mul(1000),
            Unit::AtMillis => Some(time),
        }
    }
}

/// When a new value expires: only a positive time will do.
pub(super) fn expiry_of(
    keys: &Keyspace,
    unit: Unit,
    time: i64,
    command: &str,
) -> Result<u64, Failure> {
    let moment = unit.moment(time, keys.now_ms()).filter(|_| time > 0);
    let moment = moment.and_then(|moment| u64::try_from(moment).ok());
    moment.ok_or_else(|| invalid_expiry(command))
}

pub(super) fn expire_seconds(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    expire(keys, arguments, Unit::Seconds, "expire")
}

pub(super) fn expire_millis(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    expire(keys, arguments, Unit::Millis, "pexpire")
}

pub(super) fn expire_at_seconds(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    expire(keys, arguments, Unit::AtSeconds, "expireat")
}

pub(super) fn expire_at_millis(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    expire(keys, arguments, Unit::AtMillis, "pexpireat")
}

fn expire(keys: &mut Keyspace, arguments: &[Bytes], unit: Unit, command: &str) -> Outcome {
    let key = &arguments[0];
    let time = number::integer(&arguments[1])?;
    let moment = unit
        .moment(time, keys.now_ms())
        .ok_or_else(|| invalid_expiry(command))?;
    // A time before 1970 is in the past like any other.
    let moment = u64::try_from(moment).unwrap_or(0);
    let mut words = Words::new(&arguments[2..]);
    let now = keys.expires_at(key);
    let mut allowed = keys.contains(key);
    while let Some(option) = words.option() {
        allowed &= match option.as_str() {
            "NX" => now.is_none(),
            "XX" => now.is_some(),
            "GT" => now.is_some_and(|now| moment > now),
            "LT" => now.is_none_or(|now| moment < now),
            _ => {
                return Err(Failure::new(format!(
                    "ERR Unsupported option {}",
                    option.to_ascii_lowercase()
                )));
            }
        };
    }
    if allowed {
        keys.set_expiry(key, Some(moment));
    }
    Ok(Reply::flag(allowed))
}

pub(super) fn persist(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let expires = keys.expires_at(&arguments[0]).is_some();
    if expires {
        keys.set_expiry(&arguments[0], None);
    }
    Ok(Reply::flag(expires))
}

pub(super) fn seconds_left(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::Integer(match left(keys, &arguments[0]) {
        Ok(millis) => millis.saturating_add(500) / 1000,
        Err(code) => code,
    }))
}

pub(super) fn millis_left(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::Integer(
        left(keys, &arguments[0]).unwrap_or_else(|code| code),
    ))
}

/// Milliseconds until a key expires, or the number that says why it doesn't.
fn left(keys: &Keyspace, key: &Bytes) -> Result<i64, i64> {
    const NO_KEY: i64 = -2;
    const NO_EXPIRY: i64 = -1;
    if !keys.contains(key) {
        return Err(NO_KEY);
    }
    let moment = keys.expires_at(key).ok_or(NO_EXPIRY)?;
    Ok(i64::try_from(moment.saturating_sub(keys.now_ms())).unwrap_or(i64::MAX))
}

pub(super) fn delete(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let removed = arguments.iter().filter(|key| keys.remove(key).is_some());
    Ok(Reply::count(removed.count()))
}

pub(super) fn exist(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(
        arguments.iter().filter(|key| keys.contains(key)).count(),
    ))
}

pub(super) fn kind(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::Simple(
        keys.value(&arguments[0])
            .map_or("none", |value| value.kind()),
    ))
}

pub(super) fn rename(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    match keys.rename(&arguments[0], &arguments[1]) {
        true => Ok(Reply::Ok),
        false => Err(Failure::new("ERR no such key")),
    }
}

pub(super) fn matching(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let found = keys.keys().filter(|key| glob::matches(&arguments[0], key));
    Ok(Reply::bulks(found.cloned()))
}

pub(super) fn scan(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let scan = Scan::parse(arguments)?;
    let (next, found) = scan::step(keys.keys().cloned(), scan.cursor, scan.count);
    let mut found = scan.matching(found);
    if let Some(kind) = &scan.kind {
        found.retain(|key| keys.value(key).is_some_and(|value| value.kind() == kind));
    }
    Ok(Reply::Array(vec![
        Reply::text(next.to_string()),
        Reply::bulks(found),
    ]))
}

pub(super) fn count(keys: &mut Keyspace, _: &[Bytes]) -> Outcome {
    Ok(Reply::count(keys.len()))
}

pub(super) fn clear(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let mut words = Words::new(arguments);
    if !arguments.is_empty() && !words.take("SYNC") && !words.take("ASYNC") {
        return Err(Failure::syntax());
    }
    keys.clear();
    Ok(Reply::Ok)
}

fn invalid_expiry(command: &str) -> Failure {
    Failure::new(format!("ERR invalid expire time in '{command}' command"))
}
