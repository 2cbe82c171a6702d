//! Who is here, for everyone who asks Redis: `user:{<id>}:sessions`, `:status` and `:last-active`, `{r:<room>}:online`
//! and `:viewers`.
//!
//! Sets are scored by lease end in ms since the Unix epoch: an entry whose time is over means nothing, whoever left it.
//! Gateways write what is of users, owners what is of rooms; all of it is written again before its lease ends.

use std::time::Duration;

use roomlog_core::{
    ids::{RoomKey, UserId},
    presence::Standing,
};

use super::{Cache, CacheError};

/// Users or places in one pipeline: some 100 KiB.
const PIPELINE_MAX: usize = 500;

/// What is known of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserStatus {
    /// Whether they have a session anywhere.
    pub online: bool,
    /// When they were last here, in ms since the Unix epoch, where that is known.
    pub last_active_ms: Option<u64>,
}

/// The moment a lease is written, and how long it holds.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// How long it holds.
    pub holds: Duration,
}

// === impl Lease ===

impl Lease {
    fn holds_ms(self) -> u64 {
        u64::try_from(self.holds.as_millis()).unwrap_or(u64::MAX)
    }

    fn until_ms(self) -> u64 {
        self.now_ms.saturating_add(self.holds_ms())
    }

    /// What a key is kept for: twice a lease, so that one late renewal loses nothing.
    fn kept_ms(self) -> u64 {
        self.holds_ms().saturating_mul(2).max(1)
    }
}

fn user_key(user: &UserId, part: &str) -> String {
    format!("user:{{{user}}}:{part}")
}

fn room_key(key: &RoomKey, part: &str) -> String {
    format!("{{r:{key}}}:{part}")
}

impl Cache {
    /// Renews the leases of users with sessions on a gateway, many in one round trip.
    ///
    /// # Errors
    /// When the cache did not answer; the next renewal makes up for it.
    pub async fn renew_sessions(
        &self,
        gateway: &str,
        users: &[UserId],
        lease: Lease,
    ) -> Result<(), CacheError> {
        for users in users.chunks(PIPELINE_MAX) {
            let mut pipe = redis::pipe();
            for user in users {
                let sessions = user_key(user, "sessions");
                pipe.cmd("ZADD")
                    .arg(&sessions)
                    .arg(lease.until_ms())
                    .arg(gateway);
                pipe.cmd("PEXPIRE").arg(&sessions).arg(lease.kept_ms());
                pipe.cmd("SET")
                    .arg(user_key(user, "status"))
                    .arg("online")
                    .arg("PX")
                    .arg(lease.kept_ms());
                pipe.cmd("SET")
                    .arg(user_key(user, "last-active"))
                    .arg(lease.now_ms);
            }
            let mut connection = self.connection.clone();
            let _: redis::Value = pipe.query_async(&mut connection).await?;
        }
        Ok(())
    }

    /// Ends a gateway's leases of users, many in one round trip; a user's status goes with the last one.
    ///
    /// # Errors
    /// When the cache did not answer; the leases then end by themselves.
    pub async fn end_sessions(
        &self,
        gateway: &str,
        users: &[UserId],
        now_ms: u64,
    ) -> Result<(), CacheError> {
        for users in users.chunks(PIPELINE_MAX) {
            let mut connection = self.connection.clone();
            let mut pipe = redis::pipe();
            for user in users {
                let sessions = user_key(user, "sessions");
                pipe.cmd("ZREM").arg(&sessions).arg(gateway).ignore();
                pipe.cmd("SET")
                    .arg(user_key(user, "last-active"))
                    .arg(now_ms)
                    .ignore();
                pipe.cmd("ZCOUNT")
                    .arg(&sessions)
                    .arg(format!("({now_ms}"))
                    .arg("+inf");
            }
            let others: Vec<u64> = pipe.query_async(&mut connection).await?;
            let mut gone = redis::pipe();
            for (user, _) in users.iter().zip(others).filter(|(_, others)| *others == 0) {
                // A session that begins elsewhere just now is seen again with its next renewal.
                gone.cmd("DEL").arg(user_key(user, "status")).ignore();
            }
            let () = gone.query_async(&mut connection).await?;
        }
        Ok(())
    }

    /// What is known of users, in their order.
    ///
    /// # Errors
    /// When the cache did not answer.
    pub async fn statuses(
        &self,
        users: &[UserId],
        now_ms: u64,
    ) -> Result<Vec<UserStatus>, CacheError> {
        let mut statuses = Vec::with_capacity(users.len());
        for users in users.chunks(PIPELINE_MAX) {
            let mut pipe = redis::pipe();
            for user in users {
                pipe.cmd("ZCOUNT")
                    .arg(user_key(user, "sessions"))
                    .arg(format!("({now_ms}"))
                    .arg("+inf");
                pipe.cmd("GET").arg(user_key(user, "last-active"));
            }
            let mut connection = self.connection.clone();
            let answers: Vec<Option<u64>> = pipe.query_async(&mut connection).await?;
            statuses.extend(answers.chunks_exact(2).map(|pair| UserStatus {
                online: pair[0].is_some_and(|sessions| sessions > 0),
                last_active_ms: pair[1],
            }));
        }
        Ok(statuses)
    }

    /// Writes how users stand in rooms, many in one round trip.
    ///
    /// # Errors
    /// When the cache did not answer; the next renewal makes up for it.
    pub async fn write_places(
        &self,
        places: &[(RoomKey, UserId, Standing)],
        lease: Lease,
    ) -> Result<(), CacheError> {
        for places in places.chunks(PIPELINE_MAX) {
            let mut pipe = redis::pipe();
            for (key, user, standing) in places {
                for (part, is_in) in [("online", standing.online), ("viewers", standing.viewing)] {
                    let set = room_key(key, part);
                    if is_in {
                        pipe.cmd("ZADD")
                            .arg(&set)
                            .arg(lease.until_ms())
                            .arg(user.as_str());
                        pipe.cmd("PEXPIRE").arg(&set).arg(lease.kept_ms());
                    } else {
                        pipe.cmd("ZREM").arg(&set).arg(user.as_str());
                    }
                }
            }
            let mut connection = self.connection.clone();
            let _: redis::Value = pipe.query_async(&mut connection).await?;
        }
        Ok(())
    }

    /// Removes from rooms' sets what nobody renewed.
    ///
    /// # Errors
    /// When the cache did not answer.
    pub async fn sweep_places(&self, keys: &[RoomKey], now_ms: u64) -> Result<(), CacheError> {
        for keys in keys.chunks(PIPELINE_MAX) {
            let mut pipe = redis::pipe();
            for set in keys
                .iter()
                .flat_map(|key| ["online", "viewers"].map(|part| room_key(key, part)))
            {
                pipe.cmd("ZREMRANGEBYSCORE")
                    .arg(set)
                    .arg("-inf")
                    .arg(now_ms);
            }
            let mut connection = self.connection.clone();
            let _: redis::Value = pipe.query_async(&mut connection).await?;
        }
        Ok(())
    }
}
