//! Rooms come to be open, and get what they asked for.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use roomlog_core::{
    code::Refusal,
    ids::{RoomKey, Seq, UserId},
    interest::Level,
    room_state::Membership,
    standing::Ahead,
};
use roomlog_platform::stored_event::StoredEvent;
use tokio::{task::JoinSet, time::timeout};

use super::{
    super::{
        Ask,
        backfill::Source,
        opening::{self, Opened, store_unavailable},
        room::Room,
        serving::refuse_for_want_of,
    },
    OpenRoom, Shard, Slot,
};
use crate::clock;

/// How long a room's state may take to be read anew. An event that waits for it is passed over after it.
const RENEWAL_WAIT: Duration = Duration::from_secs(4);

/// Users' rows; `None` where the store does not answer.
type Rows = Option<Vec<(UserId, Option<Membership>)>>;

/// What a fetch brought.
pub(in super::super) enum Fetched {
    /// A room to open.
    Opened(RoomKey, Result<Opened, Refusal>),
    /// A room's state, while the room of this life went on without.
    Renewed(RoomKey, u64, Result<Opened, Refusal>),
    /// What the room of this life asked for.
    For(RoomKey, u64, Brought),
}

/// What an open room asked for.
pub(in super::super) enum Brought {
    Events(Vec<StoredEvent>),
    /// Rows to judge an event by.
    Judges(Rows),
    /// How far members have read.
    Positions(BTreeMap<UserId, Seq>),
    /// How many have read which messages; nothing where that is not known now.
    Counts(Option<Vec<(Seq, u64)>>),
    /// Rows for waiting requests.
    Callers(Vec<UserId>, Rows),
}

// === impl Shard ===

impl Shard {
    /// Looks a room up; these requests wait for it.
    pub(super) fn open(&mut self, key: RoomKey, waiting: Vec<Ask>) {
        self.rooms.insert(key.clone(), Slot::Opening(waiting));
        let source = self.source.clone();
        self.fetches.spawn(async move {
            let opened = opening::open(&source, &key).await;
            Fetched::Opened(key, opened)
        });
    }

    /// Reads the state of rooms anew that had to pass over an event. They go on meanwhile: delivery does not wait for
    /// the store.
    pub(super) fn renew_the_unsure(&mut self) {
        for slot in self.rooms.values_mut() {
            if let Slot::Open(open) = slot
                && open.room.standing().is_unsure()
            {
                open.renew(&self.source, &mut self.fetches);
            }
        }
    }

    pub(super) fn receive(&mut self, fetched: Fetched) {
        match fetched {
            Fetched::Opened(key, opened) => self.opened(key, opened),
            Fetched::Renewed(key, life, opened) => self.renewed(key, life, opened),
            Fetched::For(key, life, brought) => self.brought(key, life, brought),
        }
    }

    fn brought(&mut self, key: RoomKey, life: u64, brought: Brought) {
        if let Brought::Events(events) = &brought {
            events.iter().for_each(|event| self.tell_lists(event));
        }
        let Some(Slot::Open(open)) = self.rooms.get_mut(&key) else {
            return;
        };
        if open.life != life {
            return;
        }
        match brought {
            Brought::Events(events) => {
                events.into_iter().for_each(|event| open.room.take(event));
                open.room.fetched();
            }
            Brought::Judges(Some(rows)) => match open.room.learn(rows) {
                Ok(()) => open.room.fetched(),
                Err(ahead) => open.is_overtaken(ahead, &self.source, &mut self.fetches),
            },
            Brought::Positions(positions) => {
                open.room.signals.take_positions(&key, positions);
                // What was missed is shown with the next look.
                self.lively.insert(key.clone());
                self.source.fetch_positions(open, &mut self.fetches);
            }
            Brought::Counts(counts) => open.room.signals.take_counts(&key, counts),
            Brought::Judges(None) => open.room.go_on_without_rows(),
            Brought::Callers(users, rows) => {
                open.is_fetching_rows = false;
                match rows.map(|rows| open.room.learn(rows)) {
                    Some(Ok(())) => {
                        let asks = std::mem::take(&mut open.waiting);
                        self.source.serve(open, asks, &mut self.fetches);
                    }
                    Some(Err(ahead)) => open.is_overtaken(ahead, &self.source, &mut self.fetches),
                    None => {
                        refuse_for_want_of(open, &users);
                        self.source.fetch_rows(open, &mut self.fetches);
                    }
                }
            }
        }
        self.source.fetch_needs(open, &mut self.fetches);
    }

