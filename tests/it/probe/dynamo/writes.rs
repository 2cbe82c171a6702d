//! Writing: in batches, under conditions, several items together.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValue, TransactWriteItem, Update};

use super::{BATCH, Store, item, number, seqs, text};
use crate::probe::{Failure, Outcome, ensure, same};

impl Store {
    pub(super) async fn batch(&self) -> Outcome {
        for start in (1..=100).step_by(BATCH) {
            let rows = (start..start + BATCH as i64).map(|seq| {
                let value = AttributeValue::B(Blob::new(vec![0, 255, seq as u8]));
                item([
                    ("room", text("batch")),
                    ("seq", number(seq)),
                    ("value", value),
                ])
            });
            self.write_batch(rows.collect()).await?;
        }
        // Writing the same again is no error.
        let again = item([
            ("room", text("batch")),
            ("seq", number(1)),
            ("value", text("again")),
        ]);
        self.write_batch(vec![again]).await?;
        let read = self.query("batch", 1, 100, true).await?;
        same("rows", seqs(&read), (1..=100).collect())
    }

    pub(super) async fn batch_too_large(&self) -> Outcome {
        let rows =
            (0..=BATCH as i64).map(|seq| item([("room", text("large")), ("seq", number(seq))]));
        ensure(
            self.write_batch(rows.collect()).await.is_err(),
            "it was taken",
        )
    }

    /// Sets `offset` where it is less, as rows that say "stored up to here" do.
    async fn advance(&self, room: &str, offset: i64) -> Result<bool, Failure> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item([("room", text(room)), ("seq", number(0))])))
            .update_expression("SET #offset = :offset")
            .condition_expression("attribute_not_exists(#offset) OR #offset < :offset")
            .expression_attribute_names("#offset", "offset")
            .expression_attribute_values(":offset", number(offset))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match sent {
            Ok(updated) => {
                let new = updated
                    .attributes
                    .and_then(|mut attributes| attributes.remove("offset"));
                same("new value", new, Some(number(offset)))?;
                Ok(true)
            }
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => Ok(false),
                _ => Err(error.into()),
            },
        }
    }

    pub(super) async fn forward(&self) -> Outcome {
        for (offset, moves) in [(5, true), (5, false), (4, false), (10, true), (9, false)] {
            same(
                &format!("to {offset}"),
                self.advance("forward", offset).await?,
                moves,
            )?;
        }
        let read = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item([("room", text("forward")), ("seq", number(0))])))
            .consistent_read(true)
            .send()
            .await?;
        same(
            "offset",
            read.item().and_then(|item| item.get("offset")),
            Some(&number(10)),
        )
    }

    pub(super) async fn once(&self) -> Outcome {
        for expected in [true, false] {
            let sent = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(item([("room", text("once")), ("seq", number(0))])))
                .condition_expression("attribute_not_exists(room)")
                .send()
                .await;
            let done = match sent {
                Ok(_) => true,
                Err(error) => match error.as_service_error() {
                    Some(service) if service.is_conditional_check_failed_exception() => false,
                    _ => return Err(error.into()),
                },
            };
            same("made", done, expected)?;
        }
        Ok(())
    }

    pub(super) async fn sets(&self) -> Outcome {
        for (element, count) in [(7, 1), (7, 1), (9, 2)] {
            let updated = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(item([("room", text("sets")), ("seq", number(0))])))
                .update_expression("ADD #set :set")
                .expression_attribute_names("#set", "set")
                .expression_attribute_values(":set", AttributeValue::Ns(vec![element.to_string()]))
                .return_values(ReturnValue::AllNew)
                .send()
                .await?;
            let set = updated.attributes.and_then(|mut row| row.remove("set"));
            let elements = set.and_then(|set| set.as_ns().ok().map(Vec::len));
            same("elements", elements, Some(count))?;
        }
        Ok(())
    }

    async fn transact(&self, value: i64) -> Result<bool, Failure> {
        let moved = Update::builder()
            .table_name(&self.table)
            .set_key(Some(item([("room", text("together")), ("seq", number(0))])))
            .update_expression("SET head = :value")
            .condition_expression("attribute_not_exists(head) OR head < :value")
            .expression_attribute_values(":value", number(value))
            .build()?;
        let member = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item([
                ("room", text("together")),
                ("seq", number(1)),
                ("value", number(value)),
            ])))
            .build()?;
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(moved).build())
            .transact_items(TransactWriteItem::builder().put(member).build())
            .send()
            .await;
        let Err(error) = sent else {
            return Ok(true);
        };
        let cancelled = error
            .as_service_error()
            .is_some_and(|error| error.is_transaction_canceled_exception());
        ensure(cancelled, format!("{error:?}"))?;
        let text = format!("{error:?}");
        ensure(text.contains("ConditionalCheckFailed"), text)?;
        Ok(false)
    }

    pub(super) async fn together(&self) -> Outcome {
        same("first", self.transact(5).await?, true)?;
        same("older", self.transact(4).await?, false)?;
        let rows = self.query("together", 0, 1, true).await?;
        same("head", rows[0].get("head"), Some(&number(5)))?;
        same("member", rows[1].get("value"), Some(&number(5)))
    }
}
