//! What a shard is asked to do: for users and connections, and with what the links say.

use std::sync::Arc;

use roomlog_core::{
    code::Refusal,
    ids::{Count, MessageId, RoomKey, Seq, UserId},
    room_state::{Membership, RoomMeta},
    session::SubIndex,
    signal::Signal,
    stomp::Envelope,
};
use roomlog_platform::{
    link::{LinkId, RoomHead, Said},
    stored_event::StoredEvent,
};
use tokio::sync::oneshot;

use super::{
    access::{Caller, Purpose},
    audience::{ConnectionId, Subscriber},
    room::{Echo, Pulled},
};
use crate::publish::{Acknowledgement, Record};

/// What a shard is asked to do.
pub(super) enum Command {
    /// About one room, on behalf of a user.
    Ask(Box<Ask>),
    /// A subscription ends.
    Leave {
        key: RoomKey,
        connection: ConnectionId,
        index: SubIndex,
        envelope: Envelope,
    },
    /// Events of this shard's rooms.
    Events(Vec<StoredEvent>),
    /// These rooms are on lists of users here.
    Follow(Vec<RoomKey>),
    /// These are on none any more.
    Unfollow(Vec<RoomKey>),
    /// Heads of this shard's rooms.
    Heads(Vec<RoomHead>),
    /// A fanout owns exactly these partitions now.
    Owned {
        link: LinkId,
        partitions: Arc<[u32]>,
        /// Those it did not own before: interest in their rooms is to be declared.
        gained: Arc<[u32]>,
        partition_count: u32,
    },
    /// Who is in this shard's rooms, as an owner says.
    Presences(LinkId, Vec<Said>),
    /// A link dropped presence: interest in signals is to be declared anew.
    Lapsed(LinkId),
}

/// A request that needs a room's state and the caller's standing in it.
pub(super) struct Ask {
    pub(super) key: RoomKey,
    pub(super) caller: Caller,
    pub(super) purpose: Purpose,
    pub(super) action: Action,
}

/// What is to be done once the room agrees, and whom to tell.
pub(super) enum Action {
    /// Only look.
    Enter {
        /// Messages of history wanted.
        history: Option<u64>,
        reply: Reply<Entered>,
    },
    /// Get the next events, or join in.
    Pull {
        subscriber: Subscriber,
        next: Seq,
        reply: Reply<Pulled>,
    },
    /// Append an event.
    Produce {
        record: Record,
        /// Told when the event is shown.
        echo: Option<oneshot::Sender<Echo>>,
        reply: Reply<Acknowledgement>,
    },
    /// Hear what is live there: a snapshot and then changes, all through the outbox.
    Listen {
        subscriber: Subscriber,
        reply: Reply<()>,
    },
    /// Send a signal.
    Signal { signal: Signal, reply: Reply<()> },
    /// Say how these users stand.
    Look {
        users: Vec<UserId>,
        reply: Reply<(Entered, Vec<Option<Membership>>)>,
    },
    /// Say how the known users of a stretch of ids stand.
    Between {
        after: Option<UserId>,
        upto: Option<UserId>,
        reply: Reply<Vec<(UserId, Membership)>>,
    },
    /// Say whether messages with these ids may be posted together.
    Pace {
        ids: Vec<MessageId>,
        reply: Reply<()>,
    },
    /// Say what the count is at a seq.
    Count { seq: Seq, reply: Reply<CountAt> },
}

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// A room as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Entered {
    pub(crate) head: Seq,
    pub(crate) count: Count,
    pub(crate) room: Option<RoomMeta>,
    /// The caller's row.
    pub(crate) member: Option<Membership>,
    /// Where the history asked for begins, if memory reaches that far.
    pub(crate) history_start: Option<Seq>,
}

/// The count at a seq.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CountAt {
    /// The seq itself, or the head where it was beyond.
    pub(crate) seq: Seq,
    /// `None` where memory does not hold it.
    pub(crate) count: Option<Count>,
}

// === impl Ask ===

impl Ask {
    /// Turns the request down.
    pub(super) fn refuse(self, refusal: Refusal) {
        // Who asked may be gone.
        match self.action {
            Action::Enter { reply, .. } => drop(reply.send(Err(refusal))),
            Action::Pull { reply, .. } => drop(reply.send(Err(refusal))),
            Action::Produce { reply, .. } => drop(reply.send(Err(refusal))),
            Action::Listen { reply, .. } | Action::Signal { reply, .. } => {
                drop(reply.send(Err(refusal)))
            }
            Action::Look { reply, .. } => drop(reply.send(Err(refusal))),
            Action::Between { reply, .. } => drop(reply.send(Err(refusal))),
            Action::Pace { reply, .. } => drop(reply.send(Err(refusal))),
            Action::Count { reply, .. } => drop(reply.send(Err(refusal))),
        }
    }
}
