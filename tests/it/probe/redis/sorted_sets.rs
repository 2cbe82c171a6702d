//! Sorted sets.

use std::collections::BTreeMap;

use redis::Value;

use super::Server;
use crate::probe::{Outcome, ensure, fresh, same};

impl Server {
    /// How numbering snapshots are written: several members at once, none ever backwards.
    pub(super) async fn forward(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("forward"));
        let added: i64 = calls
            .call(&format!("ZADD {key} GT 5 s:a 3 c:a 100 @offset"))
            .await?;
        same("added", added, 3)?;
        let again: i64 = calls
            .call(&format!("ZADD {key} GT CH 4 s:a 4 c:a 101 @offset"))
            .await?;
        same("changed", again, 2)?;
        let scores: Vec<Option<f64>> = calls
            .call(&format!("ZMSCORE {key} s:a c:a @offset x"))
            .await?;
        same(
            "ZMSCORE",
            scores,
            vec![Some(5.0), Some(4.0), Some(101.0), None],
        )?;
        let big = 9_007_199_254_740_991_i64;
        calls
            .call::<i64>(&format!("ZADD {key} GT {big} @offset"))
            .await?;
        let text: String = calls
            .call::<Value>(&format!("ZSCORE {key} @offset"))
            .await
            .map(|value| match value {
                Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Value::Double(number) => format!("{number}"),
                other => format!("{other:?}"),
            })?;
        same("the greatest exact number", text, big.to_string())
    }

    pub(super) async fn adding(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("zadd"));
        same(
            "XX on nothing",
            calls.call::<i64>(&format!("ZADD {key} XX 1 a")).await?,
            0,
        )?;
        same(
            "nothing made",
            calls.call::<bool>(&format!("EXISTS {key}")).await?,
            false,
        )?;
        same(
            "NX",
            calls.call::<i64>(&format!("ZADD {key} NX 1 a 2 b")).await?,
            2,
        )?;
        same(
            "NX again",
            calls.call::<i64>(&format!("ZADD {key} NX CH 9 a")).await?,
            0,
        )?;
        same(
            "LT",
            calls
                .call::<i64>(&format!("ZADD {key} LT CH 0 a 9 b"))
                .await?,
            1,
        )?;
        same(
            "INCR",
            calls
                .call::<Option<f64>>(&format!("ZADD {key} INCR 1.5 a"))
                .await?,
            Some(1.5),
        )?;
        let refused: Option<f64> = calls.call(&format!("ZADD {key} GT INCR -1 a")).await?;
        same("GT INCR", refused, None)?;
        same(
            "ZINCRBY",
            calls.call::<f64>(&format!("ZINCRBY {key} 0.5 a")).await?,
            2.0,
        )?;
        same(
            "equal scores by name",
            calls
                .call::<Vec<String>>(&format!("ZRANGE {key} 0 -1"))
                .await?,
            vec!["a".into(), "b".into()],
        )?;
        let error = calls.refused(&format!("ZADD {key} NX GT 1 a")).await?;
        ensure(error.contains("not compatible"), error)
    }

    pub(super) async fn ranges(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("zrange"));
        calls
            .call::<i64>(&format!("ZADD {key} 1 a 2 b 3 c 4 d"))
            .await?;
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let cases = [
            ("ZRANGE {} 1 2", names(&["b", "c"])),
            ("ZRANGE {} -2 -1 REV", names(&["b", "a"])),
            ("ZRANGE {} (1 3 BYSCORE", names(&["b", "c"])),
            ("ZRANGE {} +inf (2 BYSCORE REV", names(&["d", "c"])),
            ("ZRANGE {} -inf +inf BYSCORE LIMIT 1 2", names(&["b", "c"])),
            ("ZRANGE {} +inf -inf BYSCORE REV LIMIT 0 1", names(&["d"])),
            ("ZRANGEBYSCORE {} 2 (4", names(&["b", "c"])),
            (
                "ZREVRANGEBYSCORE {} 3 -inf LIMIT 0 -1",
                names(&["c", "b", "a"]),
            ),
            ("ZREVRANGE {} 0 0", names(&["d"])),
            ("ZRANGE {} 5 9", names(&[])),
            ("ZRANGE {}-missing 0 -1", names(&[])),
        ];
        for (words, expected) in cases {
            let found: Vec<String> = calls.call(&words.replace("{}", &key)).await?;
            same(words, found, expected)?;
        }
        let scored: Vec<(String, f64)> =
            calls.call(&format!("ZRANGE {key} 0 1 WITHSCORES")).await?;
        same(
            "WITHSCORES",
            scored,
            vec![("a".into(), 1.0), ("b".into(), 2.0)],
        )?;
        same(
            "ZCOUNT",
            calls.call::<i64>(&format!("ZCOUNT {key} (1 3")).await?,
            2,
        )?;
        same(
            "ZRANK",
            calls.call::<Option<i64>>(&format!("ZRANK {key} c")).await?,
            Some(2),
        )?;
        same(
            "ZREVRANK",
            calls
                .call::<Option<i64>>(&format!("ZREVRANK {key} c"))
                .await?,
            Some(1),
        )?;
        same(
            "ZCARD",
            calls.call::<i64>(&format!("ZCARD {key}")).await?,
            4,
        )
    }

    pub(super) async fn removing(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("zrem"));
        calls
            .call::<i64>(&format!("ZADD {key} 1 a 2 b 3 c 4 d 5 e"))
            .await?;
        same(
            "by score",
            calls
                .call::<i64>(&format!("ZREMRANGEBYSCORE {key} -inf (2"))
                .await?,
            1,
        )?;
        same(
            "by rank",
            calls
                .call::<i64>(&format!("ZREMRANGEBYRANK {key} -1 -1"))
                .await?,
            1,
        )?;
        same(
            "ZREM",
            calls.call::<i64>(&format!("ZREM {key} b x")).await?,
            1,
        )?;
        same(
            "left",
            calls
                .call::<Vec<String>>(&format!("ZRANGE {key} 0 -1"))
                .await?,
            vec!["c".into(), "d".into()],
        )?;
        same(
            "all",
            calls
                .call::<i64>(&format!("ZREMRANGEBYRANK {key} 0 -1"))
                .await?,
            2,
        )?;
        same(
            "gone",
            calls.call::<bool>(&format!("EXISTS {key}")).await?,
            false,
        )
    }

    pub(super) async fn scanning(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("zscan"));
        let mut add = redis::cmd("ZADD");
        add.arg(&key);
        for number in 0..1000 {
            add.arg(number).arg(format!("member-{number}"));
        }
        add.query_async::<i64>(&mut calls.0).await?;
        let (mut cursor, mut found, mut steps) = (0_u64, BTreeMap::new(), 0);
        loop {
            let (next, some): (u64, Vec<(String, f64)>) = calls
                .call(&format!("ZSCAN {key} {cursor} COUNT 100"))
                .await?;
            found.extend(
                some.into_iter()
                    .map(|(member, score)| (member, score as i64)),
            );
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
}
