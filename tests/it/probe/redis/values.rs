//! Strings, hashes, sets, and when keys expire.

use std::collections::BTreeMap;

use super::{LOOK, Server};
use crate::probe::{Outcome, ensure, fresh, same};

impl Server {
    pub(super) async fn strings(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("string"));
        calls.call::<()>(&format!("SET {key} 5")).await?;
        same(
            "GET",
            calls.call::<String>(&format!("GET {key}")).await?,
            "5".into(),
        )?;
        same("INCR", calls.call::<i64>(&format!("INCR {key}")).await?, 6)?;
        same(
            "DECRBY",
            calls.call::<i64>(&format!("DECRBY {key} 10")).await?,
            -4,
        )?;
        same(
            "STRLEN",
            calls.call::<i64>(&format!("STRLEN {key}")).await?,
            2,
        )?;
        let both: Vec<Option<i64>> = calls.call(&format!("MGET {key} {key}-missing")).await?;
        same("MGET", both, vec![Some(-4), None])?;
        same(
            "GETDEL",
            calls.call::<i64>(&format!("GETDEL {key}")).await?,
            -4,
        )?;
        same(
            "GET",
            calls.call::<Option<String>>(&format!("GET {key}")).await?,
            None,
        )
    }

    pub(super) async fn taken_once(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("once"));
        let set = format!("SET {key} 1 NX PX 60000");
        same(
            "first",
            calls.call::<Option<String>>(&set).await?,
            Some("OK".into()),
        )?;
        same("second", calls.call::<Option<String>>(&set).await?, None)?;
        let left: i64 = calls.call(&format!("PTTL {key}")).await?;
        ensure((50_000..=60_000).contains(&left), format!("PTTL {left}"))?;
        let updated: Option<String> = calls.call(&format!("SET {key} 2 XX GET KEEPTTL")).await?;
        same("old value", updated, Some("1".into()))?;
        ensure(
            calls.call::<i64>(&format!("PTTL {key}")).await? > 0,
            "the expiry is gone",
        )
    }

    pub(super) async fn expiry(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("expiry"));
        calls.call::<()>(&format!("SET {key} 1")).await?;
        same("TTL", calls.call::<i64>(&format!("TTL {key}")).await?, -1)?;
        same(
            "EXPIRE",
            calls.call::<i64>(&format!("EXPIRE {key} 100")).await?,
            1,
        )?;
        same(
            "EXPIRE NX",
            calls.call::<i64>(&format!("EXPIRE {key} 200 NX")).await?,
            0,
        )?;
        same(
            "EXPIRE GT",
            calls.call::<i64>(&format!("EXPIRE {key} 50 GT")).await?,
            0,
        )?;
        same("TTL", calls.call::<i64>(&format!("TTL {key}")).await?, 100)?;
        same(
            "PERSIST",
            calls.call::<i64>(&format!("PERSIST {key}")).await?,
            1,
        )?;
        same(
            "PEXPIRE",
            calls.call::<i64>(&format!("PEXPIRE {key} 20")).await?,
            1,
        )?;
        while calls.call::<bool>(&format!("EXISTS {key}")).await? {
            tokio::time::sleep(LOOK).await;
        }
        same("TTL", calls.call::<i64>(&format!("TTL {key}")).await?, -2)
    }

    pub(super) async fn hashes(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("hash"));
        same(
            "HSET",
            calls.call::<i64>(&format!("HSET {key} a 1 b 2")).await?,
            2,
        )?;
        same(
            "HSET",
            calls.call::<i64>(&format!("HSET {key} a 3 c 4")).await?,
            1,
        )?;
        same(
            "HSETNX",
            calls.call::<i64>(&format!("HSETNX {key} a 9")).await?,
            0,
        )?;
        let some: Vec<Option<i64>> = calls.call(&format!("HMGET {key} a x b")).await?;
        same("HMGET", some, vec![Some(3), None, Some(2)])?;
        let all: BTreeMap<String, i64> = calls.call(&format!("HGETALL {key}")).await?;
        same(
            "HGETALL",
            all,
            BTreeMap::from([("a".into(), 3), ("b".into(), 2), ("c".into(), 4)]),
        )?;
        same(
            "HINCRBY",
            calls.call::<i64>(&format!("HINCRBY {key} n -2")).await?,
            -2,
        )?;
        same(
            "HDEL",
            calls.call::<i64>(&format!("HDEL {key} a b c n x")).await?,
            4,
        )?;
        same(
            "gone",
            calls.call::<bool>(&format!("EXISTS {key}")).await?,
            false,
        )
    }

    pub(super) async fn sets(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("set"));
        same(
            "SADD",
            calls.call::<i64>(&format!("SADD {key} a b a c")).await?,
            3,
        )?;
        same(
            "SREM",
            calls.call::<i64>(&format!("SREM {key} a x")).await?,
            1,
        )?;
        same(
            "SCARD",
            calls.call::<i64>(&format!("SCARD {key}")).await?,
            2,
        )?;
        same(
            "SISMEMBER",
            calls.call::<bool>(&format!("SISMEMBER {key} b")).await?,
            true,
        )?;
        let some: Vec<i64> = calls.call(&format!("SMISMEMBER {key} a b")).await?;
        same("SMISMEMBER", some, vec![0, 1])?;
        let mut members: Vec<String> = calls.call(&format!("SMEMBERS {key}")).await?;
        members.sort();
        same("SMEMBERS", members, vec!["b".into(), "c".into()])
    }
}
