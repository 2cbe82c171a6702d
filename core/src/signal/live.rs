//! One room's signals as a gateway shows them: repeats dropped, typing ended by time, read positions coalesced.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{Seq, UserId};

use super::{Signal, Stamp};

/// How long somebody counts as typing after they last said so. Clients repeat it every few seconds while it is true.
pub const TYPING_TTL_MS: u64 = 6_000;

/// Users whose typing is followed in one room. Beyond it further ones are not shown as typing.
const TYPISTS_MAX: usize = 1_000;

/// Positions that wait for the next look. Beyond it a position is dropped; the reader's next one makes up for it.
const READS_MAX: usize = 10_000;

/// Users whose shown position is remembered, so that it is shown once and never moves back. When full all are forgotten.
const SHOWN_MAX: usize = 10_000;

/// The live side of one room.
#[derive(Debug, Default)]
pub struct Live {
    /// By user and gateway, including those that stopped a moment ago: their counters tell repeats.
    typists: BTreeMap<(UserId, u64), Typist>,
    reads: BTreeMap<UserId, Seq>,
    /// The positions that were shown: an owner that is late, or says it again, does not move them back.
    shown: BTreeMap<UserId, Seq>,
}

#[derive(Debug)]
struct Typist {
    counter: u64,
    on: bool,
    until_ms: u64,
}

/// Something to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Somebody began to type or stopped.
    Typing {
        /// Who.
        user: UserId,
        /// Whether they type.
        on: bool,
    },
    /// Members have read on: each one's latest position.
    Reads(Vec<(UserId, Seq)>),
}

// === impl Live ===

impl Live {
    /// Takes a signal, perhaps for the second time; answers what is to be shown at once.
    pub fn take(&mut self, stamp: Stamp, signal: Signal, now_ms: u64) -> Option<Change> {
        match signal {
            Signal::Typing { user, on } => self.take_typing(stamp, user, on, now_ms),
            Signal::Read { user, seq, .. } => {
                self.take_read(user, seq);
                None
            }
        }
    }

    /// Takes how far somebody has read, by whatever way it is known. It is shown with the next look if it is news.
    pub fn take_read(&mut self, user: UserId, seq: Seq) {
        if self.shown.get(&user).is_some_and(|shown| *shown >= seq) {
            return;
        }
        if self.reads.len() < READS_MAX || self.reads.contains_key(&user) {
            let position = self.reads.entry(user).or_default();
            *position = seq.max(*position);
        }
    }

    /// What is due: who stopped typing by itself, and the positions gathered since the last look.
    pub fn due(&mut self, now_ms: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        let over: Vec<_> = self
            .typists
            .iter()
            .filter(|(_, typist)| typist.until_ms <= now_ms)
            .map(|(name, typist)| (name.clone(), typist.on))
            .collect();
        for (name, on) in over {
            self.typists.remove(&name);
            if on && !self.types(&name.0) {
                changes.push(Change::Typing {
                    user: name.0,
                    on: false,
                });
            }
        }
        if !self.reads.is_empty() {
            let reads = std::mem::take(&mut self.reads);
            if self.shown.len() + reads.len() > SHOWN_MAX {
                self.shown.clear();
            }
            self.shown
                .extend(reads.iter().map(|(user, seq)| (user.clone(), *seq)));
            changes.push(Change::Reads(reads.into_iter().collect()));
        }
        changes
    }

    /// Who types now, on however many devices.
    pub fn typing(&self) -> BTreeSet<UserId> {
        let typing = self.typists.iter().filter(|(_, typist)| typist.on);
        typing.map(|((user, _), _)| user.clone()).collect()
    }

    /// Whether [`Self::due`] has something to say, now or later.
    pub fn is_quiet(&self) -> bool {
        self.typists.is_empty() && self.reads.is_empty()
    }

