//! How many have read a room's newest messages, where its members are too many to be told one by one.
//!
//! Nobody here counts: whoever holds the sets of readers is asked, seldom, and only while something moves. What is shown
//! are the numbers that changed, so that what was missed once is made up for by the next answer.

use std::collections::BTreeMap;

use crate::ids::Seq;

/// Messages whose counts are followed: about what a screen shows. Older ones show theirs on their page.
pub const COUNTED_MAX: usize = 50;

/// The time between two questions: each costs a range count for every message that is followed.
const ASK_EVERY_MS: u64 = 1_000;

/// How long it is asked on after something moved: whoever moves the sets, which is behind what is stored, may be so far
/// behind. Later than that the next move makes up for it.
const SETTLE_MS: u64 = 30_000;

/// The counts of one room, as they were shown last.
#[derive(Debug, Default)]
pub struct Counts {
    /// The newest messages; nothing where the count has yet to be shown.
    shown: BTreeMap<Seq, Option<u64>>,
    /// Whether messages from before the room was followed are among them.
    has_earlier: bool,
    /// Until when it is asked; nothing once all is shown.
    moving_until_ms: Option<u64>,
    ask_at_ms: u64,
    is_asking: bool,
}

/// What is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// These messages, ascending.
    pub seqs: Vec<Seq>,
    /// And as many from before them as are followed at most.
    pub with_earlier: bool,
}

// === impl Counts ===

impl Counts {
    /// Somebody read on, joined or left.
    pub fn moved(&mut self, now_ms: u64) {
        self.moving_until_ms = Some(now_ms + SETTLE_MS);
    }

    /// All counts are to be shown again, as to somebody who has seen none.
    pub fn show_again(&mut self, now_ms: u64) {
        self.shown.values_mut().for_each(|shown| *shown = None);
        self.moved(now_ms);
    }

    /// What is to be asked now, with messages that may be new; [`Self::answer`] must follow.
    pub fn ask(
        &mut self,
        messages: impl IntoIterator<Item = Seq>,
        now_ms: u64,
    ) -> Option<Question> {
        let until_ms = self.moving_until_ms?;
        if self.is_asking || now_ms < self.ask_at_ms {
            return None;
        }
        for seq in messages {
            self.shown.entry(seq).or_default();
        }
        self.keep_newest();
        if now_ms >= until_ms {
            self.moving_until_ms = None;
        }
        self.is_asking = true;
        self.ask_at_ms = now_ms + ASK_EVERY_MS;
        Some(Question {
            seqs: self.shown.keys().copied().collect(),
            with_earlier: !self.has_earlier && self.shown.len() < COUNTED_MAX,
        })
    }

    /// Takes the answer and tells what is to be shown; without one it is asked again.
    pub fn answer(&mut self, counts: Option<Vec<(Seq, u64)>>, now_ms: u64) -> Vec<(Seq, u64)> {
        self.is_asking = false;
        let Some(mut counts) = counts else {
            self.moved(now_ms);
            return Vec::new();
        };
        self.has_earlier = true;
        counts.retain(|(seq, count)| self.shown.insert(*seq, Some(*count)) != Some(Some(*count)));
        self.keep_newest();
        counts
    }

    /// Whether nothing moves.
    pub fn is_settled(&self) -> bool {
        self.moving_until_ms.is_none() && !self.is_asking
    }

    fn keep_newest(&mut self) {
        while self.shown.len() > COUNTED_MAX {
            self.shown.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn counts(of: &[(u64, u64)]) -> Vec<(Seq, u64)> {
        of.iter().map(|(seq, count)| (Seq(*seq), *count)).collect()
    }

    #[test]
    fn only_what_changed_is_shown() {
        let mut shown = Counts::default();
        shown.moved(0);
        let question = shown.ask([Seq(4), Seq(5)], 0).unwrap();
        assert_eq!(question.seqs, [Seq(4), Seq(5)]);
        assert!(question.with_earlier);
        let first = counts(&[(3, 9), (4, 2), (5, 1)]);
        assert_eq!(shown.answer(Some(first.clone()), 0), first);
        let question = shown.ask([Seq(4), Seq(5)], ASK_EVERY_MS).unwrap();
        assert_eq!(question.seqs, [Seq(3), Seq(4), Seq(5)]);
        assert!(!question.with_earlier);
        let second = counts(&[(3, 9), (4, 2), (5, 2)]);
        assert_eq!(shown.answer(Some(second), 0), counts(&[(5, 2)]));
        shown.show_again(ASK_EVERY_MS);
        shown.ask([], 2 * ASK_EVERY_MS).unwrap();
        let all = counts(&[(3, 9), (4, 2), (5, 2)]);
        assert_eq!(shown.answer(Some(all.clone()), 0), all);
    }

    #[test]
    fn it_is_asked_once_a_second_until_a_while_after_the_last_move() {
        let mut shown = Counts::default();
        assert_eq!(shown.ask([Seq(1)], 0), None);
        let mut asked = Vec::new();
        for now_ms in (0..60_000).step_by(250) {
            if now_ms <= 3_000 {
                shown.moved(now_ms);
            }
            if shown.ask([Seq(1)], now_ms).is_some() {
                // Nothing else is asked before the answer.
                assert_eq!(shown.ask([Seq(1)], now_ms + ASK_EVERY_MS), None);
                asked.push(now_ms);
                shown.answer(Some(counts(&[(1, 1)])), now_ms);
            }
        }
        let until_ms = 3_000 + SETTLE_MS;
        assert_eq!(asked, (0..=until_ms).step_by(1_000).collect::<Vec<u64>>());
        assert!(shown.is_settled());
    }

    #[test]
    fn what_is_not_answered_is_asked_again() {
        let mut shown = Counts::default();
        shown.moved(0);
        let late = SETTLE_MS + 1;
        shown.ask([Seq(1)], late).unwrap();
        assert_eq!(shown.answer(None, late), []);
        assert!(shown.ask([], late + ASK_EVERY_MS).is_some());
    }

    #[test]
    fn the_newest_messages_are_followed() {
        let mut shown = Counts::default();
        shown.moved(0);
        let question = shown.ask((1..=200).map(Seq), 0).unwrap();
        assert_eq!(question.seqs, (151..=200).map(Seq).collect::<Vec<_>>());
        assert!(!question.with_earlier);
    }
}
