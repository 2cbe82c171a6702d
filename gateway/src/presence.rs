//! Who is here: the sessions of this gateway, declared to the owners of their rooms and leased in Redis.
//!
//! The owners' word on rooms needs no Redis; what Redis holds is for those who ask about users. Nothing waits for
//! either: declarations go out when a link has room for them, and leases are renewed in batches.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use roomlog_core::{
    code::{Code, Refusal},
    event::Kind,
    ids::{RoomKey, UserId},
    partition::partition_of,
    presence::{Belonging, Effect, Ending, Local, SessionId, View, moved_by},
    room_state::Membership,
};
use roomlog_platform::{
    backoff::Backoff,
    config,
    dynamo::{Store, StoreError},
    link::{LinkId, Links},
    redis::{Cache, Lease, UserStatus},
    shutdown::Shutdown,
    stored_event::StoredEvent,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{MissedTickBehavior, interval as ticks},
};

use crate::{
    clock,
    hub::{Caller, ConnectionId, Hub, Purpose},
};

/// Renewals in the life of a lease: two may fail.
const RENEWALS_PER_LEASE: u32 = 3;

/// How often lost sessions are looked for whose time is over.
const EXPIRY_INTERVAL: Duration = Duration::from_millis(500);

/// Comings and goings that wait to be looked up and written. Beyond it one is dropped: the next renewal, or the end of
/// the lease, makes up for it.
const NEWS_MAX: usize = 16_384;

/// Comings and goings written in one round trip.
const NEWS_AT_ONCE: usize = 256;

/// Users whose rooms are read from the store at once.
const LOOK_UPS_MAX: usize = 16;

/// Doubts that wait. Beyond it one is dropped: the room is as it was for that user until they look at it or come again.
const DOUBTS_MAX: usize = 16_384;

/// Rooms looked at for doubts at once.
const DOUBTS_AT_ONCE: usize = 32;

/// How long after a gap in what is heard users' rooms are looked up again: the persister usually is within a second.
const LOOK_AGAIN_MS: u64 = 30_000;

/// The waits before a user's rooms are read once more, where the store did not answer.
const LOOK_UP_FLOOR: Duration = Duration::from_millis(500);
const LOOK_UP_CEILING: Duration = Duration::from_secs(30);

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
    look_ups: Semaphore,
    doubts: mpsc::Sender<Doubt>,
    /// When the rooms of all who are here are looked up again; 0 while nothing was missed.
    look_again_ms: AtomicU64,
}

