//! Counts the items that are written: what DynamoDB charges for, however many of them share a request.
//!
//! An item that a condition leaves as it was is charged too, so it counts. What the client sends again by itself counts
//! once.

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::BeforeSerializationInterceptorContextRef,
    },
    error::BoxError,
    operation::{
        batch_write_item::BatchWriteItemInput, delete_item::DeleteItemInput,
        put_item::PutItemInput, transact_write_items::TransactWriteItemsInput,
        update_item::UpdateItemInput,
    },
    types::TransactWriteItem,
};

use crate::metrics;

/// Looks at every request before it is sent.
#[derive(Debug)]
pub(super) struct Written {
    /// What table names begin with, which no figure repeats.
    pub(super) prefix: String,
}

// === impl Written ===

impl Intercept for Written {
    fn name(&self) -> &'static str {
        "items written"
    }

    fn read_before_serialization(
        &self,
        context: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let input = context.input();
        if let Some(input) = input.downcast_ref::<UpdateItemInput>() {
            self.note(input.table_name(), 1);
        } else if let Some(input) = input.downcast_ref::<PutItemInput>() {
            self.note(input.table_name(), 1);
        } else if let Some(input) = input.downcast_ref::<DeleteItemInput>() {
            self.note(input.table_name(), 1);
        } else if let Some(input) = input.downcast_ref::<BatchWriteItemInput>() {
            for (table, items) in batched(input) {
                self.note(Some(table), items);
            }
        } else if let Some(input) = input.downcast_ref::<TransactWriteItemsInput>() {
            for table in input.transact_items().iter().filter_map(written_by) {
                self.note(Some(table), 1);
            }
        }
        Ok(())
    }
}

impl Written {
    fn note(&self, table: Option<&str>, items: usize) {
        let table = table.unwrap_or_default();
        metrics::items_written(table.strip_prefix(&self.prefix).unwrap_or(table), items);
    }
}

/// How many items of which table a batch writes.
fn batched(input: &BatchWriteItemInput) -> impl Iterator<Item = (&str, usize)> {
    let tables = input.request_items.iter().flatten();
    tables.map(|(table, writes)| (table.as_str(), writes.len()))
}

/// The table of which a part of a transaction writes an item, unless it only checks one.
fn written_by(part: &TransactWriteItem) -> Option<&str> {
    let put = part.put().map(|put| put.table_name());
    let update = || part.update().map(|update| update.table_name());
    let delete = || part.delete().map(|delete| delete.table_name());
    put.or_else(update).or_else(delete)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_sdk_dynamodb::types::{
        AttributeValue, ConditionCheck, Delete, DeleteRequest, Update, WriteRequest,
    };

    use super::*;

    fn key() -> AttributeValue {
        AttributeValue::S("a".into())
    }

    #[test]
    fn every_item_of_a_batch_counts() {
        let delete = DeleteRequest::builder().key("user", key()).build().unwrap();
        let write = WriteRequest::builder().delete_request(delete).build();
        let input = BatchWriteItemInput::builder().request_items("t-mentions", vec![write; 3]);
        let input = input.build().unwrap();
        assert_eq!(batched(&input).collect::<Vec<_>>(), [("t-mentions", 3)]);
    }

    #[test]
    fn a_part_of_a_transaction_counts_where_it_writes() {
        let update = Update::builder()
            .table_name("rooms")
            .key("room", key())
            .update_expression("SET a = :a");
        let delete = Delete::builder().table_name("friends").key("user", key());
        let check = ConditionCheck::builder()
            .table_name("users")
            .key("user", key())
            .condition_expression("attribute_exists(a)");
        let parts = [
            TransactWriteItem::builder().update(update.build().unwrap()),
            TransactWriteItem::builder().delete(delete.build().unwrap()),
            TransactWriteItem::builder().condition_check(check.build().unwrap()),
        ];
        let parts = parts.map(|part| part.build());
        let tables: Vec<_> = parts.iter().map(written_by).collect();
        assert_eq!(tables, [Some("rooms"), Some("friends"), None]);
    }
}
