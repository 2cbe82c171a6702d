//! What waits to be said to one fanout: interest and declarations, which must arrive, and signals, which may be lost.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use roomlog_core::{
    ids::{RoomKey, UserId},
    presence::{Declaration, Standing},
    signal::{Latest, Subject},
};
use tokio::sync::Notify;

use super::{EncodedSignal, RoomInterest};

/// Rooms in one declaration: about 100 KiB, so that a gateway with many rooms does not stall the stream with one message.
const INTEREST_ROOMS_MAX: usize = 2_000;

/// Declarations in one message: about 100 KiB.
const DECLARATIONS_MAX: usize = 2_000;

/// Signals that wait for one fanout, one per subject. Beyond it a signal is lost.
const SIGNALS_MAX: usize = 8_192;

/// Signals in one message: some 100 KiB.
const SIGNALS_AT_ONCE: usize = 1_024;

/// What is to be said on one link.
pub(super) struct Pending {
    queue: Mutex<Queue>,
    pub(super) changed: Notify,
}

struct Queue {
    /// The latest wish per room, so that it is bounded by the number of rooms.
    interest: HashMap<RoomKey, RoomInterest>,
    /// The latest per user and room, so that it is bounded by the users here and their rooms.
    declarations: HashMap<(RoomKey, UserId), Standing>,
    signals: Latest<Subject, Bytes>,
}

/// One message.
pub(super) enum Saying {
    Interest(Vec<RoomInterest>),
    Declarations(Vec<Declaration>),
    Signals(Vec<Bytes>),
}

// === impl Pending ===

impl Default for Pending {
    fn default() -> Self {
        Self {
            queue: Mutex::new(Queue {
                interest: HashMap::new(),
                declarations: HashMap::new(),
                signals: Latest::bounded(SIGNALS_MAX),
            }),
            changed: Notify::new(),
        }
    }
}

impl Pending {
    pub(super) fn declare(&self, interest: impl IntoIterator<Item = RoomInterest>) {
        let mut queue = self.lock();
        let interest = interest.into_iter().map(|room| (room.key.clone(), room));
        queue.interest.extend(interest);
        drop(queue);
        self.changed.notify_one();
    }

    pub(super) fn place(&self, declarations: impl IntoIterator<Item = Declaration>) {
        let declarations = declarations.into_iter();
        let declarations = declarations.map(|it| ((it.key, it.user), it.standing));
        self.lock().declarations.extend(declarations);
        self.changed.notify_one();
    }

    pub(super) fn signal(&self, signal: &EncodedSignal) {
        let (subject, rank) = (signal.signal.subject(), signal.signal.rank());
        let record = signal.record.clone();
        self.lock().signals.push(subject, rank, record);
        self.changed.notify_one();
    }

    /// The next message: interest first, as events depend on it.
    pub(super) fn take(&self) -> Option<Saying> {
        let mut queue = self.lock();
        if !queue.interest.is_empty() {
            return Some(Saying::Interest(queue.take_interest()));
        }
        if !queue.declarations.is_empty() {
            return Some(Saying::Declarations(queue.take_declarations()));
        }
        let signals = queue.signals.take(SIGNALS_AT_ONCE);
        (!signals.is_empty()).then_some(Saying::Signals(signals))
    }

    pub(super) fn is_empty(&self) -> bool {
        let queue = self.lock();
        queue.interest.is_empty() && queue.declarations.is_empty() && queue.signals.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Queue ===

impl Queue {
    fn take_interest(&mut self) -> Vec<RoomInterest> {
        if self.interest.len() <= INTEREST_ROOMS_MAX {
            return std::mem::take(&mut self.interest).into_values().collect();
        }
        let keys: Vec<_> = self
            .interest
            .keys()
            .take(INTEREST_ROOMS_MAX)
            .cloned()
            .collect();
        keys.iter()
            .filter_map(|key| self.interest.remove(key))
            .collect()
    }

    fn take_declarations(&mut self) -> Vec<Declaration> {
        let places = self.declarations.keys().take(DECLARATIONS_MAX);
        let places: Vec<_> = places.cloned().collect();
        let taken = places.into_iter().filter_map(|place| {
            let standing = self.declarations.remove(&place)?;
            let (key, user) = place;
            Some(Declaration {
                key,
                user,
                standing,
            })
        });
        taken.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use roomlog_core::{
        ids::UserId,
        interest::Level,
        signal::{Signal, Stamp, Stamped},
    };

    use super::*;

    fn wish(room: &str, level: Level) -> RoomInterest {
        RoomInterest {
            key: RoomKey::parse(room).unwrap(),
            level,
            seq: None,
            signals: false,
        }
    }

    fn typing(user: usize, counter: u64) -> EncodedSignal {
        EncodedSignal::encode(Stamped {
            key: RoomKey::parse("room").unwrap(),
            stamp: Stamp { source: 1, counter },
            signal: Signal::Typing {
                user: UserId::parse(&format!("user-{user}")).unwrap(),
                on: true,
            },
        })
    }

    #[test]
    fn interest_is_kept_as_the_latest_wish_per_room() {
        let pending = Pending::default();
        for level in [Level::Live, Level::Badge] {
            pending.declare([wish("room", level)]);
        }
        assert!(
            matches!(pending.take(), Some(Saying::Interest(rooms)) if rooms == [wish("room", Level::Badge)])
        );
        assert!(pending.is_empty());
    }

    #[test]
    fn a_long_declaration_goes_out_in_parts() {
        let pending = Pending::default();
        let rooms = 0..INTEREST_ROOMS_MAX + 1;
        pending.declare(rooms.map(|room| wish(&format!("room-{room}"), Level::Live)));
        for part in [INTEREST_ROOMS_MAX, 1] {
            assert!(matches!(pending.take(), Some(Saying::Interest(rooms)) if rooms.len() == part));
        }
    }

    #[test]
    fn signals_wait_for_interest_and_are_lost_when_too_many() {
        let pending = Pending::default();
        for user in 0..SIGNALS_MAX + 10 {
            pending.signal(&typing(user, 1));
        }
        let newer = typing(0, 2);
        pending.signal(&newer);
        pending.declare([wish("room", Level::Live)]);
        assert!(matches!(pending.take(), Some(Saying::Interest(_))));
        let mut signals = Vec::new();
        while let Some(Saying::Signals(taken)) = pending.take() {
            assert!(taken.len() <= SIGNALS_AT_ONCE);
            signals.extend(taken);
        }
        assert_eq!((signals.len(), &signals[0]), (SIGNALS_MAX, &newer.record));
    }
}