/// A user who is here may belong to a room otherwise than is known.
pub(crate) struct Doubt(UserId, RoomKey);

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
        let hold_ms = config.hold.as_millis();
        let presence = Self(Arc::new(Shared {
            local: Mutex::new(Local::new(hold_ms)),
            links,
            store,
            cache,
            gateway: uuid::Uuid::new_v4().simple().to_string(),
            lease: config.lease.0,
            news,
            look_ups: Semaphore::new(LOOK_UPS_MAX),
            doubts,
            look_again_ms: AtomicU64::new(0),
        }));
        shutdown.spawn(presence.clone().write(received, shutdown.clone()));
        shutdown.spawn(presence.clone().renew(shutdown.clone()));
        shutdown.spawn(presence.clone().expire(shutdown.clone()));
        (presence, in_doubt)
    }

    /// A session begins.
    pub(crate) fn open(&self, user: &UserId, connection: ConnectionId) {
        self.change(|local| local.open(user, SessionId(connection.0)));
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
        let at_ms = clock::monotonic_ms() + LOOK_AGAIN_MS;
        self.0.look_again_ms.fetch_max(at_ms, Relaxed);
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

    /// Whether users are online anywhere, and when they were last. Without Redis only those who are here are known.
    pub(crate) async fn of_users(&self, users: &[UserId]) -> Result<Vec<UserStatus>, Refusal> {
        let here: Vec<bool> = {
            let local = self.lock();
            users.iter().map(|user| local.has(user)).collect()
        };
        let now_ms = clock::unix_ms();
        let known = match self.0.cache.statuses(users, now_ms).await {
            Ok(known) => known,
            Err(_) if here.iter().all(|is_here| *is_here) => {
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
        let both = known.into_iter().zip(here);
        Ok(both
            .map(|(status, is_here)| UserStatus {
                online: status.online || is_here,
                last_active_ms: if is_here {
                    Some(now_ms)
                } else {
                    status.last_active_ms
                },
            })
            .collect())
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
                    // Where it is dropped, the room is as it was until the user looks at it or comes again.
                    let _ = self.0.doubts.try_send(Doubt(user, key));
                    continue;
                }
                Effect::Arrived(user) => News::Arrived(user),
                Effect::Left(user) => News::Left(user),
            };
            // Where it is dropped, the next renewal makes up for it.
            let _ = self.0.news.try_send(news);
        }
    }

    /// Looks up and writes what is new, much of it at once. Looking up comes first: it needs no Redis.
    async fn write(self, mut news: mpsc::Receiver<News>, shutdown: Shutdown) {
        let mut batch = Vec::new();
        loop {
            let taken = tokio::select! {
                taken = news.recv_many(&mut batch, NEWS_AT_ONCE) => taken,
                () = shutdown.begun() => return,
            };
            if taken == 0 {
                return;
            }
            let (mut arrived, mut left) = (Vec::new(), Vec::new());
            for news in batch.drain(..) {
                match news {
                    News::Arrived(user) => {
                        let look_up = self.clone().look_up(user.clone(), shutdown.clone());
                        shutdown.spawn(look_up);
                        arrived.push(user);
                    }
                    News::Left(user) => left.push(user),
                }
            }
            {
                // Who came and went meanwhile is written as they are now.
                let local = self.lock();
                arrived.retain(|user| local.has(user));
                left.retain(|user| !local.has(user));
            }
            let Shared { cache, gateway, .. } = &*self.0;
            tolerate(cache.renew_sessions(gateway, &arrived, self.lease()).await);
            tolerate(cache.end_sessions(gateway, &left, clock::unix_ms()).await);
        }
    }

    /// Finds the rooms of a user who came, however long the store takes to answer.
    async fn look_up(self, user: UserId, shutdown: Shutdown) {
        let mut backoff = Backoff::between(LOOK_UP_FLOOR, LOOK_UP_CEILING);
        while self.lock().has(&user) {
            match self.read_rooms(&user).await {
                Ok(rooms) => return self.change(|local| local.found(&user, rooms)),
                Err(error) => tracing::debug!(%error, "a user's rooms are not known yet"),
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = shutdown.begun() => return,
            }
        }
    }

    /// Looks at the rooms whose members may be others now, until the shutdown: opening one tells how its members belong.
    pub(crate) async fn settle_doubts(
        self,
        mut doubts: mpsc::Receiver<Doubt>,
        hub: Hub,
        shutdown: Shutdown,
    ) {
        let turns = Arc::new(Semaphore::new(DOUBTS_AT_ONCE));
        loop {
            let next = async {
                // Never closed.
                let turn = Arc::clone(&turns).acquire_owned().await.ok()?;
                Some((turn, doubts.recv().await?))
            };
            let (turn, doubt) = tokio::select! {
                next = next => match next {
                    Some(next) => next,
                    None => return,
                },
                () = shutdown.begun() => return,
            };
            let (presence, hub) = (self.clone(), hub.clone());
            shutdown.spawn(async move {
                presence.settle(doubt, &hub).await;
                drop(turn);
            });
        }
    }

    async fn settle(&self, Doubt(user, key): Doubt, hub: &Hub) {
        if !self.lock().has(&user) {
            return;
        }
        let caller = Caller {
            user,
            is_admin: false,
        };
        // Granted or not, the room has said how they belong.
        let entered = hub.enter(&key, &caller, Purpose::FIND, None).await;
        if entered.is_err_and(|refusal| refusal.retry_after_ms.is_some()) {
            tokio::time::sleep(LOOK_UP_FLOOR).await;
            let _ = self.0.doubts.try_send(Doubt(caller.user, key));
        }
    }

    async fn read_rooms(&self, user: &UserId) -> Result<Vec<(RoomKey, Belonging)>, StoreError> {
        // Never closed.
        let _turn = self.0.look_ups.acquire().await;
        let rows = self.0.store.rooms_of(user).await?.into_iter();
        Ok(rows
            .map(|row| (RoomKey::from(&row.room), belonging(row.membership)))
            .collect())
    }

    /// Renews the leases of all who are here, and looks their rooms up again where something was missed.
    async fn renew(self, shutdown: Shutdown) {
        let mut renewals = ticks((self.0.lease / RENEWALS_PER_LEASE).max(Duration::from_millis(1)));
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = renewals.tick() => {}
                () = shutdown.begun() => return,
            }
            let users: Vec<UserId> = self.lock().users().cloned().collect();
            let Shared { cache, gateway, .. } = &*self.0;
            tolerate(cache.renew_sessions(gateway, &users, self.lease()).await);
            let due_ms = self.0.look_again_ms.load(Relaxed);
            if due_ms > 0 && due_ms <= clock::monotonic_ms() {
                let _ = self
                    .0
                    .look_again_ms
                    .compare_exchange(due_ms, 0, Relaxed, Relaxed);
                for user in users {
                    shutdown.spawn(self.clone().look_up(user, shutdown.clone()));
                }
            }
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

    fn lease(&self) -> Lease {
        Lease {
            now_ms: clock::unix_ms(),
            holds: self.0.lease,
        }
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

/// A lease that was not written is written with the next renewal.
fn tolerate(written: Result<(), roomlog_platform::redis::CacheError>) {
    if let Err(error) = written {
        tracing::debug!(%error, "a lease was not written");
    }
}
