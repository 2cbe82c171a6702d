//! A gateway opens a room: its fresh head, its stored state, and the changes that came after what is stored. Without the
//! store it is opened by all its events, if all of them can be had.

use roomlog_core::{
    ids::{Count, RoomKey, Seq},
    standing::Standing,
};

use crate::{
    log::Log,
    owner::Told,
    room::Room,
    rules::{Mechanism, Rules},
    stores::Dynamo,
    tally::Tally,
};

#[derive(Debug, Default)]
pub(crate) struct Opening {
    /// How far an owner says the room is.
    head: Option<(Seq, Count)>,
    /// What is folded so far, and the next event to fold.
    standing: Option<(Standing, Seq)>,
}

// === impl Opening ===

impl Opening {
    pub(crate) fn wants_head(&self) -> bool {
        self.head.is_none()
    }

    /// The next event to fold.
    pub(crate) fn next(&self) -> Option<Seq> {
        self.standing.as_ref().map(|(_, next)| *next)
    }

    pub(crate) fn answered(&mut self, head: (Seq, Count)) {
        self.head.get_or_insert(head);
    }

    /// Takes the next step; others may do anything between two of them.
    pub(crate) fn advance(
        &mut self,
        log: &Log,
        key: &RoomKey,
        dynamo: &Dynamo,
        rules: Rules,
        found: &[Told],
        tally: &mut Tally,
    ) -> Option<Room> {
        let Some((standing, next)) = &mut self.standing else {
            match dynamo.answers() {
                true => self.read_row(key, dynamo),
                false => self.begin_young(rules),
            }
            return None;
        };
        let head = self.head?;
        let is_stuck = *next <= head.0 && found.first().is_none_or(|told| told.seq != *next);
        if standing.is_whole() && is_stuck {
            // Not all its events can be had: it stays closed until the store answers.
            self.standing = None;
            return None;
        }
        if *next > head.0 {
            let (standing, _) = self.standing.take()?;
            tally.young += u64::from(standing.is_whole());
            return Some(Room::new(key.clone(), head, standing, rules));
        }
        for told in found {
            if told.seq != *next || *next > head.0 {
                break;
            }
            let record = log.record(told.place);
            if let Some(event) = record.folded() {
                let unknown = standing.unknown_of(event);
                if !unknown.is_empty() && !dynamo.answers() {
                    break;
                }
                for user in unknown {
                    let row = dynamo.member(key, &user, rules);
                    if standing.learn(user, row).is_err() {
                        // The store moved on between two reads: everything is read anew.
                        tally.reopened += 1;
                        *self = Self::default();
                        return None;
                    }
                }
                standing.judge(event, told.seq);
            }
            *next = next.next();
        }
        None
    }

    /// Nobody had a row before the first event.
    fn begin_young(&mut self, rules: Rules) {
        let next = match (rules.keep(Mechanism::FromTheFirst), self.head) {
            (false, Some((head, _))) => head.next(),
            _ => Seq(1),
        };
        self.standing = Some((Standing::before_the_first_event(), next));
    }

    fn read_row(&mut self, key: &RoomKey, dynamo: &Dynamo) {
        let row = dynamo.rooms.get(key);
        let stored = row.map_or(Seq::ZERO, |row| row.head.seq);
        let standing = Standing::new(row.and_then(|row| row.meta.clone()), stored);
        self.standing = Some((standing, stored.next()));
        // The store can only be ahead if the answers were given at different moments.
        if let (Some(row), Some(head)) = (row, &mut self.head) {
            *head = (*head).max((row.head.seq, row.head.count));
        }
    }
}
