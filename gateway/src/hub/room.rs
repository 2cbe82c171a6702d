//! One room on this gateway: its place in the log, its live subscribers and its latest events.
//!
//! Events come from several senders, late, twice or not at all; they leave in one order without hole or repeat. What
//! is missing, and which rows are needed to judge an event, is answered as a [`Need`]; the shard fetches it.

mod pacing;
mod showing;

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt as _};
use roomlog_core::{
    gap::{Held, Hole, Verdict, Window},
    ids::{Count, RoomKey, Seq, UserId},
    room_log::Position,
    room_state::Membership,
    session::SubIndex,
    signal::Question,
    slow_mode::Paces,
    standing::{Ahead, Standing},
    stomp::Envelope,
};
use roomlog_platform::{link::RoomHead, stored_event::StoredEvent};
use tokio::sync::oneshot;

use super::{
    audience::{Audience, ConnectionId, Subscriber},
    recent::Recent,
    shown::{Decoded, Shown},
    signals::Signals,
};
use crate::{metrics, trace::Traces};

/// Events held while a hole before them is filled; beyond it the furthest are dropped and fetched later.
const HELD_EVENTS_MAX: usize = 256;

/// What a command learns of its own event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Echo {
    pub(crate) seq: Seq,
    pub(crate) count: Count,
    pub(crate) is_void: bool,
}

/// What the room needs from outside before it can go on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// These events.
    Events(Hole),
    /// These users' rows.
    Rows(Vec<UserId>),
}

/// What a subscription that catches up gets.
#[derive(Debug)]
pub(crate) enum Pulled {
    /// The next events, from memory.
    Events(Vec<Arc<Shown>>),
    /// They are no longer in memory: fetch up to and including `to`, without what was deleted up to `head`.
    Older { to: Seq, head: Seq },
    /// There are none: from now on they come through the outbox.
    Live,
    /// The user's membership ended, and everything up to that has been shown.
    Ended,
}

/// A room somebody here looks at.
pub(crate) struct Room {
    key: RoomKey,
    epoch: Arc<str>,
    traces: Arc<Traces>,
    window: Window,
    held: Held<StoredEvent>,
    /// An event that waits for rows.
    blocked: Option<Decoded>,
    /// The last event shown, and the count there.
    shown: Seq,
    count: Count,
    recent: Recent,
    audience: Audience,
    pub(super) signals: Signals,
    /// Whether it is on the list of somebody here.
    pub(super) is_followed: bool,
    standing: Standing,
    /// Whose membership changed, and how it is now, for those who keep count.
    moves: Vec<(UserId, Membership)>,
    /// Who posted last, while the room is in slow mode.
    paces: Paces,
    /// Who waits for the seq of what they posted: at most as many as there are requests, which wait for two seconds.
    echoes: HashMap<(String, String), Vec<oneshot::Sender<Echo>>>,
    /// Whether events or rows are being fetched.
    is_filling: bool,
    /// When it was last of use, on the session clock.
    used_ms: u64,
}

// === impl Room ===

impl Room {
    /// A room of which everything up to and including `head` counts as shown.
    pub(crate) fn new(
        head: RoomHead,
        standing: Standing,
        epoch: Arc<str>,
        traces: Arc<Traces>,
        now_ms: u64,
    ) -> Self {
        Self {
            key: head.key,
            epoch,
            traces,
            window: Window::starting_after(head.seq),
            held: Held::new(HELD_EVENTS_MAX),
            blocked: None,
            shown: head.seq,
            count: head.count,
            recent: Recent::default(),
            audience: Audience::default(),
            signals: Signals::default(),
            is_followed: false,
            moves: standing.unstored().collect(),
            standing,
            paces: Paces::default(),
            echoes: HashMap::new(),
            is_filling: false,
            used_ms: now_ms,
        }
    }

    pub(crate) fn key(&self) -> &RoomKey {
        &self.key
    }

    /// The last event shown.
    pub(crate) fn head(&self) -> Seq {
        self.shown
    }

    /// The last event shown, with its count.
    pub(crate) fn head_and_count(&self) -> RoomHead {
        RoomHead {
            key: self.key.clone(),
            seq: self.shown,
            count: self.count,
        }
    }

    /// Messages and notices up to there.
    pub(crate) fn count(&self) -> Count {
        self.count
    }

    pub(crate) fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Takes rows that were read for an event or a request.
    ///
    /// # Errors
    /// When the store is further than what is shown here: the room must be opened anew.
    pub(crate) fn learn(
        &mut self,
        rows: impl IntoIterator<Item = (UserId, Option<Membership>)>,
    ) -> Result<(), Ahead> {
        let mut rows = rows.into_iter();
        rows.try_for_each(|(user, row)| self.standing.learn(user, row))
    }

    /// Gives the room up for one that is opened anew. Its subscriptions ask again: those to events from the last seq
    /// that was written, those to signals for a new snapshot. Answers the furthest event that anyone spoke of.
    pub(crate) fn give_up(mut self) -> Seq {
        self.audience.send_back();
        self.signals.send_back();
        self.window.head()
    }

    /// Notes that somebody is interested.
    pub(crate) fn touch(&mut self, now_ms: u64) {
        self.used_ms = now_ms;
    }

    /// Gives back what is not needed; `true` if nobody has looked at the room since `since_ms`.
    pub(crate) fn sweep(&mut self, since_ms: u64) -> bool {
        self.standing.trim();
        self.audience.forget_the_gone();
        self.signals.forget_the_gone();
        self.echoes.retain(|_, echoes| {
            echoes.retain(|echo| !echo.is_closed());
            !echoes.is_empty()
        });
        let is_watched = !self.audience.is_empty() || !self.signals.is_empty();
        !is_watched && self.echoes.is_empty() && self.used_ms < since_ms
    }