    fn take_typing(&mut self, stamp: Stamp, user: UserId, on: bool, now_ms: u64) -> Option<Change> {
        let name = (user, stamp.source);
        if let Some(known) = self.typists.get(&name)
            && known.counter >= stamp.counter
        {
            return None;
        }
        if self.typists.len() >= TYPISTS_MAX && !self.typists.contains_key(&name) {
            return None;
        }
        let before = self.types(&name.0);
        let user = name.0.clone();
        self.typists.insert(
            name,
            Typist {
                counter: stamp.counter,
                on,
                until_ms: now_ms + TYPING_TTL_MS,
            },
        );
        let after = self.types(&user);
        (before != after).then_some(Change::Typing { user, on: after })
    }

    fn types(&self, user: &UserId) -> bool {
        let all = (user.clone(), u64::MIN)..=(user.clone(), u64::MAX);
        self.typists.range(all).any(|(_, typist)| typist.on)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::ids::Count;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    fn typing(name: &str, on: bool) -> Signal {
        Signal::Typing {
            user: user(name),
            on,
        }
    }

    fn stamp(source: u64, counter: u64) -> Stamp {
        Stamp { source, counter }
    }

    fn shown(name: &str, on: bool) -> Change {
        Change::Typing {
            user: user(name),
            on,
        }
    }

    #[test]
    fn the_same_signal_by_two_owners_shows_once() {
        let mut live = Live::default();
        assert_eq!(
            live.take(stamp(1, 1), typing("a", true), 0),
            Some(shown("a", true))
        );
        assert_eq!(live.take(stamp(1, 1), typing("a", true), 1), None);
        assert_eq!(
            live.take(stamp(1, 2), typing("a", false), 2),
            Some(shown("a", false))
        );
        assert_eq!(live.take(stamp(1, 1), typing("a", true), 3), None);
    }

    #[test]
    fn typing_ends_by_itself() {
        let mut live = Live::default();
        live.take(stamp(1, 1), typing("a", true), 0);
        live.take(stamp(1, 2), typing("a", true), 1_000);
        assert_eq!(live.due(TYPING_TTL_MS), []);
        assert_eq!(live.due(TYPING_TTL_MS + 1_000), [shown("a", false)]);
        assert!(live.is_quiet());
    }

    #[test]
    fn who_types_on_two_devices_stops_with_the_last() {
        let mut live = Live::default();
        live.take(stamp(1, 1), typing("a", true), 0);
        assert_eq!(live.take(stamp(2, 1), typing("a", true), 0), None);
        assert_eq!(live.take(stamp(1, 2), typing("a", false), 0), None);
        assert_eq!(
            live.take(stamp(2, 2), typing("a", false), 0),
            Some(shown("a", false))
        );
    }

    proptest! {
        /// What is shown of anyone moves forward only, whenever it is looked at and however late a second owner is.
        #[test]
        fn a_position_that_is_shown_never_moves_back(
            marks in prop::collection::vec((0_u8..3, 0_u64..20, any::<bool>()), 1..60),
        ) {
            let mut live = Live::default();
            let mut seen: BTreeMap<UserId, Seq> = BTreeMap::new();
            for (who, seq, look) in marks {
                let user = user(&format!("u{who}"));
                let signal = Signal::Read { user, seq: Seq(seq), count: Count(seq) };
                live.take(stamp(1, seq), signal, 0);
                for change in if look { live.due(0) } else { Vec::new() } {
                    let Change::Reads(positions) = change else {
                        continue;
                    };
                    for (user, seq) in positions {
                        let before = seen.insert(user, seq);
                        prop_assert!(before.is_none_or(|before| before < seq));
                    }
                }
            }
        }

        /// Positions merge by maximum, in whatever order and however often they come.
        #[test]
        fn the_furthest_position_is_shown(marks in prop::collection::vec((0_u8..3, 0_u64..100), 1..40)) {
            let mut live = Live::default();
            let mut furthest = BTreeMap::new();
            for (who, seq) in marks {
                let user = user(&format!("u{who}"));
                let signal = Signal::Read { user: user.clone(), seq: Seq(seq), count: Count(seq) };
                prop_assert_eq!(live.take(stamp(1, seq), signal, 0), None);
                let best = furthest.entry(user).or_insert(Seq(seq));
                *best = Seq(seq).max(*best);
            }
            prop_assert_eq!(live.due(0), [Change::Reads(furthest.into_iter().collect())]);
        }
    }
}
