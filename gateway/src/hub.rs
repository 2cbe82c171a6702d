//! The rooms somebody here looks at: live delivery, joining in without a seam, and the one place where a request is
//! checked against a room's state.
//!
//! Rooms are spread over a few shards, each a task that owns its rooms and never waits for a client or a store.

mod access;
mod amended;
mod audience;
mod backfill;
mod command;
mod links;
mod opening;
mod recent;
mod room;
mod serving;
mod shard;
mod shown;
mod signals;

use std::{hash::BuildHasher as _, sync::Arc};

use foldhash::fast::FixedState;
use roomlog_core::{
    code::{Code, Refusal},
    ids::{MessageId, RoomKey, Seq, UserId},
    room_state::Membership,
    session::SubIndex,
    signal::{Signal, Stamped},
    stomp::Envelope,
};
use roomlog_platform::{link::LinkEvent, shutdown::Shutdown};
use tokio::sync::{mpsc, oneshot, watch};

use self::command::{Action, Ask, Command, CountAt, Reply};
pub(crate) use self::{
    access::{Caller, Purpose},
    amended::{Scope, Targets, amend, find_recent, is_taken_back},
    audience::{ConnectionId, Subscriber},
    backfill::{
        PAGE_EVENTS_MAX, Source, is_gone, page, page_of_shown, page_to_show, seq_of_message,
        stored_ms,
    },
    command::Entered,
    opening::fresh_head,
    room::{Echo, Pulled},
    serving::unsent,
    shown::{Decoded, Shown, reset_frame, text},
};
use crate::{
    presence::Presence,
    publish::{Acknowledgement, Record},
};

/// Commands that wait for one shard. When full, those who send them wait, which slows the clients that cause them.
const COMMANDS_MAX: usize = 4_096;
/// Signals that wait for one shard. When full, further ones are lost: events never wait for them.
const SIGNALS_MAX: usize = 4_096;

/// The way to the shards; a clone leads to the same ones.
#[derive(Clone)]
pub(crate) struct Hub {
    shards: Arc<[mpsc::Sender<Command>]>,
    signals: Arc<[mpsc::Sender<Stamped>]>,
    presence: Presence,
}

// === impl Hub ===

impl Hub {
    /// Starts as many shards as there are cores, and routes what the links say to them. Also tells whether any fanout
    /// that owns partitions is linked.
    pub(crate) fn start(
        source: &Source,
        links: mpsc::Receiver<LinkEvent>,
        shutdown: &Shutdown,
    ) -> (Self, watch::Receiver<bool>) {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let shards = (0..cores).map(|_| {
            let (commands, received) = mpsc::channel(COMMANDS_MAX);
            let (signals, heard) = mpsc::channel(SIGNALS_MAX);
            let shard = shard::Shard::new(source.clone());
            shutdown.spawn(shard.run(received, heard, shutdown.clone()));
            (commands, signals)
        });
        let (shards, signals): (Vec<_>, Vec<_>) = shards.unzip();
        let hub = Self {
            shards: shards.into(),
            signals: signals.into(),
            presence: source.presence.clone(),
        };
        let (linked, is_linked) = watch::channel(false);
        shutdown.spawn(
            hub.clone()
                .route(links, linked, source.clone(), shutdown.clone()),
        );
        (hub, is_linked)
    }

    /// Looks at a room, if the caller may for this purpose.
    pub(crate) async fn enter(
        &self,
        key: &RoomKey,
        caller: &Caller,
        purpose: Purpose,
        history: Option<u64>,
    ) -> Result<Entered, Refusal> {
        self.ask(key, caller, purpose, |reply| Action::Enter {
            history,
            reply,
        })
        .await
    }

    /// Looks at a room and how these users stand in it.
    pub(crate) async fn look(
        &self,
        key: &RoomKey,
        caller: &Caller,
        users: Vec<UserId>,
    ) -> Result<(Entered, Vec<Option<Membership>>), Refusal> {
        self.ask(key, caller, Purpose::FIND, |reply| Action::Look {
            users,
            reply,
        })
        .await
    }

    /// How the known users of a stretch of ids stand, those whose rows are not stored yet among them.
    pub(crate) async fn between(
        &self,
        key: &RoomKey,
        caller: &Caller,
        after: Option<UserId>,
        upto: Option<UserId>,
    ) -> Result<Vec<(UserId, Membership)>, Refusal> {
        self.ask(key, caller, Purpose::READ, |reply| Action::Between {
            after,
            upto,
            reply,
        })
        .await
    }

    /// Whether messages with these ids may be posted together.
    pub(crate) async fn may_post(
        &self,
        key: &RoomKey,
        caller: &Caller,
        ids: Vec<MessageId>,
    ) -> Result<(), Refusal> {
        self.ask(key, caller, Purpose::POST, |reply| Action::Pace {
            ids,
            reply,
        })
        .await
    }

