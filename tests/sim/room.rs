//! One room on a gateway: its place in the log, what it knows of its members, and its latest events.

use std::collections::VecDeque;

use roomlog_core::{
    event::{Body, Event},
    gap::{Held, Hole, Verdict, Window},
    ids::{Count, RoomKey, Seq, UserId},
    room_state::Membership,
    standing::{Ahead, Judged, Standing},
};

use crate::{
    gateway::{Following, Frame, Session, Sessions},
    log::Log,
    owner::{Told, count_of},
    rules::{Mechanism, Rules},
    stores::Dynamo,
    tally::Tally,
};

/// Events held ahead of a hole.
const HELD_MAX: usize = 4;
/// Events kept for those who come late.
const RECENT_MAX: usize = 4;
/// Events replayed at once.
const PAGE_MAX: usize = 3;

#[derive(Debug)]
pub(crate) struct Room {
    rules: Rules,
    key: RoomKey,
    window: Window,
    held: Held<Told>,
    /// An event that waits for rows.
    blocked: Option<Told>,
    /// The last event shown, and the count there.
    shown: (Seq, Count),
    recent: VecDeque<(Told, Option<bool>)>,
    standing: Standing,
}

// === impl Room ===

impl Room {
    /// A room of which everything up to and including `head` counts as shown.
    pub(crate) fn new(key: RoomKey, head: (Seq, Count), standing: Standing, rules: Rules) -> Self {
        Self {
            rules,
            key,
            window: Window::starting_after(head.0),
            held: Held::new(HELD_MAX),
            blocked: None,
            shown: head,
            recent: VecDeque::new(),
            standing,
        }
    }

    pub(crate) fn shown(&self) -> Seq {
        self.shown.0
    }

    /// The furthest event anyone spoke of.
    pub(crate) fn head(&self) -> Seq {
        self.window.head()
    }

    pub(crate) fn note_head(&mut self, head: Seq) {
        self.window.note_head(head);
    }

    /// What must be fetched before it can go on; nothing while an event waits for rows.
    pub(crate) fn hole(&self) -> Option<Hole> {
        match self.blocked {
            Some(_) => None,
            None => self.held.missing(&self.window),
        }
    }

    // --- Who stands how ---

    pub(crate) fn knows(&self, user: &UserId) -> bool {
        self.standing.member(user).is_some()
    }

    /// Reads a user's row; an error says that the store is further than what is shown here.
    pub(crate) fn learn(&mut self, user: &UserId, dynamo: &Dynamo) -> Result<(), Ahead> {
        let row = dynamo.member(&self.key, user, self.rules);
        self.standing.learn(user.clone(), row)
    }

    fn row(&self, user: &UserId) -> Option<Membership> {
        self.standing.member(user).flatten()
    }

    pub(crate) fn may_read(&self, user: &UserId) -> bool {
        let exists = self.standing.room().is_some_and(|room| !room.deleted);
        exists && self.row(user).is_some_and(|row| row.is_in())
    }

    /// Whether a user may post, as far as that is known here.
    pub(crate) fn may_post(&self, user: &UserId) -> bool {
        !self.knows(user) || (self.may_read(user) && self.row(user).is_some_and(|row| !row.muted))
    }

    /// Whether an event was passed over, so that its state should be read anew.
    pub(crate) fn is_unsure(&self) -> bool {
        self.standing.is_unsure()
    }

    // --- Events ---

    /// Takes an event, wherever it comes from.
    pub(crate) fn take(
        &mut self,
        log: &Log,
        told: Told,
        sessions: &mut Sessions,
        tally: &mut Tally,
    ) {
        let agreed = self.window.check_place(told.seq, told.place);
        assert_eq!(agreed, Ok(()), "one_order_for_all: two fanouts disagree");
        if !self.rules.keep(Mechanism::HoldingBack) && told.seq > self.window.delivered() {
            self.window = Window::starting_after(Seq(told.seq.0 - 1));
        }
        if self.blocked.is_some() || !self.held.is_empty() {
            self.held.hold(&mut self.window, told.seq, told);
            return self.go_on(log, sessions);
        }
        match self.window.offer(told.seq) {
            Verdict::Deliver => self.judge(log, told, sessions),
            Verdict::Repeat => tally.repeats += 1,
            Verdict::Hole(_) => {
                tally.holes += 1;
                self.held.hold(&mut self.window, told.seq, told);
            }
        }
        assert!(self.held.len() <= HELD_MAX);
    }

    /// Takes what a source has; one that does not go on where this ends is not used.
    pub(crate) fn fill(
        &mut self,
        log: &Log,
        found: &[Told],
        sessions: &mut Sessions,
        tally: &mut Tally,
    ) {
        let ends = found.first().zip(found.last());
        if !ends.is_some_and(|(first, last)| self.window.joins(first.seq, last.seq)) {
            return;
        }
        for told in found {
            tally.filled += 1;
            self.take(log, *told, sessions, tally);
        }
    }

