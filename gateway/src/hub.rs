//! The rooms somebody here looks at: live delivery, joining in without a seam, and the one place where a request is
//! checked against a room's state.
//!
//! Rooms are spread over a few shards, each a task that owns its rooms and never waits for a client or a store.

mod access;
mod amended;
mod audience;
mod backfill;
mod opening;
mod recent;
mod room;
mod serving;
mod shard;
mod shown;
mod signals;

use std::{collections::BTreeSet, hash::BuildHasher as _, sync::Arc};

use foldhash::fast::FixedState;
use roomlog_core::{
    code::{Code, Refusal},
    ids::{Count, MessageId, RoomKey, Seq, UserId},
    room_state::{Membership, RoomMeta},
    session::SubIndex,
    signal::{Signal, Stamped},
    stomp::Envelope,
};
use roomlog_platform::{
    link::{LinkEvent, LinkId, RoomHead, Said},
    shutdown::Shutdown,
    stored_event::StoredEvent,
};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::{
    access::{Caller, Purpose},
    amended::{Scope, Targets, amend, find_recent},
    audience::{ConnectionId, Subscriber},
    backfill::{
        PAGE_EVENTS_MAX, Source, is_gone, page, page_of_shown, page_to_show, seq_of_message,
        stored_ms,
    },
    opening::fresh_head,
    room::{Echo, Pulled},
    serving::unsent,
    shown::{Decoded, Shown, reset_frame, text},
};
use crate::{
    metrics,
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

/// What a shard is asked to do.
pub(crate) enum Command {
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
pub(crate) struct Ask {
    pub(crate) key: RoomKey,
    pub(crate) caller: Caller,
    pub(crate) purpose: Purpose,
    pub(crate) action: Action,
}

/// What is to be done once the room agrees, and whom to tell.
pub(crate) enum Action {
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
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

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

    /// Passes on what the links say until the shutdown.
    async fn route(
        self,
        mut links: mpsc::Receiver<LinkEvent>,
        linked: watch::Sender<bool>,
        Source { ear, traces, .. }: Source,
        shutdown: Shutdown,
    ) {
        let mut partition_count = 1;
        let mut owners: BTreeSet<LinkId> = BTreeSet::new();
        loop {
            let event = tokio::select! {
                event = links.recv() => event,
                () = shutdown.begun() => return,
            };
            match event {
                None => return,
                Some(LinkEvent::Up { fanout, .. }) => {
                    tracing::info!(instance = %fanout.instance, group = %fanout.group, "linked to a fanout");
                    partition_count = fanout.partition_count;
                }
                Some(LinkEvent::Down { link }) => {
                    tracing::warn!(link = link.0, "lost a fanout");
                    owners.remove(&link);
                    let none = Arc::from([]);
                    self.tell_owned(link, Arc::clone(&none), none, partition_count)
                        .await;
                }
                Some(LinkEvent::Owned {
                    link,
                    partitions,
                    gained,
                }) => {
                    match partitions.is_empty() {
                        true => owners.remove(&link),
                        false => owners.insert(link),
                    };
                    if !gained.is_empty() {
                        // Whatever happened while nobody told is read again.
                        ear.note_gap();
                        self.presence.note_gap();
                    }
                    self.presence.declare_to(link, &gained, partition_count);
                    self.tell_owned(link, partitions.into(), gained.into(), partition_count)
                        .await;
                }
                Some(LinkEvent::Presences { link, rooms }) => {
                    self.tell_presences(link, rooms).await;
                    continue;
                }
                Some(LinkEvent::Lapsed { link }) => {
                    for shard in self.shards.iter() {
                        // Only fails while the process stops.
                        let _ = shard.send(Command::Lapsed(link)).await;
                    }
                    continue;
                }
                Some(LinkEvent::Signals { signals }) => {
                    for signal in signals {
                        let shard = self.index_of(&signal.key);
                        if self.signals[shard].try_send(signal).is_err() {
                            metrics::signal_lost();
                            // It may have been how far somebody has read, which lists count on.
                            ear.note_gap();
                        }
                    }
                    continue;
                }
                Some(LinkEvent::Forward { events, heads, .. }) => {
                    traces.arrived(&events);
                    self.forward(events, heads).await;
                    continue;
                }
            }
            linked.send_replace(!owners.is_empty());
        }
    }

    async fn tell_owned(
        &self,
        link: LinkId,
        partitions: Arc<[u32]>,
        gained: Arc<[u32]>,
        partition_count: u32,
    ) {
        for shard in self.shards.iter() {
            let command = Command::Owned {
                link,
                partitions: Arc::clone(&partitions),
                gained: Arc::clone(&gained),
                partition_count,
            };
            // Only fails while the process stops.
            let _ = shard.send(command).await;
        }
    }

    async fn tell_presences(&self, link: LinkId, rooms: Vec<Said>) {
        let mut rooms_of: Vec<Vec<Said>> = vec![Vec::new(); self.shards.len()];
        for said in rooms {
            rooms_of[self.index_of(said.key())].push(said);
        }
        for (shard, rooms) in self.shards.iter().zip(rooms_of) {
            if !rooms.is_empty() {
                // Only fails while the process stops.
                let _ = shard.send(Command::Presences(link, rooms)).await;
            }
        }
    }

    async fn forward(&self, events: Vec<StoredEvent>, heads: Vec<RoomHead>) {
        let mut events_of: Vec<Vec<StoredEvent>> = vec![Vec::new(); self.shards.len()];
        for event in events {
            events_of[self.index_of(&event.key)].push(event);
        }
        let mut heads_of: Vec<Vec<RoomHead>> = vec![Vec::new(); self.shards.len()];
        for head in heads {
            heads_of[self.index_of(&head.key)].push(head);
        }
        // Sending only fails while the process stops.
        for (shard, (events, heads)) in self.shards.iter().zip(events_of.into_iter().zip(heads_of))
        {
            if !events.is_empty() {
                let _ = shard.send(Command::Events(events)).await;
            }
            if !heads.is_empty() {
                let _ = shard.send(Command::Heads(heads)).await;
            }
        }
    }
}

fn going_away() -> Refusal {
    Refusal::retry_after(Code::Draining, "the server is going away", 1_000)
}

// === impl Ask ===

impl Ask {
    /// Turns the request down.
    pub(crate) fn refuse(self, refusal: Refusal) {
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
