//! A receiver's view of one room: what is next, what is a repeat, and what is missing.
//!
//! Forwards reach a receiver from several senders, late, twice or not at all; heads are announced beside them.
//! [`Window`] turns that into one order without hole or repeat, and [`Held`] keeps what arrived ahead of a hole
//! until the hole is filled.

use std::collections::BTreeMap;

use crate::{ids::Seq, room_log::Position};

/// How many places are remembered to compare the senders' numbering. Replica groups are at most a few events
/// apart while both are well; one that is further behind is compared by what it says from then on.
const PLACES: usize = 8;

/// What is to be done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next one, and is now the last one delivered.
    Deliver,
    /// It was delivered before.
    Repeat,
    /// It lies ahead of what is missing: fetch that, and offer this again afterwards.
    Hole(Hole),
}

/// Events that are missing, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The first one missing.
    pub from: Seq,
    /// The last one known to be missing.
    pub to: Seq,
}

/// Two senders numbered different records alike: one of them is wrong. This is an alarm, never a state to live
/// with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seq {seq} was at offset {} and is now said to be at {}", known.offset, said.offset)]
pub struct Conflict {
    /// The rank both claim.
    pub seq: Seq,
    /// The place it was first said to have.
    pub known: Position,
    /// The place it is said to have now.
    pub said: Position,
}

/// A receiver's place in one room.
#[derive(Clone, Debug)]
pub struct Window {
    /// The last event delivered.
    delivered: Seq,
    /// The last event anyone spoke of; never below `delivered`.
    head: Seq,
    /// The places of the latest events, each in the slot its seq names; seq 0 marks an empty slot.
    places: [(Seq, Position); PLACES],
}

/// What arrived ahead of a hole, in order.
#[derive(Clone, Debug)]
pub struct Held<T> {
    items: BTreeMap<Seq, T>,
    /// The most that is held. Beyond it the furthest ahead is dropped: it is the last to be needed and can be
    /// fetched like any other.
    items_max: usize,
}

// === impl Hole ===

impl Hole {
    fn between(delivered: Seq, to: Seq) -> Option<Self> {
        (to > delivered).then(|| Self {
            from: delivered.next(),
            to,
        })
    }

    /// How many events it spans.
    pub fn width(self) -> u64 {
        (self.to.0 + 1).saturating_sub(self.from.0)
    }
}

// === impl Window ===

impl Window {
    /// A receiver that has everything up to and including `delivered`.
    pub fn starting_after(delivered: Seq) -> Self {
        Self {
            delivered,
            head: delivered,
            places: [(Seq::ZERO, Position::ORIGIN); PLACES],
        }
    }

    /// Judges an event, wherever it comes from: a forward, a fetched one or one that was held.
    pub fn offer(&mut self, seq: Seq) -> Verdict {
        self.head = self.head.max(seq);
        if seq <= self.delivered {
            return Verdict::Repeat;
        }
        if seq == self.delivered.next() {
            self.delivered = seq;
            return Verdict::Deliver;
        }
        Verdict::Hole(Hole {
            from: self.delivered.next(),
            to: Seq(seq.0 - 1),
        })
    }

    /// Takes a sender's word on how far the room has come, and says what is missing up to there. Of several
    /// senders the one that is furthest counts.
    pub fn note_head(&mut self, head: Seq) -> Option<Hole> {
        self.head = self.head.max(head);
        self.missing()
    }

    /// Everything between the last event delivered and the furthest one known of.
    pub fn missing(&self) -> Option<Hole> {
        Hole::between(self.delivered, self.head)
    }

    /// Whether a source that answers with `from..=to` fills the hole without leaving one: it must begin where
    /// the last delivered event ended, or before.
    pub fn joins(&self, from: Seq, to: Seq) -> bool {
        from <= self.delivered.next() && to > self.delivered
    }

