//! Sets.

use std::collections::HashSet;

use bytes::Bytes;

use super::{Outcome, Scan};
use crate::redis::keyspace::Keyspace;
use crate::redis::reply::Reply;

type Set = HashSet<Bytes>;

pub(super) fn add(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    keys.change(&arguments[0], |set: &mut Set| {
        let added = arguments[1..]
            .iter()
            .filter(|member| set.insert((*member).clone()));
        Ok(Reply::count(added.count()))
    })
}

pub(super) fn remove(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    keys.change(&arguments[0], |set: &mut Set| {
        let removed = arguments[1..].iter().filter(|member| set.remove(*member));
        Ok(Reply::count(removed.count()))
    })
}

pub(super) fn members(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let set = keys.collection::<Set>(&arguments[0])?;
    Ok(Reply::Set(set.into_iter().flatten().cloned().collect()))
}

pub(super) fn contains(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let set = keys.collection::<Set>(&arguments[0])?;
    Ok(Reply::flag(
        set.is_some_and(|set| set.contains(&arguments[1])),
    ))
}

pub(super) fn contain(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let set = keys.collection::<Set>(&arguments[0])?;
    let is_in = |member| Reply::flag(set.is_some_and(|set| set.contains(member)));
    Ok(Reply::Array(arguments[1..].iter().map(is_in).collect()))
}

pub(super) fn length(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(
        keys.collection::<Set>(&arguments[0])?
            .map_or(0, HashSet::len),
    ))
}

pub(super) fn scan(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let scan = Scan::parse(&arguments[1..])?;
    let empty = Set::new();
    let set = keys.collection::<Set>(&arguments[0])?.unwrap_or(&empty);
    let (next, found) = scan.step(set.len(), set.iter().cloned());
    Ok(Reply::Array(vec![next, Reply::bulks(found)]))
}
