//! Every metric of the persister: name, unit, help, labels.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use roomlog_core::lag::Lag;

use crate::ledger::Tally;

const RECORDS: &str = "roomlog_persister_records_total";
const EVENTS: &str = "roomlog_persister_events_stored_total";
const UNREADABLE: &str = "roomlog_persister_unreadable_total";
const LETTERS: &str = "roomlog_persister_letters_total";
const READS: &str = "roomlog_persister_reads_stored_total";
const WINDOWS: &str = "roomlog_persister_windows_in_flight";
const STORE_LATENCY: &str = "roomlog_persister_store_latency_seconds";
const LAG: &str = "roomlog_persister_lag_records";
const LAG_AGE: &str = "roomlog_persister_lag_seconds";
const STALLED: &str = "roomlog_persister_stalled";
const FAILURES: &str = "roomlog_persister_owner_failures_total";
const FAILED: &str = "roomlog_persister_failed_partitions";
const PARTITIONS: &str = "roomlog_persister_partitions";

/// What is asked of the store, as a label.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    PutEvents,
    MoveReads,
    Amend,
    Mention,
    ShowFiles,
    MoveRooms,
    MovePartition,
    Load,
}

/// Declares every metric, once per process.
pub(crate) fn describe() {
    describe_counter!(
        RECORDS,
        Unit::Count,
        "Records read from the log, by what they turned out to be."
    );
    describe_counter!(EVENTS, Unit::Count, "Event rows acknowledged by the store.");
    describe_counter!(
        UNREADABLE,
        Unit::Count,
        "Records that do not show as an event, put aside and stored as unreadable."
    );
    describe_counter!(
        LETTERS,
        Unit::Count,
        "letters sent to inboxes, those sent again among them"
    );
    describe_counter!(
        READS,
        Unit::Count,
        "Read positions taken from chat.reads and acknowledged by the store."
    );
    describe_gauge!(WINDOWS, Unit::Count, "Windows of events being written.");
    describe_histogram!(
        STORE_LATENCY,
        Unit::Seconds,
        "One successful request to the store, by operation."
    );
    describe_gauge!(
        LAG,
        Unit::Count,
        "Records in the log that are not stored yet, by topic and partition."
    );
    describe_gauge!(
        LAG_AGE,
        Unit::Seconds,
        "How long the oldest of them has been seen to wait, by topic and partition."
    );
    describe_gauge!(
        STALLED,
        Unit::Count,
        "Writes and reads that wait as the store or the dead-letter topic does not take them; 0 when all is well."
    );
    describe_counter!(
        FAILURES,
        Unit::Count,
        "Owners of a partition that stopped with an error."
    );
    describe_gauge!(
        FAILED,
        Unit::Count,
        "Partitions whose owner stopped and is to be tried again; anything but 0 needs a human."
    );
    describe_gauge!(PARTITIONS, Unit::Count, "Partitions owned.");
}

pub(crate) fn numbered(tally: Tally) {
    for (outcome, count) in [
        ("accepted", tally.accepted),
        ("duplicate", tally.duplicates),
        ("past", tally.past),
        ("foreign", tally.foreign),
    ] {
        counter!(RECORDS, "outcome" => outcome).increment(count);
    }
    counter!(UNREADABLE).increment(tally.unreadable);
}

pub(crate) fn events_stored(count: usize) {
    counter!(EVENTS).increment(count as u64);
}

pub(crate) fn letters(count: usize) {
    counter!(LETTERS).increment(count as u64);
}

pub(crate) fn reads_stored(count: usize) {
    counter!(READS).increment(count as u64);
}

pub(crate) fn store_answered(operation: Operation, after: Duration) {
    let operation = match operation {
        Operation::PutEvents => "put_events",
        Operation::MoveReads => "move_reads",
        Operation::Amend => "amend",
        Operation::Mention => "mention",
        Operation::ShowFiles => "show_files",
        Operation::MoveRooms => "move_rooms",
        Operation::MovePartition => "move_partition",
        Operation::Load => "load",
    };
    histogram!(STORE_LATENCY, "operation" => operation).record(after);
}

pub(crate) fn lag(topic: &str, partition: u32, lag: Lag) {
    let (topic, partition) = (topic.to_owned(), partition.to_string());
    gauge!(LAG, "topic" => topic.clone(), "partition" => partition.clone()).set(lag.records as f64);
    gauge!(LAG_AGE, "topic" => topic, "partition" => partition).set(lag.age_ms as f64 / 1_000.0);
}

pub(crate) fn owner_failed() {
    counter!(FAILURES).increment(1);
}

/// Counts something that lasts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lasting(metrics::Gauge);

// === impl Lasting ===

impl Lasting {
    /// A window being written.
    pub(crate) fn window() -> Self {
        Self::begun(gauge!(WINDOWS))
    }

    /// Something waits for the store to answer again.
    pub(crate) fn stall() -> Self {
        Self::begun(gauge!(STALLED))
    }

    /// A partition whose owner stopped.
    pub(crate) fn failure() -> Self {
        Self::begun(gauge!(FAILED))
    }

    /// A partition that is owned.
    pub(crate) fn ownership() -> Self {
        Self::begun(gauge!(PARTITIONS))
    }

    fn begun(gauge: metrics::Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
