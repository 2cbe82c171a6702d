//! Reading: ranges, several keys, and every type of value.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};

use super::{Store, item, number, seqs, text};
use crate::probe::{Outcome, ensure, same};

impl Store {
    pub(super) async fn ranges(&self) -> Outcome {
        let rows = (1..=20).map(|seq| item([("room", text("range")), ("seq", number(seq))]));
        self.write_batch(rows.collect()).await?;
        same(
            "between",
            seqs(&self.query("range", 5, 7, true).await?),
            vec![5, 6, 7],
        )?;
        same(
            "backwards",
            seqs(&self.query("range", 18, 99, false).await?),
            vec![20, 19, 18],
        )?;
        same(
            "numbers in order",
            seqs(&self.query("range", 9, 10, true).await?),
            vec![9, 10],
        )?;
        same(
            "nothing",
            seqs(&self.query("range", 50, 60, true).await?),
            vec![],
        )?;
        let (mut start, mut found) = (None, Vec::new());
        loop {
            let page = self
                .client
                .query()
                .table_name(&self.table)
                .key_condition_expression("room = :room")
                .expression_attribute_values(":room", text("range"))
                .limit(7)
                .set_exclusive_start_key(start)
                .send()
                .await?;
            found.extend(seqs(page.items()));
            start = page.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        same("pages", found, (1..=20).collect())
    }

    pub(super) async fn batch_read(&self) -> Outcome {
        let rows = (1..=5).map(|seq| item([("room", text("read")), ("seq", number(seq))]));
        self.write_batch(rows.collect()).await?;
        let keys = [1, 3, 77].map(|seq| item([("room", text("read")), ("seq", number(seq))]));
        let request = KeysAndAttributes::builder()
            .set_keys(Some(keys.to_vec()))
            .consistent_read(true)
            .build()?;
        let read = self
            .client
            .batch_get_item()
            .request_items(&self.table, request)
            .send()
            .await?;
        ensure(
            read.unprocessed_keys.is_some_and(|keys| keys.is_empty()),
            "keys were left out",
        )?;
        let found = read
            .responses
            .and_then(|mut tables| tables.remove(&self.table));
        let mut found = seqs(&found.unwrap_or_default());
        found.sort_unstable();
        same("found", found, vec![1, 3])
    }

    pub(super) async fn types(&self) -> Outcome {
        let map = AttributeValue::M(item([("a", number(1)), ("b", AttributeValue::Null(true))]));
        let row = item([
            ("room", text("types")),
            ("seq", number(9_007_199_254_740_993)),
            (
                "bytes",
                AttributeValue::B(Blob::new((0..=255).collect::<Vec<u8>>())),
            ),
            ("negative", number(-5)),
            ("flag", AttributeValue::Bool(false)),
            ("list", AttributeValue::L(vec![text("ä\u{1F600}"), map])),
            ("names", AttributeValue::Ss(vec!["a".into(), "b".into()])),
            ("empty", text("")),
        ]);
        self.client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(row.clone()))
            .send()
            .await?;
        let read = self.query("types", 0, i64::MAX, true).await?;
        same("item", read, vec![row])
    }
}
