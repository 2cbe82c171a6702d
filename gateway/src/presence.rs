//! Who is here: the sessions of this gateway, declared to the owners of their rooms and leased in Redis.
//!
//! The owners' word on rooms needs no Redis; what Redis holds is for those who ask about users. Nothing waits for
//! either: declarations go out when a link has room for them, and leases are renewed in batches.

mod last_active;
mod leases;
mod look_up;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use roomlog_core::{
    code::{Code, Refusal},
    event::Kind,
    ids::{RoomKey, Seq, UserId},
    partition::partition_of,
    presence::{Belonging, Effect, Ending, Local, LookAgain, SessionId, View, moved_by},
    room_state::Membership,
};
use roomlog_platform::{
    config,
    dynamo::Store,
    link::{LinkId, Links},
    redis::{Cache, UserStatus},
    shutdown::Shutdown,
    stored_event::StoredEvent,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{MissedTickBehavior, interval as ticks},
};

use self::{
    last_active::{ABSENT_MAX, Absent},
    look_up::{DOUBTS_MAX, Doubt, LOOK_UPS_MAX},
};
use crate::{clock, hub::ConnectionId};

/// How often lost sessions are looked for whose time is over.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(500);

/// Comings and goings that wait to be looked up and written. Beyond it one is dropped: the next renewal, or the end of
/// the lease, makes up for it.
const NEWS_MAX: usize = 16_384;

/// The presence of this gateway's users; a clone is the same.
#[derive(Clone)]
pub(crate) struct Presence(Arc<Shared>);

struct Shared {
    local: Mutex<Local>,
    links: Arc<Links>,
    store: Store,
    cache: Cache,
    /// Names this run of this gateway in the users' sets of sessions.
    gateway: String,
    lease: Duration,
    news: mpsc::Sender<News>,
    /// Who left, to be written into their rows.
    absent: mpsc::Sender<Absent>,
    look_ups: Semaphore,
    /// Users whose rooms are being looked up, each once however often they come and go meanwhile.
    looked_for: Mutex<HashSet<UserId>>,
    doubts: mpsc::Sender<Doubt>,
    /// When the rooms of all who are here are looked up again.
    look_again: Mutex<LookAgain>,
}

/// What is to be looked up and written.
enum News {
    Arrived(UserId),
    Left(UserId),
}

// === impl Presence ===

impl Presence {
    /// Starts to renew leases until the shutdown. The doubts that come up are for [`Self::settle_doubts`].
    pub(crate) fn start(
        config: &config::Presence,
        links: Arc<Links>,
        store: Store,
        cache: Cache,
        shutdown: &Shutdown,
    ) -> (Self, mpsc::Receiver<Doubt>) {
        let (doubts, in_doubt) = mpsc::channel(DOUBTS_MAX);
        let (news, received) = mpsc::channel(NEWS_MAX);
        let (absent, left) = mpsc::channel(ABSENT_MAX);
        shutdown.spawn(last_active::keep(store.clone(), left, shutdown.clone()));
        let hold_ms = config.hold.as_millis();
        let presence = Self(Arc::new(Shared {
            local: Mutex::new(Local::new(hold_ms)),
            links,
            store,
            cache,
            gateway: uuid::Uuid::new_v4().simple().to_string(),
            lease: config.lease.0,
            news,
            absent,
            look_ups: Semaphore::new(LOOK_UPS_MAX),
            looked_for: Mutex::default(),
            doubts,
            look_again: Mutex::default(),
        }));
        shutdown.spawn(presence.clone().write(received, shutdown.clone()));
        shutdown.spawn(presence.clone().renew(shutdown.clone()));
        shutdown.spawn(presence.clone().expire(shutdown.clone()));
        shutdown.spawn(presence.clone().look_again(shutdown.clone()));
        (presence, in_doubt)
    }

    /// A session begins.
    pub(crate) fn open(&self, user: &UserId, connection: ConnectionId) {
        self.change(|local| {
            let is_first = !local.has(user);
            let mut effects = local.open(user, SessionId(connection.0));
            if is_first {
                // In their inbox they are alone: whoever asks who is there asks about them.
                let own = Belonging {
                    is_in: true,
                    at: Seq::ZERO,
                };
                effects.extend(local.found(user, [(RoomKey::inbox(user), own)]));
            }
            effects
        });
    }

    /// A session ends.
    pub(crate) fn close(&self, user: &UserId, connection: ConnectionId, ending: Ending) {
        let now_ms = clock::monotonic_ms();
        self.change(|local| local.close(user, SessionId(connection.0), ending, now_ms));
    }

    /// A session looks at a room or away from it.
    pub(crate) fn focus(&self, user: &UserId, connection: ConnectionId, key: &RoomKey, on: bool) {
        self.change(|local| local.focus(user, SessionId(connection.0), key, on));
    }

    /// A user became a member of a room, or ceased to be one. They need not be here: they may come in a moment.
    pub(crate) fn moved(&self, user: &UserId, key: &RoomKey, belonging: Belonging) {
        if key.room().is_some() {
            self.change(|local| local.moved(user, key, belonging));
        }
    }

    /// An event of a room nobody here looks at.
    pub(crate) fn hear(&self, stored: &StoredEvent) {
        if !matches!(stored.kind, Kind::Member | Kind::Room) || stored.key.room().is_none() {
            return;
        }
        let Ok(event) = stored.event() else {
            return;
        };
        if let Some((user, is_in)) = moved_by(&event) {
            let at = stored.seq;
            self.change(|local| local.heard(user, &stored.key, Belonging { is_in, at }));
        }
    }

