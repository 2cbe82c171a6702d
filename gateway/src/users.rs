//! The users who are here: their names, their connections and how fast they send.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use roomlog_core::{
    code::Refusal,
    event::Sender,
    ids::{MessageId, RoomKey, UserId},
    limits::Limits,
};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::{Consistency, Store, UserRow},
};

use crate::{
    auth::{Ended, Ending, Identity, SessionRef},
    clock,
    hub::ConnectionId,
    outbox::Outbox,
    rate::{Bucket, Empty, Left, Limit, per_second},
};

/// How long a sign-in waits for the stored name. Without it the token's name, or the id, is shown.
const NAME_WAIT: Duration = Duration::from_millis(300);
/// Tries to write the row of someone seen for the first time, some minutes in all. Whoever has none by then gets it when
/// they are seen for the first time again.
const ENTRY_TRIES: u32 = 12;
/// The waits between those tries.
const ENTRY_RETRY_FLOOR: Duration = Duration::from_millis(500);
const ENTRY_RETRY_CEILING: Duration = Duration::from_secs(30);
/// Users remembered before those who are not connected are forgotten.
const USERS_KEPT: usize = 50_000;
/// How long a user without connections is remembered, so that the rate holds from one request to the next.
const KEEP_MS: u64 = 60_000;
/// Ids of recent sends remembered per user: a retry of one of them is not held against the rate.
const RECENT_IDS_MAX: usize = 64;
/// Retries of one send that are free. A client that tries more often has a fault, or wants to get around the rate.
const RETRIES_FREE: u8 = 16;

/// Looks a second for one user's sends among those that came by another gateway, and looks at once: as many as may be
/// unacknowledged when a client comes here from there. Each reads as much as a page of history does.
const LOOKS_PER_SECOND: u32 = 1;
const LOOKS_BURST: u32 = 50;

/// A signed-in user, shared by all their connections here.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: UserId,
    profile: ArcSwap<Profile>,
    sockets: Mutex<Vec<Socket>>,
    pace: Mutex<Pace>,
    /// REST requests.
    requests: Bucket,
}

/// How a user is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) name: String,
    /// Where a picture is.
    pub(crate) avatar: Option<String>,
}

/// One connection of a user.
#[derive(Debug)]
pub(crate) struct Socket {
    pub(crate) id: ConnectionId,
    /// The sign-in whose end ends it.
    pub(crate) session: Option<SessionRef>,
    /// What it is told by.
    pub(crate) outbox: Weak<Outbox>,
}

#[derive(Debug)]
struct Pace {
    bucket: Bucket,
    looks: Bucket,
    recent: VecDeque<Recent>,
    used_ms: u64,
}

/// One of the recent sends.
#[derive(Debug)]
struct Recent {
    /// Of its room and id.
    hash: u64,
    retries: u8,
}

/// Counts one connection of a user until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<User>, ConnectionId);

/// All users of this gateway.
#[derive(Debug)]
pub(crate) struct Users {
    limits: Limits,
    known: Mutex<HashMap<UserId, Arc<User>>>,
    /// Sign-ins that are over.
    pub(crate) ended: Ended,
}

// === impl Users ===

