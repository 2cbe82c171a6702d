//! The users who are here: their names, their connections and how fast they send.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use roomlog_core::{
    code::{Code, Refusal},
    event::Sender,
    ids::{RoomId, UserId},
    limits::Limits,
};
use roomlog_platform::dynamo::{Consistency, Store, UserRow};

use crate::{auth::Identity, clock, rate::Bucket};

/// How long a sign-in waits for the stored name. Without it the token's name, or the id, is shown.
const NAME_WAIT: Duration = Duration::from_millis(300);
/// Users remembered before those who are not connected are forgotten.
const USERS_KEPT: usize = 50_000;
/// How long a user without connections is remembered, so that the rate holds from one request to the next.
const KEEP_MS: u64 = 60_000;
/// Rooms a user joined or left through this gateway that are remembered: the store may not have the latest yet.
const NOTED_ROOMS_MAX: usize = 32;
/// Ids of recent sends remembered per user: a retry of one of them is not held against the rate.
const RECENT_IDS_MAX: usize = 64;

/// A signed-in user, shared by all their connections here.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) name: String,
    pub(crate) avatar: Option<String>,
    connections: AtomicUsize,
    pace: Mutex<Pace>,
    noted_rooms: Mutex<VecDeque<RoomId>>,
}

#[derive(Debug)]
struct Pace {
    bucket: Bucket,
    recent: VecDeque<u64>,
    used_ms: u64,
}

/// Counts one connection of a user until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<User>);

/// All users of this gateway.
#[derive(Debug)]
pub(crate) struct Users {
    limits: Limits,
    known: Mutex<HashMap<UserId, Arc<User>>>,
}

// === impl Users ===

