//! A gateway's view of one room, and the client behind it.

use roomlog_core::{
    gap::{Held, Verdict, Window},
    ids::{RoomKey, Seq},
    room_log::Position,
};

use crate::{checks, log::Log, owner::Said, tally::Tally};

/// Events held ahead of a hole.
const HELD_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) room: RoomKey,
    window: Window,
    held: Held<Position>,
    /// The last event the client saw; it outlives the gateway's own memory.
    seen: Seq,
}

impl Receiver {
    /// A client that has seen everything up to `since`.
    pub(crate) fn new(room: RoomKey, since: Seq) -> Self {
        Self {
            room,
            window: Window::starting_after(since),
            held: Held::new(HELD_MAX),
            seen: since,
        }
    }

    /// The gateway dies; the client resumes elsewhere after what it has seen.
    pub(crate) fn reconnect(&mut self) {
        *self = Self::new(self.room.clone(), self.seen);
    }

    pub(crate) fn hear(&mut self, log: &Log, said: &Said, tally: &mut Tally) {
        match *said {
            Said::Head { seq, .. } => {
                self.window.note_head(seq);
            }
            Said::Event { seq, place, .. } => {
                let agreed = self.window.check_place(seq, place);
                assert_eq!(agreed, Ok(()), "the owners disagree");
                match self.window.offer(seq) {
                    Verdict::Deliver => self.deliver(log, seq, place),
                    Verdict::Repeat => tally.repeats += 1,
                    Verdict::Hole(_) => {
                        tally.holes += 1;
                        self.held.hold(seq, place);
                    }
                }
            }
        }
        self.drain(log);
    }

    /// What must be fetched, from a seq on.
    pub(crate) fn missing_from(&self) -> Option<Seq> {
        self.held.missing(&self.window).map(|hole| hole.from)
    }

    /// Takes what a source knows; one that does not go on where this ends, or has holes, is used no further.
    pub(crate) fn fill(&mut self, log: &Log, events: &[(Seq, Position)], tally: &mut Tally) {
        let Some(hole) = self.held.missing(&self.window) else {
            return;
        };
        let ends = events.first().zip(events.last());
        if !ends.is_some_and(|(first, last)| self.window.joins(first.0, last.0)) {
            return;
        }
        for (seq, place) in events.iter().filter(|(seq, _)| *seq <= hole.to) {
            if self.window.offer(*seq) == Verdict::Deliver {
                tally.filled += 1;
                self.deliver(log, *seq, *place);
            }
        }
        self.drain(log);
    }

    fn drain(&mut self, log: &Log) {
        while let Some((seq, place)) = self.held.take_next(&mut self.window) {
            self.deliver(log, seq, place);
        }
        assert!(self.held.len() <= HELD_MAX);
    }

    fn deliver(&mut self, log: &Log, seq: Seq, place: Position) {
        checks::each_event_is_seen_once_and_in_order(log, &self.room, self.seen, seq, place);
        self.seen = seq;
    }

    pub(crate) fn has_seen(&self, head: Seq) -> bool {
        self.seen == head
    }
}
