//! The gateway's figures: names, units and help in one place. No label names a room or a user.

use std::sync::LazyLock;

use metrics::{
    Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use roomlog_core::code::Code;

use crate::{clock, rate::Limit};

const CONNECTIONS: &str = "roomlog_gateway_connections";
const ROOMS: &str = "roomlog_gateway_rooms";
const DELIVERIES: &str = "roomlog_gateway_deliveries_total";
const DELIVERY_DELAY: &str = "roomlog_gateway_delivery_delay_seconds";
const END_TO_END: &str = "roomlog_gateway_end_to_end_seconds";
const RECEIPT_DELAY: &str = "roomlog_gateway_receipt_delay_seconds";
const HOLES: &str = "roomlog_gateway_holes_total";
const REPEATS: &str = "roomlog_gateway_repeats_dropped_total";
const CONFLICTS: &str = "roomlog_gateway_numbering_conflicts_total";
const OVERFLOWS: &str = "roomlog_gateway_outbox_overflows_total";
const OUTBOX_BYTES: &str = "roomlog_gateway_outbox_bytes";
const SIGNALS_LOST: &str = "roomlog_gateway_signals_lost_total";
const LIMITED: &str = "roomlog_gateway_limited_total";
const REFUSALS: &str = "roomlog_gateway_refusals_total";

/// Its handle: it moves with each write to a client, too often to be looked up by name.
static OUTBOXES: LazyLock<Gauge> = LazyLock::new(|| gauge!(OUTBOX_BYTES));

/// Declares every figure to the recorder that is installed.
pub(crate) fn describe() {
    describe_gauge!(
        CONNECTIONS,
        Unit::Count,
        "WebSocket connections that are open"
    );
    describe_gauge!(ROOMS, Unit::Count, "rooms somebody here is in");
    describe_counter!(
        DELIVERIES,
        Unit::Count,
        "MESSAGEs put into clients' outboxes live"
    );
    describe_histogram!(
        DELIVERY_DELAY,
        Unit::Seconds,
        "from the log's append time to the outboxes"
    );
    describe_histogram!(
        END_TO_END,
        Unit::Seconds,
        "from a SEND to the outboxes of its readers at the same gateway"
    );
    describe_histogram!(
        RECEIPT_DELAY,
        Unit::Seconds,
        "from a SEND to the log's acknowledgement"
    );
    describe_counter!(
        HOLES,
        Unit::Count,
        "holes in a room's sequence that were fetched"
    );
    describe_counter!(
        REPEATS,
        Unit::Count,
        "events that came again, from the other replica group or a retry"
    );
    describe_counter!(
        CONFLICTS,
        Unit::Count,
        "events that two senders number differently: an alarm"
    );
    describe_counter!(
        OVERFLOWS,
        Unit::Count,
        "outboxes that were dropped and replayed"
    );
    describe_counter!(
        LIMITED,
        Unit::Count,
        "times a limit was reached, by limit: refused, or for frames read no faster"
    );
    describe_gauge!(
        OUTBOX_BYTES,
        Unit::Bytes,
        "bytes of frames that wait for clients, over all connections"
    );
    describe_counter!(
        SIGNALS_LOST,
        Unit::Count,
        "signals dropped, as too many waited to be sent on"
    );
    describe_counter!(REFUSALS, Unit::Count, "requests turned down, by code");
}

pub(crate) fn connection_opened() {
    gauge!(CONNECTIONS).increment(1.0);
}

pub(crate) fn connection_closed() {
    gauge!(CONNECTIONS).decrement(1.0);
}

/// Notes that a shard has so many rooms now, where it had told of so many.
pub(crate) fn rooms(told: usize, now: usize) {
    gauge!(ROOMS).increment(now as f64 - told as f64);
}

pub(crate) fn deliveries(count: u64) {
    counter!(DELIVERIES).increment(count);
}

/// Notes that an event is shown that was appended at this time.
pub(crate) fn shown(at_ms: i64) {
    let now_ms = i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX);
    // Clocks of different machines differ; a negative delay means none.
    histogram!(DELIVERY_DELAY).record((now_ms - at_ms).max(0) as f64 / 1_000.0);
}

/// Notes that a message which this gateway took so long ago is in the outboxes of its readers here. One clock tells both
/// times.
pub(crate) fn end_to_end(delay_ms: u64) {
    histogram!(END_TO_END).record(delay_ms as f64 / 1_000.0);
}

/// Notes that a SEND of this time was acknowledged.
pub(crate) fn receipt(sent_ms: u64) {
    let delay_ms = clock::monotonic_ms().saturating_sub(sent_ms);
    histogram!(RECEIPT_DELAY).record(delay_ms as f64 / 1_000.0);
}

pub(crate) fn hole() {
    counter!(HOLES).increment(1);
}

pub(crate) fn repeat_dropped() {
    counter!(REPEATS).increment(1);
}

pub(crate) fn numbering_conflict() {
    counter!(CONFLICTS).increment(1);
}

pub(crate) fn overflow() {
    counter!(OVERFLOWS).increment(1);
}

/// Notes bytes that were put into outboxes.
pub(crate) fn queued(bytes: usize) {
    OUTBOXES.increment(bytes as f64);
}

/// Notes bytes that left an outbox, written or dropped.
pub(crate) fn unqueued(bytes: usize) {
    if bytes > 0 {
        OUTBOXES.decrement(bytes as f64);
    }
}

pub(crate) fn refusal(code: Code) {
    counter!(REFUSALS, "code" => code.as_str()).increment(1);
}

pub(crate) fn limited(limit: Limit) {
    counter!(LIMITED, "limit" => limit.as_str()).increment(1);
}

pub(crate) fn signal_lost() {
    counter!(SIGNALS_LOST).increment(1);
}
