//! Every metric that all services share: name, unit, help, labels.

use metrics::{Unit, counter, describe_counter};

const WRITTEN: &str = "roomlog_store_items_written_total";

/// Declares every metric, once per process.
pub(crate) fn describe() {
    describe_counter!(
        WRITTEN,
        Unit::Count,
        "Items that DynamoDB was asked to write or delete, by table: what writing costs, however many share a request."
    );
}

pub(crate) fn items_written(table: &str, items: usize) {
    counter!(WRITTEN, "table" => table.to_owned()).increment(items as u64);
}
