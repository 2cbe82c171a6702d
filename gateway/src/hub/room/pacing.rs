//! Slow mode: who posted when in this room, and whether they may again.

use roomlog_core::{
    code::{Code, Refusal},
    event::{Kind, Role},
    ids::{MessageId, UserId},
    slow_mode::Pace,
};
use roomlog_platform::stored_event::StoredEvent;

use super::{
    super::{Action, Ask},
    Room,
};

// === impl Room ===

impl Room {
    /// Whether slow mode lets a request's messages pass now. Who keeps order in the room is not slowed down.
    pub(in super::super) fn paced(&self, ask: &Ask, now_ms: u64) -> Result<(), Refusal> {
        let user = &ask.caller.user;
        let slow_mode_s = self.slow_mode_s();
        let row = self.standing.member(user).flatten();
        let is_above = ask.caller.is_admin || row.is_some_and(|row| row.role > Role::Member);
        if slow_mode_s == 0 || is_above || !ask.purpose.is_post() {
            return Ok(());
        }
        let ids: &[MessageId] = match &ask.action {
            Action::Produce { record, .. } => std::slice::from_ref(&record.id),
            Action::Pace { ids, .. } => ids,
            _ => return Ok(()),
        };
        let slow =
            |wait_ms| Refusal::retry_after(Code::SlowMode, "this room is in slow mode", wait_ms);
        let mut fresh = ids
            .iter()
            .map(|id| self.paces.check(user, id, slow_mode_s, now_ms))
            .filter(|checked| *checked != Ok(Pace::Retry));
        match fresh.next() {
            Some(Err(wait_ms)) => Err(slow(wait_ms)),
            Some(Ok(_)) if fresh.next().is_some() => Err(slow(u64::from(slow_mode_s) * 1_000)),
            _ => Ok(()),
        }
    }

    /// Notes a message in slow mode, before it comes back or as it does.
    pub(in super::super) fn note_post(&mut self, user: &UserId, id: &MessageId, at_ms: u64) {
        let slow_mode_s = self.slow_mode_s();
        if slow_mode_s > 0 {
            self.paces.note(user, id, slow_mode_s, at_ms);
        }
    }

    /// Learns from earlier events who posted when.
    pub(in super::super) fn recall_posts(&mut self, events: &[StoredEvent]) {
        for stored in events.iter().filter(|stored| stored.kind == Kind::Message) {
            let named = (UserId::parse(&stored.sender), MessageId::parse(&stored.id));
            if let ((Ok(user), Ok(id)), Ok(at_ms)) = (named, u64::try_from(stored.at_ms)) {
                self.note_post(&user, &id, at_ms);
            }
        }
    }

    fn slow_mode_s(&self) -> u32 {
        self.standing.room().map_or(0, |room| room.slow_mode_s)
    }
}
