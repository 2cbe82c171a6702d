//! What we use of Redis.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{Client, FromRedisValue, ProtocolVersion, RedisConnectionInfo, Value};

use super::{Failure, Outcome, Report, ensure, fresh, same};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Makes all checks against the server at `host:port`, in both versions of the protocol.
pub async fn run(addr: &str) -> Report {
    let mut report = Report::default();
    for protocol in [ProtocolVersion::RESP2, ProtocolVersion::RESP3] {
        let server = Server { addr: addr.to_owned(), protocol };
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
        let info = client.get_connection_info().clone().set_redis_settings(settings);
        Ok(Client::open(info)?)
    }

    async fn calls(&self) -> Result<Calls, Failure> {
        Ok(Calls(self.client()?.get_multiplexed_async_connection().await?))
    }

    async fn run(&self, report: &mut Report) {
        report.check("strings", self.strings()).await;
        report.check("names that are taken once", self.taken_once()).await;
        report.check("keys expire", self.expiry()).await;
        report.check("hashes", self.hashes()).await;
        report.check("sets", self.sets()).await;
        report.check("sorted sets only forward", self.forward()).await;
        report.check("options of ZADD", self.adding()).await;
        report.check("ranges of sorted sets", self.ranges()).await;
        report.check("removing from sorted sets", self.removing()).await;
        report.check("a sorted set is scanned in several calls", self.scanning()).await;
        report.check("streams keep explicit ids in order", self.streams()).await;
        report.check("streams are cut to a length", self.trimming()).await;
        report.check("ranges of streams", self.stream_ranges()).await;
        report.check("a pipeline is answered in order", self.pipeline()).await;
        report.check("a transaction is one step", self.transaction()).await;
        report.check("a swap by renaming", self.swap()).await;
        report.check("a watched key that changes ends the transaction", self.watching()).await;
        report.check("messages of channels and patterns", self.channels()).await;
        report.check("keys are scanned", self.keys()).await;
        report.check("errors have their code words", self.errors()).await;
        report.check("what a client says on connecting", self.connecting()).await;
    }

    async fn strings(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("string"));
        calls.call::<()>(&format!("SET {key} 5")).await?;
        same("GET", calls.call::<String>(&format!("GET {key}")).await?, "5".into())?;
        same("INCR", calls.call::<i64>(&format!("INCR {key}")).await?, 6)?;
        same("DECRBY", calls.call::<i64>(&format!("DECRBY {key} 10")).await?, -4)?;
        same("STRLEN", calls.call::<i64>(&format!("STRLEN {key}")).await?, 2)?;
        let both: Vec<Option<i64>> = calls.call(&format!("MGET {key} {key}-missing")).await?;
        same("MGET", both, vec![Some(-4), None])?;
        same("GETDEL", calls.call::<i64>(&format!("GETDEL {key}")).await?, -4)?;
        same("GET", calls.call::<Option<String>>(&format!("GET {key}")).await?, None)
    }

    async fn taken_once(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("once"));
        let set = format!("SET {key} 1 NX PX 60000");
        same("first", calls.call::<Option<String>>(&set).await?, Some("OK".into()))?;
        same("second", calls.call::<Option<String>>(&set).await?, None)?;
        let left: i64 = calls.call(&format!("PTTL {key}")).await?;
        ensure((50_000..=60_000).contains(&left), format!("PTTL {left}"))?;
        let updated: Option<String> = calls.call(&format!("SET {key} 2 XX GET KEEPTTL")).await?;
        same("old value", updated, Some("1".into()))?;
        ensure(calls.call::<i64>(&format!("PTTL {key}")).await? > 0, "the expiry is gone")
    }

    async fn expiry(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("expiry"));
        calls.call::<()>(&format!("SET {key} 1")).await?;
        same("TTL", calls.call::<i64>(&format!("TTL {key}")).await?, -1)?;
        same("EXPIRE", calls.call::<i64>(&format!("EXPIRE {key} 100")).await?, 1)?;
        same("EXPIRE NX", calls.call::<i64>(&format!("EXPIRE {key} 200 NX")).await?, 0)?;
        same("EXPIRE GT", calls.call::<i64>(&format!("EXPIRE {key} 50 GT")).await?, 0)?;
        same("TTL", calls.call::<i64>(&format!("TTL {key}")).await?, 100)?;
        same("PERSIST", calls.call::<i64>(&format!("PERSIST {key}")).await?, 1)?;
        same("PEXPIRE", calls.call::<i64>(&format!("PEXPIRE {key} 20")).await?, 1)?;
        while calls.call::<bool>(&format!("EXISTS {key}")).await? {
            tokio::time::sleep(LOOK).await;
        }
        same("TTL", calls.call::<i64>(&format!("TTL {key}")).await?, -2)
    }

    async fn hashes(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("hash"));
        same("HSET", calls.call::<i64>(&format!("HSET {key} a 1 b 2")).await?, 2)?;
        same("HSET", calls.call::<i64>(&format!("HSET {key} a 3 c 4")).await?, 1)?;
        same("HSETNX", calls.call::<i64>(&format!("HSETNX {key} a 9")).await?, 0)?;
        let some: Vec<Option<i64>> = calls.call(&format!("HMGET {key} a x b")).await?;
        same("HMGET", some, vec![Some(3), None, Some(2)])?;
        let all: BTreeMap<String, i64> = calls.call(&format!("HGETALL {key}")).await?;
        same("HGETALL", all, BTreeMap::from([("a".into(), 3), ("b".into(), 2), ("c".into(), 4)]))?;
        same("HINCRBY", calls.call::<i64>(&format!("HINCRBY {key} n -2")).await?, -2)?;
        same("HDEL", calls.call::<i64>(&format!("HDEL {key} a b c n x")).await?, 4)?;
        same("gone", calls.call::<bool>(&format!("EXISTS {key}")).await?, false)
    }

    async fn sets(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("set"));
        same("SADD", calls.call::<i64>(&format!("SADD {key} a b a c")).await?, 3)?;
        same("SREM", calls.call::<i64>(&format!("SREM {key} a x")).await?, 1)?;
        same("SCARD", calls.call::<i64>(&format!("SCARD {key}")).await?, 2)?;
        same("SISMEMBER", calls.call::<bool>(&format!("SISMEMBER {key} b")).await?, true)?;
        let some: Vec<i64> = calls.call(&format!("SMISMEMBER {key} a b")).await?;
        same("SMISMEMBER", some, vec![0, 1])?;
        let mut members: Vec<String> = calls.call(&format!("SMEMBERS {key}")).await?;
        members.sort();
        same("SMEMBERS", members, vec!["b".into(), "c".into()])
    }

    /// How numbering snapshots are written: several members at once, none ever backwards.
    async fn forward(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("forward"));
        let added: i64 = calls.call(&format!("ZADD {key} GT 5 s:a 3 c:a 100 @offset")).await?;
        same("added", added, 3)?;
        let again: i64 = calls.call(&format!("ZADD {key} GT CH 4 s:a 4 c:a 101 @offset")).await?;
        same("changed", again, 2)?;
        let scores: Vec<Option<f64>> = calls.call(&format!("ZMSCORE {key} s:a c:a @offset x")).await?;
        same("ZMSCORE", scores, vec![Some(5.0), Some(4.0), Some(101.0), None])?;
        let big = 9_007_199_254_740_991_i64;
        calls.call::<i64>(&format!("ZADD {key} GT {big} @offset")).await?;
        let text: String = calls.call::<Value>(&format!("ZSCORE {key} @offset")).await.map(|value| match value {
            Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::Double(number) => format!("{number}"),
            other => format!("{other:?}"),
        })?;
        same("the greatest exact number", text, big.to_string())
    }

    async fn adding(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("zadd"));
        same("XX on nothing", calls.call::<i64>(&format!("ZADD {key} XX 1 a")).await?, 0)?;
        same("nothing made", calls.call::<bool>(&format!("EXISTS {key}")).await?, false)?;
        same("NX", calls.call::<i64>(&format!("ZADD {key} NX 1 a 2 b")).await?, 2)?;
        same("NX again", calls.call::<i64>(&format!("ZADD {key} NX CH 9 a")).await?, 0)?;
        same("LT", calls.call::<i64>(&format!("ZADD {key} LT CH 0 a 9 b")).await?, 1)?;
        same("INCR", calls.call::<Option<f64>>(&format!("ZADD {key} INCR 1.5 a")).await?, Some(1.5))?;
        let refused: Option<f64> = calls.call(&format!("ZADD {key} GT INCR -1 a")).await?;
        same("GT INCR", refused, None)?;
        same("ZINCRBY", calls.call::<f64>(&format!("ZINCRBY {key} 0.5 a")).await?, 2.0)?;
        same("equal scores by name", calls.call::<Vec<String>>(&format!("ZRANGE {key} 0 -1")).await?, vec!["a".into(), "b".into()])?;
        let error = calls.refused(&format!("ZADD {key} NX GT 1 a")).await?;
        ensure(error.contains("not compatible"), error)
    }

    async fn ranges(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("zrange"));
        calls.call::<i64>(&format!("ZADD {key} 1 a 2 b 3 c 4 d")).await?;
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let cases = [
            ("ZRANGE {} 1 2", names(&["b", "c"])),
            ("ZRANGE {} -2 -1 REV", names(&["b", "a"])),
            ("ZRANGE {} (1 3 BYSCORE", names(&["b", "c"])),
            ("ZRANGE {} +inf (2 BYSCORE REV", names(&["d", "c"])),
            ("ZRANGE {} -inf +inf BYSCORE LIMIT 1 2", names(&["b", "c"])),
            ("ZRANGE {} +inf -inf BYSCORE REV LIMIT 0 1", names(&["d"])),
            ("ZRANGEBYSCORE {} 2 (4", names(&["b", "c"])),
            ("ZREVRANGEBYSCORE {} 3 -inf LIMIT 0 -1", names(&["c", "b", "a"])),
            ("ZREVRANGE {} 0 0", names(&["d"])),
            ("ZRANGE {} 5 9", names(&[])),
            ("ZRANGE {}-missing 0 -1", names(&[])),
        ];
        for (words, expected) in cases {
            let found: Vec<String> = calls.call(&words.replace("{}", &key)).await?;
            same(words, found, expected)?;
        }
        let scored: Vec<(String, f64)> = calls.call(&format!("ZRANGE {key} 0 1 WITHSCORES")).await?;
        same("WITHSCORES", scored, vec![("a".into(), 1.0), ("b".into(), 2.0)])?;
        same("ZCOUNT", calls.call::<i64>(&format!("ZCOUNT {key} (1 3")).await?, 2)?;
        same("ZRANK", calls.call::<Option<i64>>(&format!("ZRANK {key} c")).await?, Some(2))?;
        same("ZREVRANK", calls.call::<Option<i64>>(&format!("ZREVRANK {key} c")).await?, Some(1))?;
        same("ZCARD", calls.call::<i64>(&format!("ZCARD {key}")).await?, 4)
    }

    async fn removing(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("zrem"));
        calls.call::<i64>(&format!("ZADD {key} 1 a 2 b 3 c 4 d 5 e")).await?;
        same("by score", calls.call::<i64>(&format!("ZREMRANGEBYSCORE {key} -inf (2")).await?, 1)?;
        same("by rank", calls.call::<i64>(&format!("ZREMRANGEBYRANK {key} -1 -1")).await?, 1)?;
        same("ZREM", calls.call::<i64>(&format!("ZREM {key} b x")).await?, 1)?;
        same("left", calls.call::<Vec<String>>(&format!("ZRANGE {key} 0 -1")).await?, vec!["c".into(), "d".into()])?;
        same("all", calls.call::<i64>(&format!("ZREMRANGEBYRANK {key} 0 -1")).await?, 2)?;
        same("gone", calls.call::<bool>(&format!("EXISTS {key}")).await?, false)
    }

    async fn scanning(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("zscan"));
        let mut add = redis::cmd("ZADD");
        add.arg(&key);
        for number in 0..1000 {
            add.arg(number).arg(format!("member-{number}"));
        }
        add.query_async::<i64>(&mut calls.0).await?;
        let (mut cursor, mut found, mut steps) = (0_u64, BTreeMap::new(), 0);
        loop {
            let (next, some): (u64, Vec<(String, f64)>) =
                calls.call(&format!("ZSCAN {key} {cursor} COUNT 100")).await?;
            found.extend(some.into_iter().map(|(member, score)| (member, score as i64)));
            steps += 1;
            if next == 0 {
                break;
            }
            cursor = next;
        }
        ensure(steps > 1, "all came in one call")?;
        let expected = (0..1000).map(|number| (format!("member-{number}"), number));
        same("members", found, expected.collect())
    }

    async fn streams(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("stream"));
        let missing: Option<String> = calls.call(&format!("XADD {key} NOMKSTREAM 1-0 e x")).await?;
        same("NOMKSTREAM", missing, None)?;
        for seq in [5, 6, 9] {
            let id: String = calls.call(&format!("XADD {key} {seq}-0 e value-{seq}")).await?;
            same("id", id, format!("{seq}-0"))?;
        }
        for id in ["9-0", "7-0"] {
            let error = calls.refused(&format!("XADD {key} {id} e x")).await?;
            ensure(error.contains("ID specified in XADD is equal or smaller"), error)?;
        }
        let error = calls.refused(&format!("XADD {key} 0-0 e x")).await?;
        ensure(error.contains("must be greater than 0-0"), error)?;
        same("XDEL", calls.call::<i64>(&format!("XDEL {key} 9-0 1-0")).await?, 1)?;
        same("XLEN", calls.call::<i64>(&format!("XLEN {key}")).await?, 2)?;
        let error = calls.refused(&format!("XADD {key} 9-0 e x")).await?;
        ensure(error.contains("equal or smaller"), "a deleted id was given again")?;
        let by_clock: String = calls.call(&format!("XADD {key} * e x")).await?;
        ensure(by_clock.len() > 10, by_clock)?;
        same("kind", calls.call::<String>(&format!("TYPE {key}")).await?, "stream".into())
    }

    async fn trimming(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("trim"));
        for seq in 1..=500 {
            calls.call::<String>(&format!("XADD {key} MAXLEN ~ 100 {seq}-0 e x")).await?;
        }
        let length: i64 = calls.call(&format!("XLEN {key}")).await?;
        // An approximate limit may keep up to a node more.
        ensure((100..=220).contains(&length), format!("about 100: {length}"))?;
        calls.call::<String>(&format!("XADD {key} MAXLEN = 50 501-0 e x")).await?;
        same("exactly", calls.call::<i64>(&format!("XLEN {key}")).await?, 50)?;
        same("XTRIM", calls.call::<i64>(&format!("XTRIM {key} MAXLEN 10")).await?, 40)?;
        same("MINID", calls.call::<i64>(&format!("XTRIM {key} MINID 500")).await?, 8)?;
        same("left", calls.call::<i64>(&format!("XLEN {key}")).await?, 2)?;
        same("empty", calls.call::<i64>(&format!("XTRIM {key} MAXLEN 0")).await?, 2)?;
        same("still there", calls.call::<bool>(&format!("EXISTS {key}")).await?, true)
    }

    async fn stream_ranges(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("xrange"));
        for seq in 1..=9 {
            calls.call::<String>(&format!("XADD {key} {seq}-0 e value-{seq} n {seq}")).await?;
        }
        type Entries = Vec<(String, Vec<(String, String)>)>;
        let cases = [
            ("XRANGE {} 3-0 5-0", vec![3, 4, 5]),
            ("XRANGE {} (3-0 5", vec![4, 5]),
            ("XRANGE {} - + COUNT 2", vec![1, 2]),
            ("XREVRANGE {} + - COUNT 3", vec![9, 8, 7]),
            ("XREVRANGE {} 5 (3-0", vec![5, 4]),
            ("XRANGE {} 8 2", vec![]),
            ("XRANGE {}-missing - +", vec![]),
        ];
        for (words, expected) in cases {
            let found: Entries = calls.call(&words.replace("{}", &key)).await?;
            let ids = found.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
            same(words, ids, expected.iter().map(|seq| format!("{seq}-0")).collect())?;
        }
        let one: Entries = calls.call(&format!("XRANGE {key} 4 4")).await?;
        let fields = vec![("e".into(), "value-4".into()), ("n".into(), "4".into())];
        same("fields", one, vec![("4-0".into(), fields)])
    }

    async fn pipeline(&self) -> Outcome {
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

    async fn transaction(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("multi"));
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("INCR").arg(&key).cmd("SADD").arg(format!("{key}-set")).arg("a").cmd("GET").arg(&key);
        let done: (i64, i64, i64) = pipe.query_async(&mut calls.0).await?;
        same("replies", done, (1, 1, 1))?;
        calls.call::<()>("MULTI").await?;
        same("queued", calls.call::<String>(&format!("INCR {key}")).await?, "QUEUED".into())?;
        calls.refused("NOSUCHCOMMAND").await?;
        let error = calls.refused("EXEC").await?;
        ensure(error.to_uppercase().contains("EXECABORT") || error.contains("discarded"), error)?;
        same("nothing done", calls.call::<i64>(&format!("GET {key}")).await?, 1)
    }

    async fn swap(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("swap"));
        calls.call::<i64>(&format!("ZADD {key} 1 old")).await?;
        calls.call::<i64>(&format!("ZADD {key}-draft 2 new")).await?;
        calls.call::<i64>(&format!("EXPIRE {key}-draft 60")).await?;
        let mut pipe = redis::pipe();
        pipe.atomic().cmd("RENAME").arg(format!("{key}-draft")).arg(&key).ignore();
        pipe.cmd("PERSIST").arg(&key).ignore();
        pipe.query_async::<()>(&mut calls.0).await?;
        same("members", calls.call::<Vec<String>>(&format!("ZRANGE {key} 0 -1")).await?, vec!["new".into()])?;
        same("TTL", calls.call::<i64>(&format!("TTL {key}")).await?, -1)?;
        let error = calls.refused(&format!("RENAME {key}-draft {key}")).await?;
        ensure(error.contains("no such key"), error)
    }

    async fn watching(&self) -> Outcome {
        let (mut calls, mut other, key) = (self.calls().await?, self.calls().await?, fresh("watch"));
        for (disturbed, expected) in [(true, "theirs"), (false, "ours")] {
            calls.call::<()>(&format!("WATCH {key}")).await?;
            if disturbed {
                other.call::<()>(&format!("SET {key} theirs")).await?;
            }
            calls.call::<()>("MULTI").await?;
            calls.call::<()>(&format!("SET {key} ours")).await?;
            let done: Value = calls.call("EXEC").await?;
            same("ended", done == Value::Nil, disturbed)?;
            same("value", calls.call::<String>(&format!("GET {key}")).await?, expected.into())?;
        }
        Ok(())
    }

    async fn channels(&self) -> Outcome {
        let (mut calls, name) = (self.calls().await?, fresh("channel"));
        let mut listener = Client::open(format!("redis://{}/", self.addr))?.get_async_pubsub().await?;
        listener.subscribe(&name).await?;
        listener.psubscribe(format!("{name}*")).await?;
        same("reached", calls.call::<i64>(&format!("PUBLISH {name} hello")).await?, 2)?;
        same("others", calls.call::<i64>(&format!("PUBLISH {name}-more hi")).await?, 1)?;
        let mut payloads = Vec::new();
        for _ in 0..3 {
            let message = listener.on_message().next().await.ok_or("no message")?;
            payloads.push((message.get_channel_name().to_owned(), message.get_payload::<String>()?));
        }
        payloads.sort();
        let hello = (name.clone(), "hello".to_owned());
        same("messages", payloads, vec![hello.clone(), hello, (format!("{name}-more"), "hi".into())])?;
        listener.unsubscribe(&name).await?;
        same("after", calls.call::<i64>(&format!("PUBLISH {name} hello")).await?, 1)
    }

    async fn keys(&self) -> Outcome {
        let (mut calls, prefix) = (self.calls().await?, fresh("keys"));
        for number in 0..50 {
            calls.call::<()>(&format!("SET {prefix}:{number} x")).await?;
        }
        let (mut cursor, mut found) = (0_u64, Vec::new());
        loop {
            let (next, some): (u64, Vec<String>) =
                calls.call(&format!("SCAN {cursor} MATCH {prefix}:1* COUNT 20 TYPE string")).await?;
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
        same("DEL", calls.call::<i64>(&format!("DEL {prefix}:0 {prefix}:1 {prefix}:x")).await?, 2)
    }

    async fn errors(&self) -> Outcome {
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
            ensure(error.to_lowercase().contains(&expected.to_lowercase()), format!("{words}: {error}"))?;
        }
        Ok(())
    }

    async fn connecting(&self) -> Outcome {
        let mut calls = self.calls().await?;
        calls.call::<()>("CLIENT SETINFO LIB-NAME probe").await?;
        calls.call::<()>("CLIENT SETNAME probe").await?;
        same("name", calls.call::<String>("CLIENT GETNAME").await?, "probe".into())?;
        same("PING", calls.call::<String>("PING").await?, "PONG".into())?;
        same("ECHO", calls.call::<String>("ECHO hello").await?, "hello".into())?;
        let info: String = calls.call("INFO server").await?;
        ensure(info.contains("redis_version:"), "no version in INFO")?;
        let time: Vec<String> = calls.call("TIME").await?;
        same("TIME", time.len(), 2)?;
        let error = calls.refused("SELECT 99").await?;
        ensure(error.contains("out of range"), error)
    }
}