    /// Compares where an event is said to be with where it was said to be before.
    pub fn check_place(&mut self, seq: Seq, said: Position) -> Result<(), Conflict> {
        let slot = (seq.0 % PLACES as u64) as usize;
        let (known_seq, known) = self.places[slot];
        if known_seq == seq && known != said {
            return Err(Conflict { seq, known, said });
        }
        if known_seq < seq {
            self.places[slot] = (seq, said);
        }
        Ok(())
    }

    /// The last event delivered.
    pub fn delivered(&self) -> Seq {
        self.delivered
    }

    /// The furthest event known of.
    pub fn head(&self) -> Seq {
        self.head
    }
}

// === impl Held ===

impl<T> Held<T> {
    /// Holds nothing, and never more than `items_max`.
    pub fn new(items_max: usize) -> Self {
        Self {
            items: BTreeMap::new(),
            items_max,
        }
    }

    /// Holds an event until it is next; the first of two with one seq stays. Its window hears of it, so that one
    /// that is dropped again, or was never looked at, is known to be missing.
    pub fn hold(&mut self, window: &mut Window, seq: Seq, item: T) {
        window.note_head(seq);
        self.items.entry(seq).or_insert(item);
        if self.items.len() > self.items_max {
            self.items.pop_last();
        }
    }

    /// Takes the event that is next in order, and counts it as delivered. What was delivered meanwhile is
    /// dropped.
    pub fn take_next(&mut self, window: &mut Window) -> Option<(Seq, T)> {
        while let Some(first) = self.items.first_entry() {
            match window.offer(*first.key()) {
                Verdict::Deliver => return Some(first.remove_entry()),
                Verdict::Repeat => drop(first.remove()),
                Verdict::Hole(_) => break,
            }
        }
        None
    }

