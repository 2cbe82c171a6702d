//! Hashes: fields with values under one key.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Outcome, Scan};
use crate::redis::keyspace::Keyspace;
use crate::redis::number;
use crate::redis::reply::{Failure, Reply};

type Hash = BTreeMap<Bytes, Bytes>;

pub(super) fn set(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(put(keys, arguments, "hset")?))
}

pub(super) fn set_ok(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    put(keys, arguments, "hmset")?;
    Ok(Reply::Ok)
}

fn put(keys: &mut Keyspace, arguments: &[Bytes], command: &str) -> Result<usize, Failure> {
    let (pairs, rest) = arguments[1..].as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Failure::wrong_arity(command));
    }
    keys.change(&arguments[0], |hash: &mut Hash| {
        let added = pairs
            .iter()
            .filter(|[field, value]| hash.insert(field.clone(), value.clone()).is_none());
        Ok(added.count())
    })
}

pub(super) fn set_new(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    keys.change(&arguments[0], |hash: &mut Hash| {
        let is_new = !hash.contains_key(&arguments[1]);
        if is_new {
            hash.insert(arguments[1].clone(), arguments[2].clone());
        }
        Ok(Reply::flag(is_new))
    })
}

pub(super) fn get(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let hash = keys.collection::<Hash>(&arguments[0])?;
    Ok(Reply::bulk_or_nil(
        hash.and_then(|hash| hash.get(&arguments[1])).cloned(),
    ))
}

pub(super) fn get_many(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let hash = keys.collection::<Hash>(&arguments[0])?;
    let value = |field| Reply::bulk_or_nil(hash.and_then(|hash| hash.get(field)).cloned());
    Ok(Reply::Array(arguments[1..].iter().map(value).collect()))
}

pub(super) fn get_all(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let hash = keys
        .collection::<Hash>(&arguments[0])?
        .into_iter()
        .flatten();
    let entries =
        hash.map(|(field, value)| (Reply::Bulk(field.clone()), Reply::Bulk(value.clone())));
    Ok(Reply::Map(entries.collect()))
}

pub(super) fn fields(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let hash = keys
        .collection::<Hash>(&arguments[0])?
        .into_iter()
        .flatten();
    Ok(Reply::bulks(hash.map(|(field, _)| field.clone())))
}

pub(super) fn values(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let hash = keys
        .collection::<Hash>(&arguments[0])?
        .into_iter()
        .flatten();
    Ok(Reply::bulks(hash.map(|(_, value)| value.clone())))
}

pub(super) fn length(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(
        keys.collection::<Hash>(&arguments[0])?
            .map_or(0, BTreeMap::len),
    ))
}

pub(super) fn exists(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let hash = keys.collection::<Hash>(&arguments[0])?;
    Ok(Reply::flag(
        hash.is_some_and(|hash| hash.contains_key(&arguments[1])),
    ))
}

pub(super) fn delete(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    keys.change(&arguments[0], |hash: &mut Hash| {
        let removed = arguments[1..]
            .iter()
            .filter(|field| hash.remove(*field).is_some());
        Ok(Reply::count(removed.count()))
    })
}

pub(super) fn increment(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let by = number::integer(&arguments[2])?;
    keys.change(&arguments[0], |hash: &mut Hash| {
        let old = hash
            .get(&arguments[1])
            .map_or(Ok(0), |value| number::integer(value));
        let old = old.map_err(|_| Failure::new("ERR hash value is not an integer"))?;
        let new = old.checked_add(by);
        let new = new.ok_or_else(|| Failure::new("ERR increment or decrement would overflow"))?;
        hash.insert(arguments[1].clone(), new.to_string().into());
        Ok(Reply::Integer(new))
    })
}

pub(super) fn scan(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let scan = Scan::parse(&arguments[1..])?;
    let empty = Hash::new();
    let hash = keys.collection::<Hash>(&arguments[0])?.unwrap_or(&empty);
    let (next, found) = scan.step(hash.len(), hash.keys().cloned());
    let entries = found.into_iter().flat_map(|field| {
        let value = hash.get(&field).cloned().unwrap_or_default();
        [field, value]
    });
    Ok(Reply::Array(vec![next, Reply::bulks(entries)]))
}