    fn opened(&mut self, key: RoomKey, opened: Result<Opened, Refusal>) {
        let Some(Slot::Opening(waiting)) = self.rooms.remove(&key) else {
            return;
        };
        match opened {
            Ok(opened) => self.begin(key, opened, Seq::ZERO, waiting),
            Err(refusal) => refuse_all(waiting, &refusal),
        }
    }

    /// The room begins again with a state that is known; its subscriptions ask again from what they have.
    fn renewed(&mut self, key: RoomKey, life: u64, opened: Result<Opened, Refusal>) {
        let Some(Slot::Open(open)) = self.rooms.get_mut(&key) else {
            return;
        };
        if open.life != life {
            return;
        }
        match opened {
            Ok(opened) => {
                if let Some(Slot::Open(open)) = self.rooms.remove(&key) {
                    let OpenRoom { room, waiting, .. } = *open;
                    let spoken_of = room.give_up();
                    self.begin(key, opened, spoken_of, waiting);
                }
            }
            Err(refusal) => {
                open.is_renewing = false;
                refuse_all(std::mem::take(&mut open.waiting), &refusal);
                open.room.go_on_without_rows();
                self.source.fetch_needs(open, &mut self.fetches);
            }
        }
    }

    fn begin(&mut self, key: RoomKey, opened: Opened, spoken_of: Seq, waiting: Vec<Ask>) {
        let now_ms = clock::monotonic_ms();
        let (epoch, traces) = (
            Arc::clone(&self.source.epoch),
            Arc::clone(&self.source.traces),
        );
        let mut room = Room::new(opened.head, opened.standing, epoch, traces, now_ms);
        room.recall_posts(&opened.latest);
        room.note_head(spoken_of);
        room.is_followed = self.followed.contains(&key);
        self.source.declare(&room, Level::Live);
        self.lives += 1;
        let mut open = Box::new(OpenRoom {
            room,
            life: self.lives,
            is_renewing: false,
            is_fetching_rows: false,
            waiting: Vec::new(),
        });
        self.source.serve(&mut open, waiting, &mut self.fetches);
        self.source.fetch_needs(&mut open, &mut self.fetches);
        if open.room.signals.is_awaited() {
            self.lively.insert(key.clone());
        }
        self.rooms.insert(key, Slot::Open(open));
        self.tell_rooms();
    }
}

// === impl OpenRoom ===

impl OpenRoom {
    /// The store is further than what is shown here, so its rows can't judge what is yet to be shown: the room begins
    /// again where it is now, and its subscriptions get what lies between as a replay. What needs those rows waits
    /// until then, or until it turns out that they can't be had.
    fn is_overtaken(&mut self, ahead: Ahead, source: &Source, fetches: &mut JoinSet<Fetched>) {
        tracing::info!(%ahead, "a room is opened anew");
        self.renew(source, fetches);
    }

    /// Reads the room's state anew, unless that is being done.
    fn renew(&mut self, source: &Source, fetches: &mut JoinSet<Fetched>) {
        if std::mem::replace(&mut self.is_renewing, true) {
            return;
        }
        let (source, key, life) = (source.clone(), self.room.key().clone(), self.life);
        fetches.spawn(async move {
            let opened = timeout(RENEWAL_WAIT, opening::open(&source, &key)).await;
            let opened = opened.unwrap_or_else(|_| Err(store_unavailable()));
            Fetched::Renewed(key, life, opened)
        });
    }
}

fn refuse_all(asks: Vec<Ask>, refusal: &Refusal) {
    asks.into_iter().for_each(|ask| ask.refuse(refusal.clone()));
}