    /// Gets the next events of a subscription, or makes it live.
    pub(crate) async fn pull(
        &self,
        key: &RoomKey,
        caller: &Caller,
        subscriber: Subscriber,
        next: Seq,
    ) -> Result<Pulled, Refusal> {
        self.ask(key, caller, Purpose::FIND, |reply| Action::Pull {
            subscriber,
            next,
            reply,
        })
        .await
    }

    /// Appends an event, if the caller may. Submissions for one room reach the log in the order of these calls; the
    /// event is on its way when the future resolves.
    pub(crate) fn produce(
        &self,
        caller: &Caller,
        purpose: Purpose,
        record: Record,
        echo: Option<oneshot::Sender<Echo>>,
    ) -> impl Future<Output = Result<Acknowledgement, Refusal>> + Send + use<> {
        let key = record.key.clone();
        let (reply, answer) = oneshot::channel();
        let ask = Ask {
            key: key.clone(),
            caller: caller.clone(),
            purpose,
            action: Action::Produce {
                record,
                echo,
                reply,
            },
        };
        let submitted = self
            .shard_of(&key)
            .try_send(Command::Ask(Box::new(ask)))
            .map_err(|_| Refusal::retry_after(Code::Overloaded, "the server is overloaded", 1_000));
        async move {
            submitted?;
            answer.await.map_err(|_| going_away())?
        }
    }

    /// Makes somebody a listener to a room's signals, beginning with a snapshot; one that was already begins anew.
    pub(crate) async fn listen(
        &self,
        key: &RoomKey,
        caller: &Caller,
        subscriber: Subscriber,
    ) -> Result<(), Refusal> {
        self.ask(key, caller, Purpose::READ, |reply| Action::Listen {
            subscriber,
            reply,
        })
        .await
    }

    /// Sends a signal to everyone who listens to the room, if the caller may. It may be lost on its way.
    pub(crate) async fn signal(
        &self,
        key: &RoomKey,
        caller: &Caller,
        signal: Signal,
    ) -> Result<(), Refusal> {
        let purpose = match &signal {
            Signal::Typing { .. } => Purpose::POST,
            Signal::Read { .. } => Purpose::READ,
        };
        self.ask(key, caller, purpose, |reply| Action::Signal {
            signal,
            reply,
        })
        .await
    }

    /// The count at a seq, if the caller may read the room.
    pub(crate) async fn count_at(
        &self,
        key: &RoomKey,
        caller: &Caller,
        seq: Seq,
    ) -> Result<CountAt, Refusal> {
        self.ask(key, caller, Purpose::READ, |reply| Action::Count {
            seq,
            reply,
        })
        .await
    }

    /// Follows rooms for the lists of users here: heads and what matters there goes to the lists from now on.
    pub(crate) async fn follow(&self, keys: Vec<RoomKey>) {
        for (shard, keys) in self.by_shard(keys) {
            // Only fails while the process stops.
            let _ = shard.send(Command::Follow(keys)).await;
        }
    }

    /// Ends that.
    pub(crate) async fn unfollow(&self, keys: Vec<RoomKey>) {
        for (shard, keys) in self.by_shard(keys) {
            // Only fails while the process stops.
            let _ = shard.send(Command::Unfollow(keys)).await;
        }
    }

    fn by_shard(&self, keys: Vec<RoomKey>) -> Vec<(&mpsc::Sender<Command>, Vec<RoomKey>)> {
        let mut split: Vec<Vec<RoomKey>> = vec![Vec::new(); self.shards.len()];
        for key in keys {
            split[self.index_of(&key)].push(key);
        }
        let split = self.shards.iter().zip(split);
        split.filter(|(_, keys)| !keys.is_empty()).collect()
    }

    /// Ends a subscription.
    pub(crate) async fn leave(
        &self,
        key: RoomKey,
        connection: ConnectionId,
        index: SubIndex,
        envelope: Envelope,
    ) {
        let command = Command::Leave {
            key: key.clone(),
            connection,
            index,
            envelope,
        };
        // A shard that is gone has no subscriptions.
        let _ = self.shard_of(&key).send(command).await;
    }

    async fn ask<T>(
        &self,
        key: &RoomKey,
        caller: &Caller,
        purpose: Purpose,
        action: impl FnOnce(Reply<T>) -> Action,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let ask = Ask {
            key: key.clone(),
            caller: caller.clone(),
            purpose,
            action: action(reply),
        };
        self.shard_of(key)
            .send(Command::Ask(Box::new(ask)))
            .await
            .map_err(|_| going_away())?;
        answer.await.map_err(|_| going_away())?
    }

    fn shard_of(&self, key: &RoomKey) -> &mpsc::Sender<Command> {
        &self.shards[self.index_of(key)]
    }

    fn index_of(&self, key: &RoomKey) -> usize {
        let hash = FixedState::default().hash_one(key);
        usize::try_from(hash % self.shards.len() as u64).expect("below the number of shards")
    }
}

fn going_away() -> Refusal {
    Refusal::retry_after(Code::Draining, "the server is going away", 1_000)
}
