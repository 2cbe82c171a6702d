//! What listeners to a room's signals are shown, and in which order.

#![allow(clippy::unwrap_used)]
use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
};

use roomlog_core::{ids::Count, signal::Stamp};

use super::*;
use crate::outbox::Taken;

fn key() -> RoomKey {
    RoomKey::parse("room").unwrap()
}

fn typing(counter: u64, on: bool) -> Stamped {
    Stamped {
        key: key(),
        stamp: Stamp { source: 1, counter },
        signal: Signal::Typing {
            user: UserId::parse("bob").unwrap(),
            on,
        },
    }
}

fn read(name: &str, seq: u64) -> Stamped {
    Stamped {
        key: key(),
        stamp: Stamp {
            source: 1,
            counter: seq,
        },
        signal: Signal::Read {
            user: UserId::parse(name).unwrap(),
            seq: Seq(seq),
            count: Count(seq),
        },
    }
}

/// A room whose owner has spoken.
fn known() -> Signals {
    let mut signals = Signals::default();
    signals.see(LinkId(1), Said::Whole(key(), View::default()));
    signals
}

fn enlist(signals: &mut Signals, subscriber: &Subscriber) {
    signals.enlist(subscriber.clone());
    assert!(signals.wants_positions());
    signals.take_positions(&key(), BTreeMap::new());
}

fn positions<const N: usize>(of: [(&str, u64); N]) -> BTreeMap<UserId, Seq> {
    let named = of.map(|(user, seq)| (UserId::parse(user).unwrap(), Seq(seq)));
    named.into()
}

#[test]
fn the_first_snapshot_waits_for_an_owner() {
    let (mut signals, alice) = (Signals::default(), Subscriber::of("alice", 1));
    signals.enlist(alice.clone());
    assert!(!signals.wants_positions());
    assert_eq!(alice.received(), [] as [Value; 0]);
    let view = View {
        online: [alice.user.clone()].into(),
        online_total: 1,
        ..View::default()
    };
    signals.see(LinkId(1), Said::Whole(key(), view));
    assert!(signals.wants_positions() && !signals.wants_positions());
    signals.take(read("bob", 7));
    signals.take_positions(&key(), positions([("bob", 5), ("carol", 9)]));
    let received = alice.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0]["online"], json!(["alice"]));
    assert_eq!(received[0]["reads"], json!({"bob": 7, "carol": 9}));
}

#[test]
fn who_would_not_wait_for_an_owner_is_told_the_positions_later() {
    let (mut signals, alice) = (Signals::default(), Subscriber::of("alice", 1));
    signals.enlist(alice.clone());
    signals.greet_impatient(&key(), clock::monotonic_ms() + SNAPSHOT_WAIT_MS);
    assert_eq!(alice.received()[0]["reads"], json!({}));
    assert!(!signals.wants_positions());
    signals.see(LinkId(1), Said::Whole(key(), View::default()));
    assert!(signals.wants_positions() && !signals.wants_positions());
    signals.take_positions(&key(), positions([("bob", 5)]));
    let reads = json!({"type": "reads", "positions": {"bob": 5}});
    assert_eq!(alice.received(), [reads]);
    assert!(!signals.wants_positions());
}

#[test]
fn a_listener_gets_a_snapshot_and_then_changes_once() {
    let (mut signals, alice) = (known(), Subscriber::of("alice", 1));
    enlist(&mut signals, &alice);
    for signal in [typing(1, true), typing(1, true)] {
        signals.take(signal);
    }
    let received = alice.received();
    assert_eq!(received.len(), 2);
    assert_eq!(received[0]["type"], "snapshot");
    assert_eq!(
        received[1],
        json!({"type": "typing", "user": "bob", "on": true})
    );
}

#[test]
fn who_begins_to_listen_is_told_who_types() {
    let (mut signals, alice) = (known(), Subscriber::of("alice", 1));
    enlist(&mut signals, &alice);
    signals.take(typing(1, true));
    let late = Subscriber::of("late", 1);
    enlist(&mut signals, &late);
    let told = json!({"type": "typing", "user": "bob", "on": true});
    assert_eq!(late.received()[1..], [told]);
    signals.take(typing(2, false));
    let later = Subscriber::of("later", 1);
    enlist(&mut signals, &later);
    assert_eq!(later.received().len(), 1);
}

#[test]
fn what_was_said_before_an_owner_spoke_anew_is_fetched_and_shown() {
    let (mut signals, alice) = (known(), Subscriber::of("alice", 1));
    enlist(&mut signals, &alice);
    signals.take(read("bob", 7));
    signals.tick(&key());
    signals.see(LinkId(2), Said::Whole(key(), View::default()));
    assert!(signals.wants_positions() && !signals.wants_positions());
    signals.take_positions(&key(), positions([("bob", 6), ("carol", 9)]));
    signals.tick(&key());
    let received = alice.received();
    let reads = received.iter().filter(|body| body["type"] == "reads");
    let positions: Vec<&Value> = reads.map(|body| &body["positions"]).collect();
    // What is known to be older moves nobody back.
    assert_eq!(positions, [&json!({"bob": 7}), &json!({"carol": 9})]);
    assert!(!signals.wants_positions());
}

#[test]
fn counts_are_shown_where_they_changed_and_whole_to_who_is_new() {
    let (mut signals, alice, bob) = (
        known(),
        Subscriber::of("alice", 1),
        Subscriber::of("bob", 1),
    );
    enlist(&mut signals, &alice);
    let question = signals.wants_counts([Seq(6), Seq(7)]).unwrap();
    assert_eq!(question.seqs, [Seq(6), Seq(7)]);
    let counts = vec![(Seq(6), 250), (Seq(7), 1)];
    let shown = json!({"type": "reads", "positions": {}, "counts": {"6": 250, "7": 1}});
    for _ in 0..2 {
        signals.take_counts(&key(), Some(counts.clone()));
    }
    assert_eq!(alice.received()[1..], *std::slice::from_ref(&shown));
    enlist(&mut signals, &bob);
    signals.take_counts(&key(), Some(counts));
    assert_eq!(bob.received()[1..], [shown]);
    signals.dismiss_user(&alice.user);
    signals.dismiss_user(&bob.user);
    signals.tick(&key());
    assert!(signals.counts.is_settled());
}

#[test]
fn who_listens_begins_anew_when_the_room_does() {
    let (mut signals, alice, bob) = (
        known(),
        Subscriber::of("alice", 1),
        Subscriber::of("bob", 1),
    );
    enlist(&mut signals, &alice);
    let mut unknown = Signals::default();
    unknown.enlist(bob.clone());
    for (signals, listener) in [(&mut signals, &alice), (&mut unknown, &bob)] {
        signals.send_back();
        assert!(signals.is_empty());
        let mut into = VecDeque::new();
        let mut cx = Context::from_waker(Waker::noop());
        let taken = listener.outbox.poll_take(&mut cx, &mut into);
        assert_eq!(taken, Poll::Ready(Taken::Lapse));
    }
}

#[test]
fn who_is_removed_hears_nothing_more() {
    let (mut signals, alice) = (known(), Subscriber::of("alice", 1));
    enlist(&mut signals, &alice);
    signals.dismiss_user(&alice.user);
    signals.take(typing(1, true));
    assert_eq!(alice.received().len(), 1);
    assert!(signals.is_empty());
}
