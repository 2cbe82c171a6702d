//! A world without one of its mechanisms must be noticed by the checker it is there for. A checker that notices nothing
//! checks nothing.

use std::{collections::BTreeSet, panic::catch_unwind};

use crate::{
    rules::{ALL, Mechanism, Rules},
    run::run,
};

/// Seeds within which a missing mechanism must show: most do in the first ten, the rarest in the fifth thousand.
const SEEDS: u64 = 10_000;

/// The facts of which one at least falls with a mechanism. Others may fall as well, and in some seeds before.
fn facts_of(mechanism: Mechanism) -> &'static [&'static str] {
    match mechanism {
        Mechanism::SumOfHeads => &["a_trusted_snapshot_is_true"],
        Mechanism::SumOfRows => &["a_complete_base_is_true"],
        Mechanism::ContiguousPrefix => &["stored_prefix"],
        // Who was skipped over sees a hole, or waits for ever for what was shown without them.
        Mechanism::HoldingBack => &["no_hole_no_repeat", "everything_arrives"],
        Mechanism::WindowReadBack | Mechanism::WaitingForRows => &["one_order_for_all"],
        Mechanism::ReceiptAfterLog | Mechanism::AllReplicas | Mechanism::RecordedCount => {
            &["acknowledged_not_lost"]
        }
        Mechanism::ForwardOnly => &["reads_never_back"],
        Mechanism::LaterChange => &["changes_come_to_the_same"],
        Mechanism::SilenceAfterRemoval => &["silence_after_removal"],
        Mechanism::Window => &["shown_once"],
        Mechanism::PuttingAside => &["put_aside_first"],
        Mechanism::OneMoment => &["void_for_everyone"],
        // Nobody is let in, for whoever was let in before is not known to be.
        Mechanism::FromTheFirst => &["void_for_everyone", "everything_arrives"],
        Mechanism::FreshHead => &["a_reset_is_deserved"],
        Mechanism::Overtaken => &["a_stored_event_never_changes"],
        Mechanism::PostingIsReading => &["unread_is_exact"],
    }
}

/// Runs seeds without a mechanism until one fails by the name of a fact that rests on it.
fn is_noticed(without: Mechanism) {
    let facts = facts_of(without);
    for seed in 0..SEEDS {
        let Err(panic) = catch_unwind(|| run(seed, Rules::without(without), false)) else {
            continue;
        };
        let told = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        if facts.iter().any(|fact| told.contains(fact)) {
            println!("{without:?} is noticed by seed {seed}: {told}");
            return;
        }
    }
    panic!("nobody noticed in {SEEDS} seeds that {without:?} was missing");
}

/// The names that failures of `checks.rs` begin with.
fn names_of_facts() -> BTreeSet<&'static str> {
    let texts = include_str!("checks.rs").split('"').skip(1).step_by(2);
    let name = |text: &'static str| text.split(':').next().unwrap_or(text);
    texts.map(name).filter(|name| name.contains('_')).collect()
}

#[test]
fn each_fact_falls_with_some_mechanism() {
    let fall: BTreeSet<_> = ALL.into_iter().flat_map(facts_of).copied().collect();
    // What is stored at the end is what was right after every step before, so whatever is wrong shows earlier.
    let sums = BTreeSet::from(["everything_is_stored"]);
    let stand: Vec<_> = names_of_facts().difference(&fall).copied().collect();
    assert_eq!(stand, sums.into_iter().collect::<Vec<_>>());
}

#[test]
fn the_checker_notices_when_a_snapshot_is_trusted_without_its_sum() {
    is_noticed(Mechanism::SumOfHeads);
}

#[test]
fn the_checker_notices_when_stored_rows_are_taken_for_all_without_their_sum() {
    is_noticed(Mechanism::SumOfRows);
}

#[test]
fn the_checker_notices_when_rows_move_past_the_stored_prefix() {
    is_noticed(Mechanism::ContiguousPrefix);
}

#[test]
fn the_checker_notices_when_an_event_is_delivered_over_a_hole() {
    is_noticed(Mechanism::HoldingBack);
}

#[test]
fn the_checker_notices_when_the_window_is_forgotten_at_a_take_over() {
    is_noticed(Mechanism::WindowReadBack);
}

#[test]
fn the_checker_notices_when_a_receipt_does_not_wait_for_the_log() {
    is_noticed(Mechanism::ReceiptAfterLog);
}

#[test]
fn the_checker_notices_when_a_receipt_does_not_wait_for_all_replicas() {
    is_noticed(Mechanism::AllReplicas);
}

#[test]
fn the_checker_notices_when_records_are_placed_by_the_partitions_there_are_now() {
    is_noticed(Mechanism::RecordedCount);
}

#[test]
fn the_checker_notices_when_read_positions_are_written_without_a_condition() {
    is_noticed(Mechanism::ForwardOnly);
}

#[test]
fn the_checker_notices_when_an_earlier_change_of_a_message_replaces_a_later_one() {
    is_noticed(Mechanism::LaterChange);
}

#[test]
fn the_checker_notices_when_a_removed_user_is_not_silenced() {
    is_noticed(Mechanism::SilenceAfterRemoval);
}

#[test]
fn the_checker_notices_when_a_record_does_not_wait_for_its_rooms_row() {
    is_noticed(Mechanism::WaitingForRows);
}

#[test]
fn the_checker_notices_when_a_retry_is_numbered_as_an_event() {
    is_noticed(Mechanism::Window);
}

#[test]
fn the_checker_notices_when_the_unreadable_is_not_put_aside() {
    is_noticed(Mechanism::PuttingAside);
}

#[test]
fn the_checker_notices_when_an_event_is_judged_by_rows_of_two_moments() {
    is_noticed(Mechanism::OneMoment);
}

#[test]
fn the_checker_notices_when_nobody_is_asked_how_far_a_room_is_now() {
    is_noticed(Mechanism::FreshHead);
}

#[test]
fn the_checker_notices_when_an_overtaken_persister_goes_on() {
    is_noticed(Mechanism::Overtaken);
}

#[test]
fn the_checker_notices_when_a_room_is_opened_by_some_of_its_events() {
    is_noticed(Mechanism::FromTheFirst);
}

#[test]
fn the_checker_notices_when_who_posts_has_not_read() {
    is_noticed(Mechanism::PostingIsReading);
}