impl Users {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            known: Mutex::default(),
            ended: Ended::default(),
        }
    }

    /// The user of a checked token. Whoever comes for the first time gets a row, without waiting for it.
    pub(crate) async fn sign_in(&self, identity: &Identity, store: &Store) -> Arc<User> {
        if let Some(user) = self.lock().get(&identity.user) {
            return Arc::clone(user);
        }
        let read = store.user(&identity.user, Consistency::Eventual);
        if let Ok(Ok(Some(row))) = tokio::time::timeout(NAME_WAIT, read).await {
            return self.add(identity.user.clone(), Profile::of(&row));
        }
        let row = first_row(identity);
        let user = self.add(identity.user.clone(), Profile::of(&row));
        tokio::spawn(enter(Arc::clone(&user), row, store.clone()));
        user
    }

    /// A user whose name is known.
    pub(crate) fn add(&self, id: UserId, profile: Profile) -> Arc<User> {
        let now_ms = clock::monotonic_ms();
        let mut known = self.lock();
        if known.len() >= USERS_KEPT {
            known.retain(|_, user| user.is_here(now_ms));
        }
        let user = known.entry(id).or_insert_with_key(|id| {
            let limits = &self.limits;
            let sends = per_second(limits.sends_per_second, limits.sends_burst);
            let burst = limits
                .requests_per_second
                .saturating_mul(Limits::REQUESTS_BURST_S);
            let requests = per_second(limits.requests_per_second, burst);
            let looks = per_second(LOOKS_PER_SECOND, LOOKS_BURST);
            Arc::new(User {
                id: id.clone(),
                profile: ArcSwap::from_pointee(profile),
                sockets: Mutex::default(),
                pace: Mutex::new(Pace {
                    bucket: Bucket::new(Limit::Sends, sends),
                    looks: Bucket::new(Limit::Sends, looks),
                    recent: VecDeque::new(),
                    used_ms: now_ms,
                }),
                requests: Bucket::new(Limit::Requests, requests),
            })
        });
        Arc::clone(user)
    }

    /// Somebody who is known here.
    pub(crate) fn known(&self, id: &UserId) -> Option<Arc<User>> {
        self.lock().get(id).cloned()
    }

    /// Takes a seat for one more connection.
    pub(crate) fn seat(&self, user: &Arc<User>, socket: Socket) -> Result<Seat, Refusal> {
        let max = self.limits.connections_per_user_max;
        let mut sockets = user.sockets();
        if max != 0 && sockets.len() >= max {
            let message = format!("a user has at most {max} connections");
            return Err(Limit::Connections.reached(message));
        }
        let id = socket.id;
        sockets.push(socket);
        Ok(Seat(Arc::clone(user), id))
    }

    /// Ends sign-ins: their tokens are good no more until this time, in seconds since the Unix epoch, when the last of
    /// them is over by itself, and their connections are closed.
    pub(crate) fn end(&self, ending: &Ending, until_s: u64) {
        self.ended.note(ending, until_s, clock::unix_ms() / 1_000);
        if let Some(user) = self.known(ending.user()) {
            user.sign_out(ending);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Arc<User>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The row of someone seen for the first time.
fn first_row(identity: &Identity) -> UserRow {
    let id = &identity.user;
    let name = identity.name.clone();
    let name = name.unwrap_or_else(|| id.as_str().to_owned());
    UserRow::new(id.clone(), name, clock::unix_ms_signed())
}

/// Writes the row of someone seen for the first time, however busy the store is. Who has one already is shown by it.
async fn enter(user: Arc<User>, row: UserRow, store: Store) {
    let mut backoff = Backoff::between(ENTRY_RETRY_FLOOR, ENTRY_RETRY_CEILING);
    for _ in 0..ENTRY_TRIES {
        match store.create_user(&row).await {
            Ok(kept) => return user.is_kept_as(Profile::of(&kept), &Profile::of(&row)),
            Err(error) => tracing::debug!(%error, "a new user's row was not written yet"),
        }
        backoff.wait().await;
    }
}

// === impl User ===

impl User {
    /// The author part of their events.
    pub(crate) fn sender(&self) -> Sender {
        let profile = self.profile.load();
        Sender {
            id: self.id.clone(),
            name: profile.name.clone(),
            avatar: profile.avatar.clone(),
        }
    }

    /// How they are shown now.
    pub(crate) fn profile(&self) -> Arc<Profile> {
        self.profile.load_full()
    }

    /// Shows them in another way from now on.
    pub(crate) fn set_profile(&self, profile: Profile) {
        self.profile.store(Arc::new(profile));
    }

    /// Shows them as their row does, unless they were named anew since this was supposed.
    fn is_kept_as(&self, kept: Profile, supposed: &Profile) {
        if **self.profile.load() == *supposed {
            self.set_profile(kept);
        }
    }

    /// Notes that a connection showed a token of another sign-in.
    pub(crate) fn rebind(&self, id: ConnectionId, session: Option<SessionRef>) {
        if let Some(socket) = self.sockets().iter_mut().find(|socket| socket.id == id) {
            socket.session = session;
        }
    }

    fn sign_out(&self, ending: &Ending) {
        for socket in self.sockets().iter() {
            let is_over = socket
                .session
                .as_ref()
                .is_some_and(|session| ending.concerns(session));
            if let (true, Some(outbox)) = (is_over, socket.outbox.upgrade()) {
                outbox.sign_out();
            }
        }
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<Socket>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts sends against the user's rate, each named by its room and id; retries are free.
    pub(crate) fn pace<'a>(
        &self,
        sends: impl IntoIterator<Item = (&'a RoomKey, &'a MessageId)>,
    ) -> Result<Option<Left>, Empty> {
        let mut pace = self.lock_pace();
        pace.used_ms = clock::monotonic_ms();
        let mut fresh = Vec::new();
        for send in sends {
            let hash = hash_of(send);
            match pace.recent.iter_mut().find(|recent| recent.hash == hash) {
                Some(recent) if recent.retries < RETRIES_FREE => recent.retries += 1,
                Some(_) | None => fresh.push(hash),
            }
        }
        let count = u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        let left = pace.bucket.take(count)?;
        for hash in fresh {
            pace.remember(hash);
        }
        Ok(left)
    }

    /// Whether the log may be asked once more if it has a send already.
    pub(crate) fn may_look(&self) -> bool {
        self.lock_pace().looks.take(1).is_ok()
    }

    /// Notes a send that the log has already: sent again, it is a retry.
    pub(crate) fn recognise(&self, send: (&RoomKey, &MessageId)) {
        self.lock_pace().remember(hash_of(send));
    }

    fn lock_pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a REST request against the user's rate.
    pub(crate) fn request(&self) -> Result<Option<Left>, Empty> {
        self.requests.take(1)
    }

    fn is_here(&self, now_ms: u64) -> bool {
        let pace = self.lock_pace();
        !self.sockets().is_empty() || pace.used_ms + KEEP_MS > now_ms
    }
}

/// Stands for a send's room and id.
fn hash_of(send: (&RoomKey, &MessageId)) -> u64 {
    use std::hash::BuildHasher as _;
    foldhash::fast::FixedState::default().hash_one(send)
}

// === impl Pace ===

impl Pace {
    fn remember(&mut self, hash: u64) {
        if self.recent.iter().any(|recent| recent.hash == hash) {
            return;
        }
        if self.recent.len() >= RECENT_IDS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(Recent { hash, retries: 0 });
    }
}

// === impl Profile ===

impl Profile {
    pub(crate) fn of(row: &UserRow) -> Self {
        Self {
            name: row.name.clone(),
            avatar: row.avatar.clone(),
        }
    }
}

// === impl Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sockets().retain(|socket| socket.id != self.1);
    }
}

#[cfg(test)]
mod tests;
