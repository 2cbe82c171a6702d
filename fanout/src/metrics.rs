//! Every metric of the fanout: name, unit, help, labels.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use roomlog_core::lag::Lag;

const RECORDS: &str = "roomlog_fanout_records_total";
const FORWARDED: &str = "roomlog_fanout_forwarded_events_total";
const TURNED: &str = "roomlog_fanout_events_turned_into_heads_total";
const FORWARD_LATENCY: &str = "roomlog_fanout_forward_latency_seconds";
const PARTITIONS: &str = "roomlog_fanout_partitions";
const GATEWAYS: &str = "roomlog_fanout_gateways";
const TAKE_OVER: &str = "roomlog_fanout_take_over_seconds";
const FAILURES: &str = "roomlog_fanout_owner_failures_total";
const POSITION: &str = "roomlog_fanout_position";
const LAG: &str = "roomlog_fanout_lag_records";
const LAG_AGE: &str = "roomlog_fanout_lag_seconds";
const CACHE_WRITES: &str = "roomlog_fanout_cache_writes_total";
const TAIL_DROPPED: &str = "roomlog_fanout_tail_dropped_events_total";
const MISMATCHES: &str = "roomlog_fanout_snapshot_mismatches_total";
const SIGNALS_LOST: &str = "roomlog_fanout_signals_lost_total";
const DEAD_LETTERS: &str = "roomlog_fanout_dead_letters_total";

/// What a record turned out to be, as a label.
#[derive(Clone, Copy)]
pub(crate) enum Record {
    Accepted,
    Duplicate,
    Past,
    Foreign,
}

/// What was written to the cache, as a label.
#[derive(Clone, Copy)]
pub(crate) enum CacheWrite {
    Tail,
    Snapshot,
    Presence,
}

/// Declares every metric, once per process.
pub(crate) fn describe() {
    describe_counter!(
        RECORDS,
        Unit::Count,
        "Records read from the log, by what they turned out to be."
    );
    describe_counter!(
        FORWARDED,
        Unit::Count,
        "Events queued for gateways, once per event and gateway."
    );
    describe_counter!(
        TURNED,
        Unit::Count,
        "Events not sent but told as a head, as a gateway's queue was full."
    );
    describe_histogram!(
        FORWARD_LATENCY,
        Unit::Seconds,
        "From the log's append time to the gateways' queues."
    );
    describe_gauge!(
        PARTITIONS,
        Unit::Count,
        "Partitions whose heads this instance states."
    );
    describe_gauge!(GATEWAYS, Unit::Count, "Gateways attached.");
    describe_histogram!(
        TAKE_OVER,
        Unit::Seconds,
        "From the assignment of a partition to stating its heads, by base."
    );
    describe_counter!(
        FAILURES,
        Unit::Count,
        "Owners that stopped with an error and are started again."
    );
    describe_gauge!(
        POSITION,
        Unit::Count,
        "The next offset to be numbered, by partition."
    );
    describe_gauge!(
        LAG,
        Unit::Count,
        "Records in the log that are not numbered yet, by partition."
    );
    describe_gauge!(
        LAG_AGE,
        Unit::Seconds,
        "How long the oldest of them has been seen to wait, by partition."
    );
    describe_counter!(
        CACHE_WRITES,
        Unit::Count,
        "Writes to Redis, by what and result."
    );
    describe_counter!(
        TAIL_DROPPED,
        Unit::Count,
        "Events left out of the tails in Redis, as it was slow or down."
    );
    describe_counter!(
        MISMATCHES,
        Unit::Count,
        "Snapshots in Redis whose heads did not add up and were replaced."
    );
    describe_counter!(
        SIGNALS_LOST,
        Unit::Count,
        "Signals dropped, as too many waited for an owner or a gateway."
    );
    describe_counter!(
        DEAD_LETTERS,
        Unit::Count,
        "Records that could not be decoded, sent to the dead-letter topic."
    );
}

pub(crate) fn records(outcome: Record, count: u64) {
    let outcome = match outcome {
        Record::Accepted => "accepted",
        Record::Duplicate => "duplicate",
        Record::Past => "past",
        Record::Foreign => "foreign",
    };
    counter!(RECORDS, "outcome" => outcome).increment(count);
}

pub(crate) fn forwarded(events: u64) {
    counter!(FORWARDED).increment(events);
}

pub(crate) fn queue_overflowed(events: usize) {
    counter!(TURNED).increment(events as u64);
}

pub(crate) fn forward_latency(latency: Duration) {
    histogram!(FORWARD_LATENCY).record(latency);
}

pub(crate) fn partitions(count: usize) {
    gauge!(PARTITIONS).set(count as f64);
}

pub(crate) fn gateways(count: usize) {
    gauge!(GATEWAYS).set(count as f64);
}

pub(crate) fn take_over(base: &'static str, took: Duration) {
    histogram!(TAKE_OVER, "base" => base).record(took);
}

pub(crate) fn owner_failed() {
    counter!(FAILURES).increment(1);
}

pub(crate) fn position(partition: u32, offset: i64) {
    gauge!(POSITION, "partition" => partition.to_string()).set(offset as f64);
}

pub(crate) fn lag(partition: u32, lag: Lag) {
    let partition = partition.to_string();
    gauge!(LAG, "partition" => partition.clone()).set(lag.records as f64);
    gauge!(LAG_AGE, "partition" => partition).set(lag.age_ms as f64 / 1_000.0);
}

pub(crate) fn cache_write(write: CacheWrite, worked: bool) {
    let what = match write {
        CacheWrite::Tail => "tail",
        CacheWrite::Snapshot => "snapshot",
        CacheWrite::Presence => "presence",
    };
    let result = if worked { "ok" } else { "error" };
    counter!(CACHE_WRITES, "what" => what, "result" => result).increment(1);
}

pub(crate) fn tail_dropped(events: usize) {
    counter!(TAIL_DROPPED).increment(events as u64);
}

pub(crate) fn snapshot_mismatch() {
    counter!(MISMATCHES).increment(1);
}

pub(crate) fn dead_letter() {
    counter!(DEAD_LETTERS).increment(1);
}

pub(crate) fn signals_lost(count: usize) {
    counter!(SIGNALS_LOST).increment(count as u64);
}
