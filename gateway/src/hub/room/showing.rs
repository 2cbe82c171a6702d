//! Showing a room's events: each is judged in its turn, goes to all who look at the room, and ends what it ends.

use std::sync::Arc;

use roomlog_core::{
    event::{Body, Event},
    room_state::subject_of,
    standing::Judged,
};
use roomlog_platform::{message_trace, stored_event::StoredEvent};

use super::{
    super::shown::{Decoded, Shown},
    Echo, Room,
};
use crate::metrics;

// === impl Room ===

impl Room {
    /// Shows everything that is next and needs nothing from outside.
    pub(super) fn go_on(&mut self) {
        if let Some(decoded) = self.blocked.take() {
            self.judge(decoded);
        }
        while self.blocked.is_none() {
            let Some((_, stored)) = self.held.take_next(&mut self.window) else {
                return;
            };
            self.next_is(stored);
        }
    }

    pub(super) fn next_is(&mut self, stored: StoredEvent) {
        let decoded = Decoded::new(stored);
        if decoded.is_judged() {
            self.judge(decoded);
        } else {
            self.show(&decoded, false);
        }
    }

    /// Judges an event by the room's state and shows it, or blocks until the rows for that are there.
    fn judge(&mut self, decoded: Decoded) {
        let Some(event) = &decoded.event else {
            return self.show(&decoded, false);
        };
        if !self.standing.wanted_by(event).is_empty() {
            self.blocked = Some(decoded);
            return;
        }
        let judged = self.standing.judge(event, decoded.stored.seq);
        self.note_move(event);
        self.show(&decoded, judged == Judged::Void);
    }

    /// Notes whether the user an event is about is a member now. A guess is not noted: nothing would correct it.
    fn note_move(&mut self, event: &Event) {
        if self.standing.is_unsure() {
            return;
        }
        let subject = subject_of(event).unwrap_or(&event.sender.id);
        let row = self.standing.member(subject).flatten();
        self.moves.extend(row.map(|row| (subject.clone(), row)));
    }

    pub(super) fn show(&mut self, decoded: &Decoded, is_void: bool) {
        let shown = Arc::new(decoded.shown(&self.epoch, is_void));
        self.shown = shown.seq;
        self.count = shown.count;
        metrics::shown(decoded.stored.at_ms);
        let deliveries = self.audience.show(&shown);
        metrics::deliveries(deliveries);
        let traceparent = decoded.stored.traceparent.as_deref();
        message_trace::passed("deliver", traceparent, decoded.stored.at_ms);
        self.traces
            .shown(&self.key, &shown.id, shown.seq, deliveries);
        self.answer_echoes(&shown);
        self.recent.push(shown);
        if let (Some(event), false) = (&decoded.event, is_void) {
            self.part_with_who_left(event);
            if matches!(event.body, Body::Message(_)) {
                let at_ms = u64::try_from(decoded.stored.at_ms).unwrap_or(0);
                self.note_post(&event.sender.id, &event.id, at_ms);
            }
        }
    }

    fn answer_echoes(&mut self, shown: &Shown) {
        if self.echoes.is_empty() {
            return;
        }
        let name = (shown.sender.clone(), shown.id.clone());
        for echo in self.echoes.remove(&name).into_iter().flatten() {
            // Who asked may have given up waiting.
            let _ = echo.send(Echo {
                seq: shown.seq,
                count: shown.count,
                is_void: shown.is_void,
            });
        }
    }

    /// Ends the subscriptions of those who are not members any more; the event that says so was their last.
    fn part_with_who_left(&mut self, event: &Event) {
        match &event.body {
            Body::Member(member) => {
                let row = self.standing.member(&member.user).flatten();
                if row.is_some_and(|row| !row.is_in()) {
                    self.audience.dismiss_user(&member.user);
                    self.signals.dismiss_user(&member.user);
                }
            }
            Body::Room(_) if self.standing.room().is_some_and(|room| room.deleted) => {
                self.audience.clear();
                self.signals.clear();
            }
            _ => {}
        }
    }
}
