//! When the rooms of all who are here are looked up again, after moves may have been missed.

/// How long after a gap that is, in milliseconds: by then the store has taken in what happened until it, as the persister
/// usually is within a second.
const WAIT_MS: u64 = 30_000;

/// The gaps that no look has made up for yet. However many come, a look is due at most one wait after the first of them,
/// and another one after the last.
#[derive(Debug, Default)]
pub struct LookAgain {
    due_ms: Option<u64>,
    /// The look after that, for gaps that came while one was due: it might be too early for them.
    next_ms: Option<u64>,
}

// === impl LookAgain ===

impl LookAgain {
    /// Something may have been missed until now.
    pub fn note(&mut self, now_ms: u64) {
        let at_ms = Some(now_ms + WAIT_MS);
        match self.due_ms {
            None => self.due_ms = at_ms,
            Some(_) => self.next_ms = at_ms,
        }
    }

    /// Whether a look begins now.
    pub fn begin(&mut self, now_ms: u64) -> bool {
        let begins = self.due_ms.is_some_and(|due_ms| due_ms <= now_ms);
        if begins {
            self.due_ms = self.next_ms.take();
        }
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_one_after_another_do_not_postpone_the_look() {
        let mut look = LookAgain::default();
        let looks: Vec<u64> = (0..100_000)
            .step_by(1_000)
            .filter(|now_ms| {
                look.note(*now_ms);
                look.begin(*now_ms)
            })
            .collect();
        assert_eq!(looks, [30_000, 60_000, 90_000]);
    }

    #[test]
    fn a_late_gap_has_a_look_of_its_own_and_then_there_is_peace() {
        let mut look = LookAgain::default();
        assert!(!look.begin(u64::MAX));
        look.note(0);
        look.note(29_000);
        assert!(!look.begin(29_999));
        assert!(look.begin(30_000));
        assert!(!look.begin(58_999));
        assert!(look.begin(59_000));
        assert!(!look.begin(u64::MAX));
    }
}
