//! Questions whose answer must be no older than they are: each waits until a reader of the log has passed the log's end
//! as of a look that began after the question.
//!
//! The fanouts answer "how far is this room?" so. A client that has seen more than its new gateway's owner has read is
//! then told to wait for what it has seen, and never that it does not exist.

use std::collections::BTreeMap;

/// Questions that may wait at once. Beyond, further ones are dropped, which their askers see as "not available".
const QUESTIONS_MAX: usize = 10_000;

/// The questions, by what they wait for. Any number of questions shares one look at the log's end, as long as the look
/// began after them.
#[derive(Debug)]
pub struct FreshQuestions<Q> {
    /// Asked after the running look began.
    queued: Vec<Q>,
    /// Asked before it began.
    looking: Vec<Q>,
    /// By the end they must see passed.
    waiting: BTreeMap<i64, Vec<Q>>,
    count: usize,
}

// === impl FreshQuestions ===

impl<Q> Default for FreshQuestions<Q> {
    fn default() -> Self {
        Self {
            queued: Vec::new(),
            looking: Vec::new(),
            waiting: BTreeMap::new(),
            count: 0,
        }
    }
}

impl<Q> FreshQuestions<Q> {
    /// Takes a question; drops it where there are too many.
    pub fn ask(&mut self, question: Q) {
        if self.count < QUESTIONS_MAX {
            self.count += 1;
            self.queued.push(question);
        }
    }

    /// Whether a look at the log's end is to begin now; says so once per look.
    pub fn begin_look(&mut self) -> bool {
        let begin = self.looking.is_empty() && !self.queued.is_empty();
        if begin {
            self.looking = std::mem::take(&mut self.queued);
        }
        begin
    }

    /// The look found this end; `None` if it failed, and then its questions are dropped.
    pub fn looked(&mut self, end: Option<i64>) {
        let asked = std::mem::take(&mut self.looking);
        match end {
            Some(end) => self.waiting.entry(end).or_default().extend(asked),
            None => self.count -= asked.len(),
        }
    }

    /// The questions that can be answered once everything before `offset` is numbered.
    pub fn passed(&mut self, offset: i64) -> Vec<Q> {
        let mut passed = vec![];
        while let Some(entry) = self.waiting.first_entry()
            && *entry.key() <= offset
        {
            passed.extend(entry.remove());
        }
        self.count -= passed.len();
        passed
    }

    /// The latest end anyone waits for.
    pub fn latest_end(&self) -> Option<i64> {
        self.waiting.last_key_value().map(|(end, _)| *end)
    }

    /// Keeps only the questions somebody still waits for.
    pub fn retain(&mut self, is_wanted: impl Fn(&Q) -> bool) {
        self.queued.retain(&is_wanted);
        for questions in self.waiting.values_mut() {
            questions.retain(&is_wanted);
        }
        self.waiting.retain(|_, questions| !questions.is_empty());
        let waiting: usize = self.waiting.values().map(Vec::len).sum();
        self.count = self.queued.len() + self.looking.len() + waiting;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_waits_for_a_look_that_began_after_it() {
        let mut fresh = FreshQuestions::default();
        fresh.ask("early");
        assert!(fresh.begin_look());
        fresh.ask("late");
        assert!(!fresh.begin_look(), "one look at a time");
        fresh.looked(Some(10));
        assert!(fresh.begin_look());
        fresh.looked(Some(12));
        assert!(fresh.passed(9).is_empty());
        assert_eq!(fresh.passed(11), ["early"]);
        assert_eq!(fresh.passed(12), ["late"]);
        assert_eq!(fresh.count, 0);
    }

    #[test]
    fn questions_nobody_waits_for_are_forgotten() {
        let mut fresh = FreshQuestions::default();
        fresh.ask("gone");
        assert!(fresh.begin_look());
        fresh.looked(Some(10));
        fresh.ask("here");
        fresh.retain(|question| *question != "gone");
        assert_eq!((fresh.count, fresh.waiting.len()), (1, 0));
    }

    #[test]
    fn a_failed_look_drops_its_questions() {
        let mut fresh = FreshQuestions::default();
        fresh.ask("a");
        assert!(fresh.begin_look());
        fresh.looked(None);
        assert!(fresh.passed(i64::MAX).is_empty());
        assert_eq!(fresh.count, 0);
    }

    #[test]
    fn beyond_the_bound_questions_are_dropped() {
        let mut fresh = FreshQuestions::default();
        for question in 0..=QUESTIONS_MAX {
            fresh.ask(question);
        }
        assert_eq!(fresh.queued.len(), QUESTIONS_MAX);
    }
}
