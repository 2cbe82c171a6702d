//! Whether the other end of a connection still lives: who has said nothing for long is asked for a sign of life, and is
//! given up if none comes.

/// One end of a connection, as the other one hears it.
#[derive(Debug)]
pub struct Silence {
    /// How long nothing may come: half of it until the question, the rest for an answer.
    max_ms: u64,
    /// When something came last.
    heard_ms: u64,
    /// When the question was put that is not answered yet.
    asked_ms: Option<u64>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask for a sign of life.
    Question,
    /// Give up: there was time enough for an answer.
    End,
}

// === impl Silence ===

impl Silence {
    /// Something was heard just now, and nothing may come for `max_ms`.
    pub fn new(max_ms: u64, now_ms: u64) -> Self {
        Self {
            max_ms,
            heard_ms: now_ms,
            asked_ms: None,
        }
    }

    /// Anything came, an answer or not.
    pub fn heard(&mut self, now_ms: u64) {
        self.heard_ms = self.heard_ms.max(now_ms);
        self.asked_ms = None;
    }

    /// When [`on_deadline`](Self::on_deadline) wants to be called next.
    pub fn next_deadline_ms(&self) -> u64 {
        let patience_ms = self.max_ms / 2;
        match self.asked_ms {
            // Counted from the question, so that nobody is given up who was not asked in time.
            Some(asked_ms) => asked_ms.saturating_add(self.max_ms - patience_ms),
            None => self.heard_ms.saturating_add(patience_ms),
        }
    }

    /// What is due now; nothing, if it comes too early.
    pub fn on_deadline(&mut self, now_ms: u64) -> Option<Due> {
        if now_ms < self.next_deadline_ms() {
            return None;
        }
        match self.asked_ms {
            Some(_) => Some(Due::End),
            None => {
                self.asked_ms = Some(now_ms);
                Some(Due::Question)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_is_asked_at_half_time_and_given_up_at_its_end() {
        let mut silence = Silence::new(40, 100);
        assert_eq!(silence.next_deadline_ms(), 120);
        assert_eq!(silence.on_deadline(119), None);
        assert_eq!(silence.on_deadline(120), Some(Due::Question));
        assert_eq!(silence.next_deadline_ms(), 140);
        assert_eq!(silence.on_deadline(139), None);
        assert_eq!(silence.on_deadline(140), Some(Due::End));
    }

    #[test]
    fn whatever_is_heard_is_an_answer() {
        let mut silence = Silence::new(40, 100);
        for asked_ms in [120, 159, 198] {
            assert_eq!(silence.on_deadline(asked_ms), Some(Due::Question));
            silence.heard(asked_ms + 19);
            assert_eq!(silence.on_deadline(asked_ms + 20), None);
        }
    }

    #[test]
    fn nobody_is_given_up_who_was_not_asked_in_time() {
        let mut silence = Silence::new(40, 100);
        assert_eq!(silence.on_deadline(10_000), Some(Due::Question));
        assert_eq!(silence.on_deadline(10_019), None);
        assert_eq!(silence.on_deadline(10_020), Some(Due::End));
    }
}
