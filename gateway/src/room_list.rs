//! The lists of rooms of the users here: one snapshot, then changes as latest values.
//!
//! One task owns all lists. It hears from the hub what happens in rooms on a list, whether anybody looks at them or
//! not, and tells each subscriber what changed, at most every [`task::TELL_INTERVAL`]. What it hears is merged by
//! maximum, so repeats and order do not matter; what it may have missed is read again.

mod entry;
mod list;
mod load;
mod task;
mod turns;

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use roomlog_core::{
    code::{Code, Refusal},
    ids::{RoomKey, UserId},
    session::SubIndex,
    unread::ReadPosition,
};
use roomlog_platform::{link::RoomHead, shutdown::Shutdown, stored_event::StoredEvent};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::entry::Item;
use crate::hub::{Caller, ConnectionId, Hub, Source, Subscriber};

/// What is heard and waits for the task. When full, what follows is dropped and every list is read again.
const HEARD_MAX: usize = 16_384;
/// Requests that wait for the task. When full, they are refused `overloaded`.
const REQUESTS_MAX: usize = 4_096;

/// Something that happened in a room.
#[derive(Debug)]
pub(crate) enum Heard {
    /// An event, perhaps for the second time or out of order.
    Event(StoredEvent),
    /// How far a room has come.
    Head(RoomHead),
    /// How far somebody has read.
    Read {
        key: RoomKey,
        user: UserId,
        position: ReadPosition,
    },
}

/// Where the lists hear what happens. Never waits.
#[derive(Clone, Debug)]
pub(crate) struct Ear {
    heard: mpsc::Sender<Heard>,
    /// Something may have been missed.
    has_gap: Arc<AtomicBool>,
}

/// The other end of an [`Ear`].
pub(crate) struct Hearing {
    heard: mpsc::Receiver<Heard>,
    has_gap: Arc<AtomicBool>,
}

/// The way to the task; a clone leads to the same one.
#[derive(Clone, Debug)]
pub(crate) struct RoomLists {
    requests: mpsc::Sender<Request>,
}

/// What the task is asked.
enum Request {
    /// A snapshot, then changes.
    Subscribe(Caller, Box<Subscriber>),
    Unsubscribe(UserId, ConnectionId, SubIndex),
    /// What the list shows now.
    Show(Caller, oneshot::Sender<Result<Vec<Item>, Refusal>>),
}

/// A pair of ear and hearing.
pub(crate) fn ear() -> (Ear, Hearing) {
    let (sender, heard) = mpsc::channel(HEARD_MAX);
    let has_gap = Arc::<AtomicBool>::default();
    let ear = Ear {
        heard: sender,
        has_gap: Arc::clone(&has_gap),
    };
    (ear, Hearing { heard, has_gap })
}

// === impl Ear, Hearing ===

impl Ear {
    /// Tells what happened.
    pub(crate) fn tell(&self, heard: Heard) {
        if self.heard.try_send(heard).is_err() {
            self.note_gap();
        }
    }

    /// Tells that something may have happened that nobody told.
    pub(crate) fn note_gap(&self) {
        self.has_gap.store(true, Ordering::Relaxed);
    }
}

impl Hearing {
    fn take_gap(&self) -> bool {
        self.has_gap.swap(false, Ordering::Relaxed)
    }
}

// === impl RoomLists ===

impl RoomLists {
    /// Starts the task.
    pub(crate) fn start(hearing: Hearing, hub: Hub, source: Source, shutdown: &Shutdown) -> Self {
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        let task = task::Task::new(hub, source);
        shutdown.spawn(task.run(hearing, received, shutdown.clone()));
        Self { requests }
    }

    /// Begins a subscription, or begins one anew: its snapshot comes through the outbox.
    pub(crate) fn subscribe(&self, caller: Caller, subscriber: Subscriber) -> Result<(), Refusal> {
        let request = Request::Subscribe(caller, Box::new(subscriber));
        self.requests.try_send(request).map_err(|_| overloaded())
    }

    /// Ends a subscription. What is lost here is found by the closed outbox.
    pub(crate) fn unsubscribe(&self, user: &UserId, connection: ConnectionId, index: SubIndex) {
        let request = Request::Unsubscribe(user.clone(), connection, index);
        let _ = self.requests.try_send(request);
    }

    /// What a user's list shows.
    pub(crate) async fn show(&self, caller: Caller) -> Result<Vec<Item>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.requests
            .try_send(Request::Show(caller, reply))
            .map_err(|_| overloaded())?;
        answer.await.map_err(|_| overloaded())?
    }
}

fn overloaded() -> Refusal {
    Refusal::retry_after(Code::Overloaded, "too many lists of rooms are read", 1_000)
}
