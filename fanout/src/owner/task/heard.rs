//! What an owner hears while it reads: what gateways ask, and how its effects ended.

use std::{ops::RangeInclusive, sync::Arc};

use bytes::Bytes;
use roomlog_core::ids::{RoomKey, Seq};
use tokio::sync::oneshot;

use super::{
    super::{
        Command,
        effects::Done,
        recall::{Wanted, recall},
        state::Question,
    },
    Blocked, Owner,
};

// === impl Owner ===

impl Owner {
    pub(super) fn asked(&mut self, command: Command) {
        match command {
            Command::Interest {
                gateway,
                outbox,
                rooms,
            } => self.state.set_interest(gateway, outbox, rooms),
            Command::Signals(signals) => self.state.pass_on(&signals),
            Command::Declarations {
                gateway,
                outbox,
                declarations,
            } => self.state.declare(gateway, outbox, declarations),
            Command::Presence {
                keys,
                totals_only,
                reply,
            } => drop(reply.send(self.state.presences(&keys, totals_only))),
            // Who asked may have gone, and then nobody needs the answer.
            Command::Events { key, range, reply } => {
                drop(reply.send(self.state.events(&key, range)))
            }
            Command::Recall { key, range, reply } => self.recall(key, range, reply),
            Command::Head { key, reply } => self.state.fresh.ask(Question { key, reply }),
        }
    }

    /// The head is known here and now, and the log before it never changes: the rest can be found beside.
    fn recall(
        &mut self,
        key: RoomKey,
        range: RangeInclusive<Seq>,
        reply: oneshot::Sender<Vec<Bytes>>,
    ) {
        if let Some(head) = self.state.log.head(&key) {
            let resources = Arc::clone(&self.effects.resources);
            let wanted = Wanted {
                key,
                range,
                head,
                reply,
            };
            let recalled = recall(resources, self.partition, wanted);
            self.running.spawn(async {
                recalled.await;
                Done::Recalled
            });
        }
    }

    pub(super) fn done(&mut self, done: Done) {
        let now_ms = self.now_ms();
        match done {
            Done::Heads(rows) => {
                self.state.heads_loaded(rows);
                // Whichever rows these were: a record that still lacks its own is found out by applying it again.
                if matches!(self.blocked, Some(Blocked::Head)) {
                    self.blocked = None;
                }
            }
            Done::Rooms(keys) => self.state.loads.listed(keys, now_ms),
            Done::PutAside => {
                if let Some(Blocked::PutAside(event)) = self.blocked.take() {
                    self.state.show(&event, None);
                }
            }
            Done::Recalled => {}
            Done::Tail => self.state.tail.written(),
            Done::Places(worked) => self.state.presence.written(worked, now_ms),
            Done::Snapshot(write, worked) => {
                self.state
                    .snapshots
                    .written(&mut self.state.log, write, worked)
            }
            Done::Checked(found) => self.state.snapshots.checked(found, now_ms),
            Done::End(end) => self.state.fresh.looked(end),
            Done::Nothing(end) => {
                self.looking = false;
                self.read_to = self.read_to.max(end.unwrap_or(self.read_to));
            }
        }
    }
}