    /// Shows everything that is next and needs nothing from outside.
    fn go_on(&mut self, log: &Log, sessions: &mut Sessions) {
        if let Some(told) = self.blocked.take() {
            self.judge(log, told, sessions);
        }
        while self.blocked.is_none() {
            let Some((_, told)) = self.held.take_next(&mut self.window) else {
                return;
            };
            self.judge(log, told, sessions);
        }
    }

    /// Judges an event by the room's state and shows it, or blocks until the rows for that are there.
    fn judge(&mut self, log: &Log, told: Told, sessions: &mut Sessions) {
        let Some(event) = log.record(told.place).folded() else {
            return self.show(log, told, Some(false), sessions);
        };
        if !self.standing.wanted_by(event).is_empty() {
            self.blocked = Some(told);
            return;
        }
        let is_void = match self.standing.judge(event, told.seq) {
            Judged::Stands => Some(false),
            Judged::Void => Some(true),
            Judged::PassedOver => None,
        };
        self.show(log, told, is_void, sessions);
    }

    /// Reads the rows the blocked event is judged by, and goes on.
    pub(crate) fn read_rows(
        &mut self,
        log: &Log,
        dynamo: &Dynamo,
        sessions: &mut Sessions,
    ) -> Result<(), Ahead> {
        let Some(told) = self.blocked else {
            return Ok(());
        };
        let event = log.record(told.place).folded().expect("only such block");
        for user in self.standing.wanted_by(event) {
            self.learn(&user, dynamo)?;
        }
        self.go_on(log, sessions);
        Ok(())
    }

    /// Goes on without rows that can't be read: delivery never waits for the store.
    pub(crate) fn go_on_without_rows(
        &mut self,
        log: &Log,
        sessions: &mut Sessions,
        tally: &mut Tally,
    ) {
        if let Some(told) = self.blocked.take() {
            tally.unjudged += 1;
            if let Some(event) = log.record(told.place).folded() {
                self.standing.pass_over(event, told.seq);
            }
            self.show(log, told, None, sessions);
        }
        self.go_on(log, sessions);
    }

    fn show(&mut self, log: &Log, told: Told, is_void: Option<bool>, sessions: &mut Sessions) {
        let record = log.record(told.place);
        self.shown = (told.seq, count_of(record));
        for session in self.audience(sessions) {
            if matches!(session.following, Following::Live(next) if next <= told.seq) {
                session.following = Following::Live(told.seq.next());
                session.wire.push_back(Frame::Message {
                    told,
                    is_void,
                    as_of: told.seq,
                });
            }
        }
        self.recent.push_back((told, is_void));
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        if let Some(event) = record.folded().filter(|_| is_void != Some(true)) {
            self.part_with_who_left(event, sessions);
        }
    }

    fn audience<'a>(&self, sessions: &'a mut Sessions) -> impl Iterator<Item = &'a mut Session> {
        let key = self.key.clone();
        let sessions = sessions.values_mut();
        sessions.filter(move |session| session.room == key)
    }

    /// Ends the subscriptions of those who are not members any more; the event that says so was their last.
    fn part_with_who_left(&self, event: &Event, sessions: &mut Sessions) {
        if !self.rules.keep(Mechanism::SilenceAfterRemoval) {
            return;
        }
        let is_deleted = self.standing.room().is_some_and(|room| room.deleted);
        for session in self.audience(sessions) {
            let is_over = match &event.body {
                Body::Member(member) => {
                    let row = self.row(&member.user);
                    session.user == member.user && row.is_some_and(|row| !row.is_in())
                }
                _ => is_deleted,
            };
            if is_over && matches!(session.following, Following::Live(_)) {
                session.following = Following::Ended;
            }
        }
    }

    /// Finds the next events of a subscription that is behind; says where it stands then.
    pub(crate) fn pull(
        &self,
        log: &Log,
        session: &mut Session,
        next: Seq,
        dynamo: &Dynamo,
        found: &[Told],
        tally: &mut Tally,
    ) -> Following {
        let may_read = self.may_read(&session.user);
        let upto = match may_read {
            true => self.shown(),
            false => self.standing.last_seq_of(&session.user),
        };
        if next > upto {
            return match may_read {
                true => Following::Live(next),
                false => Following::Ended,
            };
        }
        let answers = dynamo.answers();
        let is_here = |first: &(Told, Option<bool>)| first.0.seq <= next;
        let events: Vec<_> = match self.recent.front().is_some_and(is_here) {
            true => self.recent.iter().copied().collect(),
            false => found
                .iter()
                .map(|told| {
                    // The store may know whether it is void.
                    let row = dynamo.events.get(&(self.key.clone(), told.seq));
                    let is_folded = log.record(told.place).folded().is_some();
                    let known = row.filter(|_| answers).map(|(_, is_void)| *is_void);
                    (*told, if is_folded { known } else { Some(false) })
                })
                .collect(),
        };
        let mut next = next;
        for (told, is_void) in events.into_iter().take(RECENT_MAX + PAGE_MAX) {
            if told.seq == next && told.seq <= upto {
                next = next.next();
                tally.replayed += 1;
                session.wire.push_back(Frame::Message {
                    told,
                    is_void,
                    as_of: self.shown(),
                });
            }
        }
        Following::Behind(next)
    }
}
