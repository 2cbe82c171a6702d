//! Heads that must be no older than the question: each waits until the owner has passed the log's end as of then.

use std::collections::BTreeMap;

use roomlog_core::ids::RoomKey;
use roomlog_platform::link::RoomHead;
use tokio::sync::oneshot;

/// Questions that may wait at once. Beyond, further ones are dropped, which their askers see as "not available".
const QUESTIONS_MAX: usize = 10_000;

/// Somebody waits for a room's head.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) key: RoomKey,
    pub(super) reply: oneshot::Sender<RoomHead>,
}

/// The questions, by what they wait for. Any number of questions shares one look at the log's end, as long as the look
/// began after them.
#[derive(Debug, Default)]
pub(super) struct FreshHeads {
    /// Asked after the running look began.
    queued: Vec<Question>,
    /// Asked before it began.
    looking: Vec<Question>,
    /// By the end they must see passed.
    waiting: BTreeMap<i64, Vec<Question>>,
    count: usize,
}

// === impl FreshHeads ===

impl FreshHeads {
    pub(super) fn ask(&mut self, question: Question) {
        if self.count < QUESTIONS_MAX {
            self.count += 1;
            self.queued.push(question);
        }
    }

    /// Whether a look at the log's end is to begin now; says so once per look.
    pub(super) fn begin_look(&mut self) -> bool {
        let begin = self.looking.is_empty() && !self.queued.is_empty();
        if begin {
            self.looking = std::mem::take(&mut self.queued);
        }
        begin
    }

    /// The look found this end; `None` if it failed, and then its questions are dropped.
    pub(super) fn looked(&mut self, end: Option<i64>) {
        let asked = std::mem::take(&mut self.looking);
        match end {
            Some(end) => self.waiting.entry(end).or_default().extend(asked),
            None => self.count -= asked.len(),
        }
    }

    /// The questions that can be answered once everything before `offset` is numbered.
    pub(super) fn passed(&mut self, offset: i64) -> Vec<Question> {
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
    pub(super) fn latest_end(&self) -> Option<i64> {
        self.waiting.last_key_value().map(|(end, _)| *end)
    }

    /// Forgets questions nobody waits for any more.
    pub(super) fn prune(&mut self) {
        self.queued.retain(|question| !question.reply.is_closed());
        for questions in self.waiting.values_mut() {
            questions.retain(|question| !question.reply.is_closed());
        }
        self.waiting.retain(|_, questions| !questions.is_empty());
        let waiting: usize = self.waiting.values().map(Vec::len).sum();
        self.count = self.queued.len() + self.looking.len() + waiting;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn question(room: &str) -> (Question, oneshot::Receiver<RoomHead>) {
        let (reply, answer) = oneshot::channel();
        (
            Question {
                key: RoomKey::parse(room).unwrap(),
                reply,
            },
            answer,
        )
    }

    #[test]
    fn a_question_waits_for_a_look_that_began_after_it() {
        let mut fresh = FreshHeads::default();
        let ((early, _early), (late, _late)) = (question("early"), question("late"));
        fresh.ask(early);
        assert!(fresh.begin_look());
        fresh.ask(late);
        assert!(!fresh.begin_look(), "one look at a time");
        fresh.looked(Some(10));
        assert!(fresh.begin_look());
        fresh.looked(Some(12));
        assert!(fresh.passed(9).is_empty());
        assert_eq!(fresh.passed(11).len(), 1);
        assert_eq!(fresh.passed(12)[0].key.as_str(), "late");
        assert_eq!(fresh.count, 0);
    }

    #[test]
    fn questions_nobody_waits_for_are_forgotten() {
        let mut fresh = FreshHeads::default();
        let (gone, answer) = question("gone");
        fresh.ask(gone);
        assert!(fresh.begin_look());
        fresh.looked(Some(10));
        drop(answer);
        fresh.prune();
        assert_eq!((fresh.count, fresh.waiting.len()), (0, 0));
    }

    #[test]
    fn a_failed_look_drops_its_questions() {
        let mut fresh = FreshHeads::default();
        let (asked, mut answer) = question("a");
        fresh.ask(asked);
        assert!(fresh.begin_look());
        fresh.looked(None);
        assert_eq!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
    }
}
