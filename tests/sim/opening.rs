//! A gateway opens a room: its fresh head, its stored state, and the changes that came after what is stored.

use roomlog_core::{
    ids::{Count, RoomKey, Seq},
    standing::Standing,
};

use crate::{log::Log, owner::Told, room::Room, rules::Rules, stores::Dynamo, tally::Tally};

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
            if !dynamo.down {
                self.read_row(key, dynamo);
            }
            return None;
        };
        let head = self.head?;
        if *next > head.0 {
            let (standing, _) = self.standing.take()?;
            return Some(Room::new(key.clone(), head, standing, rules));
        }
        for told in found {
            if told.seq != *next || *next > head.0 {
                break;
            }
            let record = log.record(told.place);
            if let Some(event) = record.folded() {
                let unknown = standing.unknown_of(event);
                if !unknown.is_empty() && dynamo.down {
                    break;
                }
                for user in unknown {
                    let row = dynamo.members.get(&(key.clone(), user.clone())).copied();
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
