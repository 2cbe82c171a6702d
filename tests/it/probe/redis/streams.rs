//! Streams.

use super::Server;
use crate::probe::{Outcome, ensure, fresh, same};

impl Server {
    pub(super) async fn streams(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("stream"));
        let missing: Option<String> = calls
            .call(&format!("XADD {key} NOMKSTREAM 1-0 e x"))
            .await?;
        same("NOMKSTREAM", missing, None)?;
        for seq in [5, 6, 9] {
            let id: String = calls
                .call(&format!("XADD {key} {seq}-0 e value-{seq}"))
                .await?;
            same("id", id, format!("{seq}-0"))?;
        }
        for id in ["9-0", "7-0"] {
            let error = calls.refused(&format!("XADD {key} {id} e x")).await?;
            ensure(
                error.contains("ID specified in XADD is equal or smaller"),
                error,
            )?;
        }
        let error = calls.refused(&format!("XADD {key} 0-0 e x")).await?;
        ensure(error.contains("must be greater than 0-0"), error)?;
        same(
            "XDEL",
            calls.call::<i64>(&format!("XDEL {key} 9-0 1-0")).await?,
            1,
        )?;
        same("XLEN", calls.call::<i64>(&format!("XLEN {key}")).await?, 2)?;
        let error = calls.refused(&format!("XADD {key} 9-0 e x")).await?;
        ensure(
            error.contains("equal or smaller"),
            "a deleted id was given again",
        )?;
        let by_clock: String = calls.call(&format!("XADD {key} * e x")).await?;
        ensure(by_clock.len() > 10, by_clock)?;
        same(
            "kind",
            calls.call::<String>(&format!("TYPE {key}")).await?,
            "stream".into(),
        )
    }

    pub(super) async fn trimming(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("trim"));
        for seq in 1..=500 {
            calls
                .call::<String>(&format!("XADD {key} MAXLEN ~ 100 {seq}-0 e x"))
                .await?;
        }
        let length: i64 = calls.call(&format!("XLEN {key}")).await?;
        // An approximate limit may keep up to a node more.
        ensure(
            (100..=220).contains(&length),
            format!("about 100: {length}"),
        )?;
        calls
            .call::<String>(&format!("XADD {key} MAXLEN = 50 501-0 e x"))
            .await?;
        same(
            "exactly",
            calls.call::<i64>(&format!("XLEN {key}")).await?,
            50,
        )?;
        same(
            "XTRIM",
            calls.call::<i64>(&format!("XTRIM {key} MAXLEN 10")).await?,
            40,
        )?;
        same(
            "MINID",
            calls.call::<i64>(&format!("XTRIM {key} MINID 500")).await?,
            8,
        )?;
        same("left", calls.call::<i64>(&format!("XLEN {key}")).await?, 2)?;
        same(
            "empty",
            calls.call::<i64>(&format!("XTRIM {key} MAXLEN 0")).await?,
            2,
        )?;
        same(
            "still there",
            calls.call::<bool>(&format!("EXISTS {key}")).await?,
            true,
        )
    }

    pub(super) async fn stream_ranges(&self) -> Outcome {
        let (mut calls, key) = (self.calls().await?, fresh("xrange"));
        for seq in 1..=9 {
            calls
                .call::<String>(&format!("XADD {key} {seq}-0 e value-{seq} n {seq}"))
                .await?;
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
            same(
                words,
                ids,
                expected.iter().map(|seq| format!("{seq}-0")).collect(),
            )?;
        }
        let one: Entries = calls.call(&format!("XRANGE {key} 4 4")).await?;
        let fields = vec![("e".into(), "value-4".into()), ("n".into(), "4".into())];
        same("fields", one, vec![("4-0".into(), fields)])
    }
}