    /// Takes an event, wherever it comes from.
    pub(crate) fn take(&mut self, stored: StoredEvent) {
        let place = Position {
            generation: 0,
            offset: stored.offset,
        };
        if let Err(conflict) = self.window.check_place(stored.seq, place) {
            tracing::error!(partition = stored.partition, %conflict, "two senders number this partition differently");
            metrics::numbering_conflict();
            return;
        }
        if self.blocked.is_some() || !self.held.is_empty() {
            self.held.hold(&mut self.window, stored.seq, stored);
            return self.go_on();
        }
        match self.window.offer(stored.seq) {
            Verdict::Deliver => self.next_is(stored),
            Verdict::Repeat => metrics::repeat_dropped(),
            Verdict::Hole(_) => self.held.hold(&mut self.window, stored.seq, stored),
        }
    }

    /// Takes a sender's word on how far the room has come.
    pub(crate) fn note_head(&mut self, head: Seq) {
        self.window.note_head(head);
    }

    /// Says what is needed now; each need is stated once and ends with [`Self::fetched`].
    pub(crate) fn need(&mut self) -> Option<Need> {
        if self.is_filling {
            return None;
        }
        let need = match self
            .blocked
            .as_ref()
            .and_then(|blocked| blocked.event.as_ref())
        {
            Some(event) => Need::Rows(self.standing.wanted_by(event)),
            None => Need::Events(self.held.missing(&self.window)?),
        };
        self.is_filling = true;
        Some(need)
    }

    /// Ends the last need, with success or without.
    pub(crate) fn fetched(&mut self) {
        self.is_filling = false;
        self.go_on();
    }

    /// Goes on without rows that could not be read: delivery never waits for the store. Who sent the event had it
    /// checked by their gateway, so it is shown as standing; a membership it ends is over.
    pub(crate) fn go_on_without_rows(&mut self) {
        self.is_filling = false;
        if let Some(decoded) = self.blocked.take() {
            if let Some(event) = &decoded.event {
                self.standing.pass_over(event, decoded.stored.seq);
            }
            self.show(&decoded, false);
        }
        self.go_on();
    }

    /// Registers a subscription that has everything before `next`, or says what it lacks.
    pub(crate) fn pull(&mut self, subscriber: &Subscriber, next: Seq, may_read: bool) -> Pulled {
        let upto = if may_read {
            self.shown
        } else {
            self.standing.last_seq_of(&subscriber.user)
        };
        if next > upto && !may_read {
            return Pulled::Ended;
        }
        if next > upto {
            self.audience.enlist(subscriber, next);
            return Pulled::Live;
        }
        let older = |to| Pulled::Older {
            to,
            head: self.shown,
        };
        match self.recent.front() {
            Some(first) if first.seq <= next => {
                let wanted = |shown: &&Arc<Shown>| (next..=upto).contains(&shown.seq);
                Pulled::Events(self.recent.iter().filter(wanted).cloned().collect())
            }
            Some(first) => older(Seq(first.seq.0 - 1).min(upto)),
            None => older(upto),
        }
    }

    /// Takes whose membership changed since this was last asked. At first these are the changes the store did not hold.
    pub(crate) fn take_moves(&mut self) -> Vec<(UserId, Membership)> {
        std::mem::take(&mut self.moves)
    }

    /// Ends a subscription; nothing more is put into its outbox.
    pub(crate) fn leave(&mut self, connection: ConnectionId, index: SubIndex, envelope: &Envelope) {
        self.audience.dismiss(connection, index, envelope);
        self.signals.dismiss(connection, index, envelope);
    }

    /// Where the last `messages` messages begin, as far as memory reaches.
    pub(crate) fn history_start(&self, messages: u64) -> Option<Seq> {
        let before = self.count.0.saturating_sub(messages);
        let reaches = |first: &Arc<Shown>| {
            first.count.0 <= before || (first.kind.counts() && first.count.0 == before + 1)
        };
        self.recent.front().filter(|first| reaches(first))?;
        let starts = self.recent.iter().find(|shown| shown.count.0 > before);
        Some(starts.map_or(self.shown.next(), |shown| shown.seq))
    }

    /// The count at a seq that memory holds.
    pub(crate) fn count_at(&self, seq: Seq) -> Option<Count> {
        if seq == self.shown {
            return Some(self.count);
        }
        self.recent_with(|shown| shown.seq == seq)
            .map(|shown| shown.count)
    }

    /// Of which messages it is to be asked now how many have read them.
    pub(super) fn wants_counts(&mut self) -> Option<Question> {
        let messages = self.recent.iter().filter(|shown| shown.kind.counts());
        self.signals.wants_counts(messages.map(|shown| shown.seq))
    }

    /// The place of a recent event, by sender and id.
    pub(crate) fn find(&self, sender: &str, id: &str) -> Option<Echo> {
        self.recent_with(|shown| shown.sender == sender && shown.id == id)
            .map(|shown| Echo {
                seq: shown.seq,
                count: shown.count,
                is_void: shown.is_void,
            })
    }

    /// Tells this channel when the event of this sender and id is shown.
    pub(crate) fn await_echo(&mut self, sender: &str, id: &str, echo: oneshot::Sender<Echo>) {
        let name = (sender.to_owned(), id.to_owned());
        self.echoes.entry(name).or_default().push(echo);
    }

    fn recent_with(&self, fits: impl Fn(&Shown) -> bool) -> Option<&Arc<Shown>> {
        self.recent.iter().rev().find(|shown| fits(shown))
    }
}

#[cfg(test)]
mod tests;