impl Users {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            known: Mutex::default(),
        }
    }

    /// The user of a checked token. Whoever comes for the first time gets a row, without waiting for it.
    pub(crate) async fn sign_in(&self, identity: &Identity, store: &Store) -> Arc<User> {
        if let Some(user) = self.lock().get(&identity.user) {
            return Arc::clone(user);
        }
        let stored = match tokio::time::timeout(
            NAME_WAIT,
            store.user(&identity.user, Consistency::Eventual),
        )
        .await
        {
            Ok(Ok(Some(row))) => Some(row),
            Ok(Ok(None)) => {
                enter(identity, store.clone());
                None
            }
            Ok(Err(_)) | Err(_) => None,
        };
        let (name, avatar) = match stored {
            Some(row) => (row.name, row.avatar),
            None => (first_name(identity), None),
        };
        self.add(identity.user.clone(), name, avatar)
    }

    /// A user whose name is known.
    pub(crate) fn add(&self, id: UserId, name: String, avatar: Option<String>) -> Arc<User> {
        let now_ms = clock::monotonic_ms();
        let mut known = self.lock();
        if known.len() >= USERS_KEPT {
            known.retain(|_, user| user.is_here(now_ms));
        }
        let user = known.entry(id).or_insert_with_key(|id| {
            let bucket = Bucket::new(
                self.limits.sends_per_second,
                self.limits.sends_burst,
                now_ms,
            );
            Arc::new(User {
                id: id.clone(),
                name,
                avatar,
                connections: AtomicUsize::new(0),
                pace: Mutex::new(Pace {
                    bucket,
                    recent: VecDeque::new(),
                    used_ms: now_ms,
                }),
                noted_rooms: Mutex::default(),
            })
        });
        Arc::clone(user)
    }

    /// Takes a seat for one more connection.
    pub(crate) fn seat(&self, user: &Arc<User>) -> Result<Seat, Refusal> {
        let max = self.limits.connections_per_user_max;
        let taken = user.connections.fetch_add(1, Ordering::Relaxed);
        let seat = Seat(Arc::clone(user));
        if max != 0 && taken >= max {
            return Err(Refusal::new(
                Code::TooMany,
                format!("a user has at most {max} connections"),
            ));
        }
        Ok(seat)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Arc<User>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What somebody is called before they have a row.
fn first_name(identity: &Identity) -> String {
    identity
        .name
        .clone()
        .unwrap_or_else(|| identity.user.as_str().to_owned())
}

/// Writes the row of someone seen for the first time.
fn enter(identity: &Identity, store: Store) {
    let row = UserRow {
        id: identity.user.clone(),
        name: first_name(identity),
        avatar: None,
        guest: false,
        created_at_ms: i64::try_from(clock::unix_ms()).unwrap_or(i64::MAX),
    };
    tokio::spawn(async move {
        if let Err(error) = store.create_user(&row).await {
            tracing::debug!(%error, "a new user's row was not written, the next sign-in will");
        }
    });
}

// === impl User ===

impl User {
    /// The author part of their events.
    pub(crate) fn sender(&self) -> Sender {
        Sender {
            id: self.id.clone(),
            name: self.name.clone(),
            avatar: self.avatar.clone(),
        }
    }

    /// Counts sends with these ids against the user's rate; retries are free.
    pub(crate) fn pace<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Result<(), Refusal> {
        use std::hash::BuildHasher as _;
        let hasher = foldhash::fast::FixedState::default();
        let now_ms = clock::monotonic_ms();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh: Vec<u64> = ids
            .into_iter()
            .map(|id| hasher.hash_one(id))
            .filter(|id| !pace.recent.contains(id))
            .collect();
        pace.used_ms = now_ms;
        if fresh.is_empty() {
            return Ok(());
        }
        pace.bucket
            .take(fresh.len() as u64, now_ms)
            .map_err(|wait_ms| {
                Refusal::retry_after(Code::TooMany, "too many messages, slow down", wait_ms)
            })?;
        for id in fresh {
            if pace.recent.len() >= RECENT_IDS_MAX {
                pace.recent.pop_front();
            }
            pace.recent.push_back(id);
        }
        Ok(())
    }

    /// Remembers a room whose membership was changed through this gateway.
    pub(crate) fn note_room(&self, room: RoomId) {
        let mut noted = self
            .noted_rooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        noted.retain(|known| *known != room);
        noted.push_back(room);
        if noted.len() > NOTED_ROOMS_MAX {
            noted.pop_front();
        }
    }

    /// The rooms whose membership was changed through this gateway of late.
    pub(crate) fn noted_rooms(&self) -> Vec<RoomId> {
        let noted = self
            .noted_rooms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        noted.iter().cloned().collect()
    }

    fn is_here(&self, now_ms: u64) -> bool {
        let pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        self.connections.load(Ordering::Relaxed) > 0 || pace.used_ms + KEEP_MS > now_ms
    }
}

// === impl Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn users() -> Users {
        Users::new(Limits {
            sends_per_second: 1,
            sends_burst: 2,
            connections_per_user_max: 2,
            ..Limits::default()
        })
    }

    fn alice(users: &Users) -> Arc<User> {
        users.add(UserId::parse("alice").unwrap(), "Alice".to_owned(), None)
    }

    #[test]
    fn a_user_has_so_many_connections() {
        let users = users();
        let alice = alice(&users);
        let first = users.seat(&alice).unwrap();
        let _second = users.seat(&alice).unwrap();
        assert_eq!(users.seat(&alice).unwrap_err().code, Code::TooMany);
        drop(first);
        assert!(users.seat(&alice).is_ok());
    }

    #[test]
    fn a_retry_is_not_held_against_the_rate() {
        let users = users();
        let alice = alice(&users);
        assert!(alice.pace(["a", "b"]).is_ok());
        assert!(alice.pace(["a"]).is_ok());
        let refusal = alice.pace(["c"]).unwrap_err();
        assert_eq!(refusal.code, Code::TooMany);
        assert!(refusal.retry_after_ms.is_some_and(|ms| ms <= 1_000));
    }

    #[test]
    fn the_rate_is_shared_by_all_connections() {
        let users = users();
        assert!(alice(&users).pace(["a"]).is_ok());
        assert!(alice(&users).pace(["b"]).is_ok());
        assert!(alice(&users).pace(["c"]).is_err());
    }
}
