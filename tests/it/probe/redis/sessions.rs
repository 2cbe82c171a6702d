//! What spans several commands, keys or connections.

use futures_util::StreamExt;
use redis::{Client, Value};

use super::Server;
use crate::probe::{Outcome, ensure, fresh, same};

impl Server {
    pub(super) async fn pipeline(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("pipe"));
        let mut pipe = redis::pipe();
        for number in 1..=1000 {
            pipe.cmd("INCRBY").arg(&key).arg(number);
        }
        let sums: Vec<i64> = pipe.query_async(&mut calls.0).await?;
        let expected = (1..=1000).scan(0, |sum, number| {
            *sum += number;
            Some(*sum)
        });
        same("sums", sums, expected.collect())
    }

    pub(super) async fn transaction(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("multi"));
        let mut pipe = redis::pipe();
        pipe.atomic()
            .cmd("INCR")
            .arg(&key)
            .cmd("SADD")
            .arg(format!("{key}-set"))
            .arg("a")
            .cmd("GET")
            .arg(&key);
        let done: (i64, i64, i64) = pipe.query_async(&mut calls.0).await?;
        same("replies", done, (1, 1, 1))?;
        calls.call::<()>("MULTI").await?;
        same(
            "queued",
            calls.call::<String>(&format!("INCR {key}")).await?,
            "QUEUED".into(),
        )?;
        calls.refused("NOSUCHCOMMAND").await?;
        let error = calls.refused("EXEC").await?;
        ensure(
            error.to_uppercase().contains("EXECABORT") || error.contains("discarded"),
            error,
        )?;
        same(
            "nothing done",
            calls.call::<i64>(&format!("GET {key}")).await?,
            1,
        )
    }

    pub(super) async fn swap(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("swap"));
        calls.call::<i64>(&format!("ZADD {key} 1 old")).await?;
        calls
            .call::<i64>(&format!("ZADD {key}-draft 2 new"))
            .await?;
        calls.call::<i64>(&format!("EXPIRE {key}-draft 60")).await?;
        let mut pipe = redis::pipe();
        pipe.atomic()
            .cmd("RENAME")
            .arg(format!("{key}-draft"))
            .arg(&key)
            .ignore();
        pipe.cmd("PERSIST").arg(&key).ignore();
        pipe.query_async::<()>(&mut calls.0).await?;
        same(
            "members",
            calls
                .call::<Vec<String>>(&format!("ZRANGE {key} 0 -1"))
                .await?,
            vec!["new".into()],
        )?;
        same("TTL", calls.call::<i64>(&format!("TTL {key}")).await?, -1)?;
        let error = calls.refused(&format!("RENAME {key}-draft {key}")).await?;
        ensure(error.contains("no such key"), error)
    }

    pub(super) async fn watching(&self) -> Outcome {
        let (mut calls, mut other, key) =
            (self.calls().await?, self.calls().await?, fresh("watch"));
        for (disturbed, expected) in [(true, "theirs"), (false, "ours")] {
            calls.call::<()>(&format!("WATCH {key}")).await?;
            if disturbed {
                other.call::<()>(&format!("SET {key} theirs")).await?;
            }
            calls.call::<()>("MULTI").await?;
            calls.call::<()>(&format!("SET {key} ours")).await?;
            let done: Value = calls.call("EXEC").await?;
            same("ended", done == Value::Nil, disturbed)?;
            same(
                "value",
                calls.call::<String>(&format!("GET {key}")).await?,
                expected.into(),
            )?;
        }
        Ok(())
    }

    pub(super) async fn channels(&self) -> Outcome {
        let (mut calls, name) = (self.calls().await?, fresh("channel"));
        let mut listener = Client::open(format!("redis://{}/", self.addr))?
            .get_async_pubsub()
            .await?;
        listener.subscribe(&name).await?;
        listener.psubscribe(format!("{name}*")).await?;
        same(
            "reached",
            calls.call::<i64>(&format!("PUBLISH {name} hello")).await?,
            2,
        )?;
        same(
            "others",
            calls
                .call::<i64>(&format!("PUBLISH {name}-more hi"))
                .await?,
            1,
        )?;
        let mut payloads = Vec::new();
        for _ in 0..3 {
            let message = listener.on_message().next().await.ok_or("no message")?;
            payloads.push((
                message.get_channel_name().to_owned(),
                message.get_payload::<String>()?,
            ));
        }
        payloads.sort();
        let hello = (name.clone(), "hello".to_owned());
        same(
            "messages",
            payloads,
            vec![hello.clone(), hello, (format!("{name}-more"), "hi".into())],
        )?;
        listener.unsubscribe(&name).await?;
        same(
            "after",
            calls.call::<i64>(&format!("PUBLISH {name} hello")).await?,
            1,
        )
    }

    pub(super) async fn keys(&self) -> Outcome {
        let (mut calls, prefix) = (self.calls().await?, fresh("keys"));
        for number in 0..50 {
            calls
                .call::<()>(&format!("SET {prefix}:{number} x"))
                .await?;
        }
        let (mut cursor, mut found) = (0_u64, Vec::new());
        loop {
            let (next, some): (u64, Vec<String>) = calls
                .call(&format!(
                    "SCAN {cursor} MATCH {prefix}:1* COUNT 20 TYPE string"
                ))
                .await?;
            found.extend(some);
            if next == 0 {
                break;
            }
            cursor = next;
        }
        found.sort();
        found.dedup();
        same("found", found.len(), 11)?;
        let all: Vec<String> = calls.call(&format!("KEYS {prefix}:?")).await?;
        same("KEYS", all.len(), 10)?;
        same(
            "DEL",
            calls
                .call::<i64>(&format!("DEL {prefix}:0 {prefix}:1 {prefix}:x"))
                .await?,
            2,
        )
    }

    pub(super) async fn errors(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("errors"));
        calls.call::<i64>(&format!("HSET {key} a 1")).await?;
        let cases = [
            (format!("INCR {key}"), "WRONGTYPE"),
            (format!("GET {key}"), "WRONGTYPE"),
            (format!("XADD {key} 1-0 a b"), "WRONGTYPE"),
            ("GET".into(), "wrong number of arguments"),
            ("NOSUCHCOMMAND a".into(), "unknown command"),
            (format!("SET {key} 1 NX XX"), "syntax error"),
            (format!("HINCRBY {key} a x"), "not an integer"),
            (format!("ZADD {key}-z x a"), "not a valid float"),
            (format!("XADD {key}-x abc a b"), "Invalid stream ID"),
            (format!("SET {key} 1 EX 0"), "invalid expire time"),
            ("EXEC".into(), "EXEC without MULTI"),
        ];
        for (words, expected) in cases {
            let error = calls.refused(&words).await?;
            ensure(
                error.to_lowercase().contains(&expected.to_lowercase()),
                format!("{words}: {error}"),
            )?;
        }
        Ok(())
    }

    pub(super) async fn connecting(&self) -> Outcome {
        let mut calls = self.calls().await?;
        // Clients send this unasked and live with older servers that don't know it.
        let _ = calls.call::<Value>("CLIENT SETINFO LIB-NAME probe").await;
        calls.call::<()>("CLIENT SETNAME probe").await?;
        same(
            "name",
            calls.call::<String>("CLIENT GETNAME").await?,
            "probe".into(),
        )?;
        same("PING", calls.call::<String>("PING").await?, "PONG".into())?;
        same(
            "ECHO",
            calls.call::<String>("ECHO hello").await?,
            "hello".into(),
        )?;
        let info: String = calls.call("INFO server").await?;
        ensure(info.contains("redis_version:"), "no version in INFO")?;
        let calls_of_ping = calls.call::<String>("INFO commandstats").await?;
        ensure(
            calls_of_ping.contains("cmdstat_ping:calls="),
            "no calls in INFO",
        )?;
        let time: Vec<String> = calls.call("TIME").await?;
        same("TIME", time.len(), 2)?;
        let error = calls.refused("SELECT 99").await?;
        ensure(error.contains("out of range"), error)
    }
}