    /// What must be fetched before the next held event, or up to the head where none is held.
    pub fn missing(&self, window: &Window) -> Option<Hole> {
        let held = self.items.keys().find(|seq| **seq > window.delivered);
        let to = held.map_or(window.head, |seq| Seq(seq.0 - 1));
        Hole::between(window.delivered, to)
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hole_names_what_is_missing_before_the_event() {
        let mut window = Window::starting_after(Seq(4));
        assert_eq!(window.offer(Seq(5)), Verdict::Deliver);
        assert_eq!(window.offer(Seq(5)), Verdict::Repeat);
        let hole = Hole {
            from: Seq(6),
            to: Seq(8),
        };
        assert_eq!(window.offer(Seq(9)), Verdict::Hole(hole));
        assert_eq!(window.delivered(), Seq(5));
        assert_eq!(hole.width(), 3);
        assert!(window.joins(Seq(6), Seq(6)) && !window.joins(Seq(7), Seq(8)));
    }

    #[test]
    fn the_head_is_the_furthest_anyone_spoke_of() {
        let mut window = Window::starting_after(Seq(3));
        assert_eq!(window.note_head(Seq(3)), None);
        assert_eq!(window.note_head(Seq(2)), None);
        let (from, to) = (Seq(4), Seq(6));
        assert_eq!(window.note_head(Seq(6)), Some(Hole { from, to }));
        assert_eq!(window.note_head(Seq(5)), Some(Hole { from, to }));
        assert_eq!(window.head(), Seq(6));
    }

    #[test]
    fn one_seq_at_two_offsets_is_an_alarm() {
        let at = |offset| Position {
            generation: 1,
            offset,
        };
        let mut window = Window::starting_after(Seq::ZERO);
        for seq in 1..=20 {
            assert_eq!(window.check_place(Seq(seq), at(seq as i64)), Ok(()));
        }
        assert_eq!(window.check_place(Seq(17), at(17)), Ok(()));
        let conflict = Conflict {
            seq: Seq(17),
            known: at(17),
            said: at(18),
        };
        assert_eq!(window.check_place(Seq(17), at(18)), Err(conflict));
        assert_eq!(
            conflict.to_string(),
            "seq 17 was at offset 17 and is now said to be at 18"
        );
        assert_eq!(window.check_place(Seq(1), at(99)), Ok(()), "long forgotten");
        assert_eq!(
            window.check_place(Seq(17), at(17)),
            Ok(()),
            "and still known"
        );
    }

    #[test]
    fn what_is_held_is_bounded_and_the_furthest_is_dropped() {
        let mut window = Window::starting_after(Seq::ZERO);
        let mut held = Held::new(2);
        for seq in [5, 3, 4, 3] {
            held.hold(&mut window, Seq(seq), seq);
        }
        assert_eq!(held.len(), 2);
        let (from, to) = (Seq(1), Seq(2));
        assert_eq!(held.missing(&window), Some(Hole { from, to }));
        assert_eq!(held.take_next(&mut window), None);
        for seq in 1..=2 {
            assert_eq!(window.offer(Seq(seq)), Verdict::Deliver);
        }
        assert_eq!(held.take_next(&mut window), Some((Seq(3), 3)));
        assert_eq!(held.take_next(&mut window), Some((Seq(4), 4)));
        assert_eq!(held.take_next(&mut window), None);
        let (from, to) = (Seq(5), Seq(5));
        assert_eq!(held.missing(&window), Some(Hole { from, to }));
    }

    /// What reaches the receiver.
    #[derive(Clone, Debug)]
    enum Arrival {
        Forward(u64),
        Head(u64),
        /// A fetch of what is missing that is answered with at most so many events.
        Fill(u64),
    }

    fn arrivals(last: u64) -> impl Strategy<Value = Vec<Arrival>> {
        let arrival = prop_oneof![
            4 => (1..=last).prop_map(Arrival::Forward),
            1 => (1..=last).prop_map(Arrival::Head),
            1 => (0..=last).prop_map(Arrival::Fill),
        ];
        prop::collection::vec(arrival, 0..120)
    }

    proptest! {
        /// Whatever is repeated, reordered or lost on the way, fills included, each event is seen exactly once
        /// and in order, and with the last fill nothing is missing.
        #[test]
        fn sees_each_event_once_and_in_order(
            start in 0_u64..10,
            arrivals in arrivals(30),
            items_max in 0_usize..6,
        ) {
            let mut window = Window::starting_after(Seq(start));
            let mut held = Held::new(items_max);
            let mut seen = Vec::new();
            let mut spoken_of = start;
            for arrival in arrivals.into_iter().chain([Arrival::Head(30), Arrival::Fill(30)]) {
                match arrival {
                    Arrival::Forward(seq) => {
                        spoken_of = spoken_of.max(seq);
                        match window.offer(Seq(seq)) {
                            Verdict::Deliver => seen.push(seq),
                            Verdict::Repeat => prop_assert!(seq <= window.delivered().0),
                            Verdict::Hole(_) => held.hold(&mut window, Seq(seq), seq),
                        }
                    }
                    Arrival::Head(head) => {
                        spoken_of = spoken_of.max(head);
                        window.note_head(Seq(head));
                    }
                    Arrival::Fill(most) => {
                        let mut left = most;
                        while let Some(hole) = held.missing(&window).filter(|_| left > 0) {
                            prop_assert!(window.joins(hole.from, hole.to));
                            for seq in (hole.from.0..=hole.to.0).take(left as usize) {
                                prop_assert_eq!(window.offer(Seq(seq)), Verdict::Deliver);
                                seen.push(seq);
                                left -= 1;
                            }
                            while let Some((_, seq)) = held.take_next(&mut window) {
                                seen.push(seq);
                            }
                        }
                    }
                }
                while let Some((_, seq)) = held.take_next(&mut window) {
                    seen.push(seq);
                }
                prop_assert!(held.len() <= items_max);
                prop_assert_eq!(window.head(), Seq(spoken_of));
                let expected: Vec<u64> = (start + 1..=window.delivered().0).collect();
                prop_assert_eq!(&seen, &expected);
            }
            prop_assert_eq!(window.delivered(), Seq(30));
            prop_assert!(held.is_empty());
        }
    }
}
