//! A world without one of its mechanisms must be noticed by the checker it is there for. A checker that notices nothing
//! checks nothing.

use std::panic::catch_unwind;

use crate::{
    rules::{Mechanism, Rules},
    run::run,
};

/// Seeds within which a missing mechanism must show.
const SEEDS: u64 = 600;

/// Runs seeds without a mechanism until one fails, and holds the failure to the names of these facts.
fn is_noticed(without: Mechanism, facts: &[&str]) {
    for seed in 0..SEEDS {
        let Err(panic) = catch_unwind(|| run(seed, Rules::without(without), false)) else {
            continue;
        };
        let told = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(facts.iter().any(|fact| told.contains(fact)), "{told}");
        return;
    }
    panic!("nobody noticed in {SEEDS} seeds that {without:?} was missing");
}

#[test]
fn the_checker_notices_when_a_snapshot_is_trusted_without_its_sum() {
    is_noticed(Mechanism::SumOfHeads, &["a_trusted_snapshot_is_true"]);
}

#[test]
fn the_checker_notices_when_rows_move_past_the_stored_prefix() {
    is_noticed(Mechanism::ContiguousPrefix, &["stored_prefix"]);
}

#[test]
fn the_checker_notices_when_an_event_is_delivered_over_a_hole() {
    // Who was skipped over sees a hole, or waits for ever for what was shown without them.
    let facts = ["no_hole_no_repeat", "everything_arrives"];
    is_noticed(Mechanism::HoldingBack, &facts);
}

#[test]
fn the_checker_notices_when_the_window_is_forgotten_at_a_take_over() {
    is_noticed(Mechanism::WindowReadBack, &["one_order_for_all"]);
}

#[test]
fn the_checker_notices_when_a_receipt_does_not_wait_for_the_log() {
    is_noticed(Mechanism::ReceiptAfterLog, &["acknowledged_not_lost"]);
}

#[test]
fn the_checker_notices_when_read_positions_are_written_without_a_condition() {
    is_noticed(Mechanism::ForwardOnly, &["reads_never_back"]);
}

#[test]
fn the_checker_notices_when_an_earlier_change_of_a_message_replaces_a_later_one() {
    is_noticed(Mechanism::LaterChange, &["changes_come_to_the_same"]);
}

#[test]
fn the_checker_notices_when_a_removed_user_is_not_silenced() {
    is_noticed(Mechanism::SilenceAfterRemoval, &["silence_after_removal"]);
}

#[test]
fn the_checker_notices_when_a_record_does_not_wait_for_its_rooms_row() {
    is_noticed(Mechanism::WaitingForRows, &["one_order_for_all"]);
}
