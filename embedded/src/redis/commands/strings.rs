//! Strings.

use bytes::{Bytes, BytesMut};

use super::keys::{Unit, expiry_of};
use super::{Outcome, Words};
use crate::redis::keyspace::{Keyspace, Value};
use crate::redis::number;
use crate::redis::reply::{Failure, Reply};

/// Bytes of one string, as in Redis.
const STRING_BYTES_MAX: usize = 512 * 1024 * 1024;

pub(super) fn get(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::bulk_or_nil(keys.string(&arguments[0])?))
}

pub(super) fn set(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let (key, value) = (&arguments[0], &arguments[1]);
    let mut words = Words::new(&arguments[2..]);
    let (mut only_new, mut only_old, mut wants_old, mut keeps_expiry) =
        (false, false, false, false);
    let mut expires_at = None;
    while let Some(option) = words.option() {
        if expires_at.is_some() && matches!(option.as_str(), "EX" | "PX" | "EXAT" | "PXAT") {
            return Err(Failure::syntax());
        }
        match option.as_str() {
            "NX" => only_new = true,
            "XX" => only_old = true,
            "GET" => wants_old = true,
            "KEEPTTL" => keeps_expiry = true,
            "EX" => expires_at = Some(expiry_of(keys, Unit::Seconds, words.integer()?, "set")?),
            "PX" => expires_at = Some(expiry_of(keys, Unit::Millis, words.integer()?, "set")?),
            "EXAT" => expires_at = Some(expiry_of(keys, Unit::AtSeconds, words.integer()?, "set")?),
            "PXAT" => expires_at = Some(expiry_of(keys, Unit::AtMillis, words.integer()?, "set")?),
            _ => return Err(Failure::syntax()),
        }
    }
    if (only_new && only_old) || (keeps_expiry && expires_at.is_some()) {
        return Err(Failure::syntax());
    }
    let old = if wants_old { keys.string(key)? } else { None };
    let is_there = keys.contains(key);
    let refused = (only_new && is_there) || (only_old && !is_there);
    if !refused {
        let expires_at = if keeps_expiry {
            keys.expires_at(key)
        } else {
            expires_at
        };
        keys.put(key.clone(), Value::String(value.clone()));
        keys.set_expiry(key, expires_at);
    }
    Ok(match (wants_old, refused) {
        (true, _) => Reply::bulk_or_nil(old),
        (false, true) => Reply::Nil,
        (false, false) => Reply::Ok,
    })
}

pub(super) fn set_seconds(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    set_for(keys, arguments, Unit::Seconds, "setex")
}

pub(super) fn set_millis(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    set_for(keys, arguments, Unit::Millis, "psetex")
}

fn set_for(keys: &mut Keyspace, arguments: &[Bytes], unit: Unit, command: &str) -> Outcome {
    let expires_at = expiry_of(keys, unit, number::integer(&arguments[1])?, command)?;
    keys.put(arguments[0].clone(), Value::String(arguments[2].clone()));
    keys.set_expiry(&arguments[0], Some(expires_at));
    Ok(Reply::Ok)
}

pub(super) fn set_new(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let is_new = !keys.contains(&arguments[0]);
    if is_new {
        keys.put(arguments[0].clone(), Value::String(arguments[1].clone()));
    }
    Ok(Reply::flag(is_new))
}

pub(super) fn take(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let value = keys.string(&arguments[0])?;
    keys.remove(&arguments[0]);
    Ok(Reply::bulk_or_nil(value))
}

pub(super) fn get_many(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let values = arguments
        .iter()
        .map(|key| Reply::bulk_or_nil(keys.string(key).unwrap_or_default()));
    Ok(Reply::Array(values.collect()))
}

pub(super) fn set_many(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let (pairs, rest) = arguments.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Failure::wrong_arity("mset"));
    }
    for [key, value] in pairs {
        keys.put(key.clone(), Value::String(value.clone()));
    }
    Ok(Reply::Ok)
}

pub(super) fn append(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let mut value = BytesMut::from(&*keys.string(&arguments[0])?.unwrap_or_default());
    if value.len() + arguments[1].len() > STRING_BYTES_MAX {
        return Err(Failure::new(
            "ERR string exceeds maximum allowed size (512MB)",
        ));
    }
    value.extend_from_slice(&arguments[1]);
    let length = value.len();
    keys.update_string(&arguments[0], value.freeze());
    Ok(Reply::count(length))
}

pub(super) fn length(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(
        keys.string(&arguments[0])?.map_or(0, |value| value.len()),
    ))
}

pub(super) fn increment(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    add(keys, &arguments[0], 1)
}

pub(super) fn decrement(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    add(keys, &arguments[0], -1)
}

pub(super) fn increment_by(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    add(keys, &arguments[0], number::integer(&arguments[1])?)
}

pub(super) fn decrement_by(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let by = number::integer(&arguments[1])?.checked_neg();
    let by = by.ok_or_else(|| Failure::new("ERR decrement would overflow"))?;
    add(keys, &arguments[0], by)
}

fn add(keys: &mut Keyspace, key: &Bytes, by: i64) -> Outcome {
    let value = keys
        .string(key)?
        .map_or(Ok(0), |value| number::integer(&value))?;
    let value = value.checked_add(by);
    let value = value.ok_or_else(|| Failure::new("ERR increment or decrement would overflow"))?;
    keys.update_string(key, value.to_string().into());
    Ok(Reply::Integer(value))
}
