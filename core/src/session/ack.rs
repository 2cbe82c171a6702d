//! Acknowledgements: which deliveries a subscription has confirmed, and up to where it has read.

use std::collections::BTreeMap;

use crate::stomp::Mark;

/// Ranges of acknowledged messages that wait for an older one, per subscription. Each costs some 50 bytes, and a client
/// that acknowledges out of order leaves few. Beyond it an acknowledgement that opens one more is refused `too-many`.
pub(super) const ACK_ISLANDS_MAX: usize = 1_024;

/// How a subscription acknowledges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AckMode {
    /// Not at all.
    #[default]
    Auto,
    /// An ACK stands for everything up to it.
    Client,
    /// An ACK stands for its own message.
    ClientIndividual,
}

/// The deliveries of one subscription that acknowledges.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    /// First and last number delivered.
    range: Option<(u64, u64)>,
    /// The head of the last reset delivered.
    reset: Option<u64>,
    /// Everything up to here is acknowledged or was never delivered.
    prefix: u64,
    /// Acknowledged ranges after the prefix, first number to last; neither touches another nor the prefix.
    islands: BTreeMap<u64, u64>,
    /// The position that was told last.
    told: u64,
}

// === impl AckMode ===

impl AckMode {
    /// Reads the header `ack`; absent means `auto`.
    pub(super) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("auto") => Some(Self::Auto),
            Some("client") => Some(Self::Client),
            Some("client-individual") => Some(Self::ClientIndividual),
            Some(_) => None,
        }
    }
}

// === impl Deliveries ===

impl Deliveries {
    /// Notes a MESSAGE. Numbers only grow; those that a reset skipped need no acknowledgement.
    pub(super) fn delivered(&mut self, mark: Mark) {
        match (mark, self.range) {
            (Mark::Reset(head), _) => self.reset = Some(head),
            (Mark::Number(number), None) => {
                self.prefix = number.saturating_sub(1);
                self.told = self.prefix;
                self.range = Some((number, number));
            }
            (Mark::Number(number), Some((first, last))) if number > last => {
                if number > last + 1 {
                    self.confirm(last + 1, number - 1);
                }
                self.range = Some((first, number));
            }
            (Mark::Number(_), Some(_)) => {}
        }
    }

    /// Whether such a MESSAGE was delivered.
    pub(super) fn knows(&self, mark: Mark) -> bool {
        match mark {
            Mark::Reset(head) => self.reset == Some(head),
            Mark::Number(number) => self
                .range
                .is_some_and(|(first, last)| (first..=last).contains(&number)),
        }
    }

    /// How many ranges wait for an older message.
    pub(super) fn islands(&self) -> usize {
        self.islands.len()
    }

    /// Takes an acknowledgement of a known MESSAGE.
    pub(super) fn acknowledge(&mut self, mode: AckMode, mark: Mark) {
        match (mode, mark) {
            (AckMode::Client, Mark::Number(number)) => self.confirm(self.prefix + 1, number),
            (AckMode::ClientIndividual, Mark::Number(number)) => self.confirm(number, number),
            (AckMode::Auto, _) | (_, Mark::Reset(_)) => {}
        }
    }

    /// The position everything up to which is acknowledged, if it moved since it was told last.
    pub(super) fn position(&mut self) -> Option<u64> {
        let moved = self.prefix > self.told;
        self.told = self.prefix;
        moved.then_some(self.prefix)
    }

    /// Marks a range as acknowledged and lets the prefix grow over what it now touches.
    fn confirm(&mut self, from: u64, to: u64) {
        let (mut from, mut to) = (from.max(self.prefix + 1), to);
        if from > to {
            return;
        }
        while let Some((&start, &end)) = self.islands.range(..=to + 1).next_back() {
            if end + 1 < from {
                break;
            }
            from = from.min(start);
            to = to.max(end);
            self.islands.remove(&start);
        }
        if from == self.prefix + 1 {
            self.prefix = to;
        } else {
            self.islands.insert(from, to);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The plain meaning of `client-individual`: the last number before the first one that is missing.
    fn naive_position(first: u64, acked: &BTreeSet<u64>) -> u64 {
        (first..)
            .find(|number| !acked.contains(number))
            .map_or(first - 1, |missing| missing - 1)
    }

    proptest! {
        // req: 85
        #[test]
        fn individual_acknowledgements_move_the_position_only_without_a_gap(
            first in 1_u64..1_000,
            count in 1_u64..60,
            order in prop::collection::vec(0_u64..60, 0..120),
        ) {
            let mut deliveries = Deliveries::default();
            (first..first + count).for_each(|n| deliveries.delivered(Mark::Number(n)));
            let mut acked = BTreeSet::new();
            let mut told = first - 1;
            for offset in order {
                let number = first + offset % count;
                deliveries.acknowledge(AckMode::ClientIndividual, Mark::Number(number));
                acked.insert(number);
                let expected = naive_position(first, &acked);
                prop_assert_eq!(deliveries.position(), (expected > told).then_some(expected));
                told = expected;
                let runs = acked.iter().filter(|n| **n > told && !acked.contains(&(**n - 1)));
                prop_assert_eq!(deliveries.islands(), runs.count());
            }
        }

        // req: 85
        #[test]
        fn cumulative_acknowledgements_are_a_maximum(
            first in 1_u64..1_000,
            offsets in prop::collection::vec(0_u64..50, 1..40),
        ) {
            let mut deliveries = Deliveries::default();
            (first..first + 50).for_each(|n| deliveries.delivered(Mark::Number(n)));
            let mut top = first - 1;
            for offset in offsets {
                let number = first + offset;
                deliveries.acknowledge(AckMode::Client, Mark::Number(number));
                prop_assert_eq!(deliveries.position(), (number > top).then_some(number));
                top = top.max(number);
                prop_assert_eq!(deliveries.islands(), 0);
            }
        }
    }

    #[test]
    fn knows_only_what_was_delivered() {
        let mut deliveries = Deliveries::default();
        assert!(!deliveries.knows(Mark::Number(1)));
        deliveries.delivered(Mark::Number(5));
        deliveries.delivered(Mark::Number(6));
        deliveries.delivered(Mark::Reset(9));
        for (mark, known) in [
            (Mark::Number(4), false),
            (Mark::Number(5), true),
            (Mark::Number(6), true),
            (Mark::Number(7), false),
            (Mark::Reset(9), true),
            (Mark::Reset(8), false),
        ] {
            assert_eq!(deliveries.knows(mark), known, "{mark:?}");
        }
    }

    #[test]
    fn what_a_reset_skipped_needs_no_acknowledgement() {
        let mut deliveries = Deliveries::default();
        deliveries.delivered(Mark::Number(1));
        deliveries.delivered(Mark::Reset(10));
        deliveries.delivered(Mark::Number(11));
        deliveries.acknowledge(AckMode::ClientIndividual, Mark::Number(11));
        assert_eq!(deliveries.position(), None);
        deliveries.acknowledge(AckMode::ClientIndividual, Mark::Number(1));
        assert_eq!(deliveries.position(), Some(11));
    }
}