    /// Moves may have been missed: the rooms of all who are here are looked up again, once the store has had time to
    /// take in what happened until now.
    pub(crate) fn note_gap(&self) {
        self.gaps().note(clock::monotonic_ms());
    }

    /// How a user belongs to a room that somebody looked at.
    pub(crate) fn found(&self, user: &UserId, key: &RoomKey, belonging: Belonging) {
        if key.room().is_some() {
            self.change(|local| local.found(user, [(key.clone(), belonging)]));
        }
    }

    /// A fanout took over partitions: it is told who is in their rooms.
    pub(crate) fn declare_to(&self, link: LinkId, partitions: &[u32], partition_count: u32) {
        // Under the lock, so that no later declaration overtakes an earlier one.
        let local = self.lock();
        let theirs = local.declarations().filter(|declaration| {
            let key = declaration.key.as_str().as_bytes();
            partitions.contains(&partition_of(key, partition_count))
        });
        self.0.links.declare_to(link, theirs);
    }

    /// Who is in a room, as its owners know.
    pub(crate) async fn of_room(&self, key: &RoomKey) -> Result<View, Refusal> {
        let keys = [key.clone()];
        let mut views = self.0.links.presence(&keys, false).await;
        views.remove(key).ok_or_else(|| {
            Refusal::retry_after(
                Code::Overloaded,
                "this room is being taken over, try again",
                1_000,
            )
        })
    }

    /// How many members are online in each of these rooms, where its owner answered.
    pub(crate) async fn online_totals(&self, keys: &[RoomKey]) -> HashMap<RoomKey, u64> {
        let views = self.0.links.presence(keys, true).await;
        let totals = views.into_iter();
        totals.map(|(key, view)| (key, view.online_total)).collect()
    }

    /// Whether users are online anywhere, where the owners of their inboxes answered: it needs no Redis, and one that
    /// took over a moment ago may not know of everybody yet.
    pub(crate) async fn online(&self, users: &[UserId]) -> Vec<(UserId, bool)> {
        let keys: Vec<RoomKey> = users.iter().map(RoomKey::inbox).collect();
        let totals = self.online_totals(&keys).await;
        let local = self.lock();
        let both = users.iter().zip(&keys);
        both.filter_map(|(user, key)| {
            let is_here = local.has(user);
            let online = is_here || totals.get(key).map(|total| *total > 0)?;
            Some((user.clone(), online))
        })
        .collect()
    }

    /// Whether users are online anywhere, and when they were last. Owners and Redis both know the one, so either of them
    /// may be new or away; the other is known from users' rows too, once Redis has forgotten it.
    pub(crate) async fn of_users(&self, users: &[UserId]) -> Result<Vec<UserStatus>, Refusal> {
        let now_ms = clock::unix_ms();
        let statuses = self.0.cache.statuses(users, now_ms);
        let (online, known) = tokio::join!(self.online(users), statuses);
        let online: HashMap<UserId, bool> = online.into_iter().collect();
        let known = match known {
            Ok(known) => known,
            Err(_) if users.iter().all(|user| online.contains_key(user)) => {
                vec![UserStatus::default(); users.len()]
            }
            Err(error) => {
                tracing::debug!(%error, "nobody can be asked who is online");
                return Err(Refusal::retry_after(
                    Code::StoreUnavailable,
                    "who is online is not known at the moment",
                    1_000,
                ));
            }
        };
        let both = users.iter().zip(known);
        let statuses = both.map(|(user, status)| {
            let online = status.online || online.get(user) == Some(&true);
            UserStatus {
                online,
                last_active_ms: online.then_some(now_ms).or(status.last_active_ms),
            }
        });
        let mut statuses: Vec<UserStatus> = statuses.collect();
        self.recall(users, &mut statuses).await;
        Ok(statuses)
    }

    /// Changes what is known and carries out what follows.
    fn change(&self, change: impl FnOnce(&mut Local) -> Vec<Effect>) {
        let mut local = self.lock();
        for effect in change(&mut local) {
            let news = match effect {
                Effect::Declare(declaration) => {
                    self.0.links.declare([declaration]);
                    continue;
                }
                Effect::Doubt(user, key) => {
                    self.doubt(Doubt(user, key));
                    continue;
                }
                Effect::Arrived(user) => News::Arrived(user),
                Effect::Left(user) => News::Left(user),
            };
            // Where it is dropped, the next renewal makes up for it.
            let _ = self.0.news.try_send(news);
        }
    }

    /// Ends the sessions that did not come back.
    async fn expire(self, shutdown: Shutdown) {
        let mut expiries = ticks(EXPIRY_INTERVAL);
        expiries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = expiries.tick() => {}
                () = shutdown.begun() => return,
            }
            let now_ms = clock::monotonic_ms();
            self.change(|local| local.expire(now_ms));
        }
    }

    fn looked_for(&self) -> MutexGuard<'_, HashSet<UserId>> {
        let looked_for = self.0.looked_for.lock();
        looked_for.unwrap_or_else(PoisonError::into_inner)
    }

    fn gaps(&self) -> MutexGuard<'_, LookAgain> {
        let gaps = self.0.look_again.lock();
        gaps.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Local> {
        self.0.local.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a member's row says they belong.
pub(crate) fn belonging(row: Membership) -> Belonging {
    Belonging {
        is_in: row.is_in(),
        at: row.changed_seq,
    }
}
