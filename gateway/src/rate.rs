//! How fast something may happen: buckets that fill steadily, one for all or one for each address.

use std::{
    hash::{BuildHasher as _, Hash},
    num::NonZeroU32,
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::{StateInformationMiddleware, StateSnapshot},
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};
use roomlog_core::code::{Code, Refusal};

use crate::metrics;

/// Keys a bucket for each is kept for. Those that are full again are forgotten when it is reached; where that makes no
/// room, newcomers share one bucket until it does.
const KEYS_MAX: usize = 100_000;
/// The bucket newcomers share then.
const SHARED: u64 = 0;
const MINUTE: Duration = Duration::from_secs(60);

/// The clock's idea of now.
type Moment = <DefaultClock as Clock>::Instant;

/// A rate and how much of it may come at once. `None` is no limit.
pub(crate) type Rate = Option<Quota>;

/// What a limit is about, for its metric and its refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Messages, edits, reactions of one user.
    Sends,
    /// REST requests of one user.
    Requests,
    /// Frames of one connection.
    Frames,
    /// SUBSCRIBEs of one connection.
    Subscribes,
    /// Log-ins and sign-ups from one address.
    SignIns,
    /// Log-ins to one account.
    Account,
    /// Guests.
    Guests,
    /// Connections and renewals from one address.
    Connects,
    /// Changes of one user's name or picture.
    Profiles,
    /// Friend requests of one user.
    Friends,
    /// Uploads of one user.
    Files,
    /// Pictures asked for from one address.
    Pictures,
    /// Connections of one user.
    Connections,
    /// Rooms of one user.
    Rooms,
    /// Members of one room.
    Members,
}

/// One bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    limit: Limit,
    limiter: Option<RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>>,
}

/// A bucket for each key.
#[derive(Debug)]
pub(crate) struct Buckets {
    limit: Limit,
    limiter:
        Option<RateLimiter<u64, HashMapStateStore<u64>, DefaultClock, StateInformationMiddleware>>,
    hasher: foldhash::fast::RandomState,
}

/// What is left in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// What it holds when full.
    pub(crate) limit: u32,
    /// What it holds now.
    pub(crate) remaining: u32,
    /// Seconds until it is full.
    pub(crate) full_in_s: u64,
}

/// A bucket is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Empty {
    limit: Limit,
    /// Until it holds enough.
    pub(crate) wait_ms: u64,
    /// What it holds.
    pub(crate) left: Left,
}

/// So many a second, and so many at once; 0 a second is no limit.
pub(crate) fn per_second(rate: u32, burst: u32) -> Rate {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    NonZeroU32::new(rate).map(|rate| Quota::per_second(rate).allow_burst(burst))
}

/// So many a minute, at once or spread; 0 is no limit.
pub(crate) fn per_minute(rate: u32) -> Rate {
    let rate = NonZeroU32::new(rate)?;
    Quota::with_period(MINUTE / rate.get()).map(|quota| quota.allow_burst(rate))
}

// === impl Limit ===

impl Limit {
    /// Its name in the metric.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sends => "sends",
            Self::Requests => "requests",
            Self::Frames => "frames",
            Self::Subscribes => "subscribes",
            Self::SignIns => "sign-ins",
            Self::Account => "account",
            Self::Guests => "guests",
            Self::Connects => "connects",
            Self::Profiles => "profiles",
            Self::Friends => "friends",
            Self::Files => "files",
            Self::Pictures => "pictures",
            Self::Connections => "connections",
            Self::Rooms => "rooms",
            Self::Members => "members",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Sends => "too many messages, slow down",
            Self::Requests | Self::Frames => "too many requests, slow down",
            Self::Subscribes => "too many subscriptions, slow down",
            Self::SignIns => "too many sign-ins from this address",
            Self::Account => "too many tries to log in, wait a little",
            Self::Guests => "too many guests at once",
            Self::Connects => "too many connections from this address",
            Self::Profiles => "too many changes of name or picture, wait a little",
            Self::Friends => "too many friend requests, wait a little",
            Self::Files => "too many uploads, wait a little",
            Self::Pictures => "too many pictures at once from this address",
            Self::Connections | Self::Rooms | Self::Members => "there is no room for one more",
        }
    }

    /// Refuses for good: waiting does not help.
    pub(crate) fn reached(self, message: impl Into<String>) -> Refusal {
        metrics::limited(self);
        Refusal::new(Code::TooMany, message)
    }
}

// === impl Bucket ===

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(limit: Limit, rate: Rate) -> Self {
        let limiter = rate.map(|quota| {
            RateLimiter::direct(quota).with_middleware::<StateInformationMiddleware>()
        });
        Self { limit, limiter }
    }

    /// Takes `count` out, or says when it will be there. More than the bucket holds is let through when it is full, and
    /// leaves it empty. `None` where there is no limit.
    pub(crate) fn take(&self, count: u32) -> Result<Option<Left>, Empty> {
        let (Some(limiter), Some(count)) = (&self.limiter, NonZeroU32::new(count)) else {
            return Ok(None);
        };
        let taken = match limiter.check_n(count) {
            Ok(taken) => taken,
            Err(beyond) => {
                let all = NonZeroU32::new(beyond.0).unwrap_or(NonZeroU32::MIN);
                match limiter.check_n(all) {
                    Ok(taken) => taken,
                    Err(_) => return Ok(None),
                }
            }
        };
        taken
            .map(|state| Some(left(&state)))
            .map_err(|not_until| empty(self.limit, &not_until))
    }
}

// === impl Buckets ===

impl Buckets {
    pub(crate) fn new(limit: Limit, rate: Rate) -> Self {
        let limiter = rate.map(|quota| {
            RateLimiter::hashmap(quota).with_middleware::<StateInformationMiddleware>()
        });
        Self {
            limit,
            limiter,
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    /// Takes one out of this key's bucket. `None` where there is no limit.
    pub(crate) fn take(&self, key: impl Hash) -> Result<Option<Left>, Empty> {
        let Some(limiter) = &self.limiter else {
            return Ok(None);
        };
        if limiter.len() >= KEYS_MAX {
            limiter.retain_recent();
        }
        let key = match limiter.len() >= KEYS_MAX {
            true => SHARED,
            false => self.hasher.hash_one(key),
        };
        limiter
            .check_key(&key)
            .map(|state| Some(left(&state)))
            .map_err(|not_until| empty(self.limit, &not_until))
    }
}

// === impl Empty ===

impl From<Empty> for Refusal {
    fn from(empty: Empty) -> Self {
        metrics::limited(empty.limit);
        Self::retry_after(Code::TooMany, empty.limit.message(), empty.wait_ms)
    }
}

fn left(state: &StateSnapshot) -> Left {
    of(state.quota(), state.remaining_burst_capacity())
}

fn of(quota: Quota, remaining: u32) -> Left {
    let limit = quota.burst_size().get();
    let lacking = limit.saturating_sub(remaining);
    let full_in = quota.replenish_interval().saturating_mul(lacking);
    Left {
        limit,
        remaining,
        full_in_s: full_in.as_secs() + u64::from(full_in.subsec_nanos() > 0),
    }
}

fn empty(limit: Limit, not_until: &NotUntil<Moment>) -> Empty {
    let wait = not_until.wait_time_from(DefaultClock::default().now());
    Empty {
        limit,
        // A client that waits exactly as long as it is told passes.
        wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) + 1,
        left: of(not_until.quota(), 0),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lets_a_burst_through_and_then_says_how_long_to_wait() {
        let bucket = Bucket::new(Limit::Sends, per_minute(3));
        assert_eq!(bucket.take(1).unwrap().unwrap().remaining, 2);
        assert_eq!(bucket.take(2).unwrap().unwrap().remaining, 0);
        let empty = bucket.take(1).unwrap_err();
        assert!((1..=20_001).contains(&empty.wait_ms), "{empty:?}");
        assert_eq!((empty.left.limit, empty.left.remaining), (3, 0));
        assert!(empty.left.full_in_s <= 60);
        let refusal = Refusal::from(empty);
        assert_eq!(
            (refusal.code, refusal.retry_after_ms),
            (Code::TooMany, Some(empty.wait_ms))
        );
    }

    #[test]
    fn a_transaction_beyond_the_burst_passes_a_full_bucket_and_leaves_it_empty() {
        let bucket = Bucket::new(Limit::Sends, per_minute(5));
        assert_eq!(bucket.take(8).unwrap().unwrap().remaining, 0);
        assert!(bucket.take(1).is_err());
        assert!(bucket.take(8).is_err());
    }

    #[test]
    fn nothing_a_second_is_no_limit() {
        let bucket = Bucket::new(Limit::Sends, per_second(0, 1));
        let buckets = Buckets::new(Limit::SignIns, per_minute(0));
        for _ in 0..1_000 {
            assert_eq!(bucket.take(100), Ok(None));
            assert_eq!(buckets.take("a"), Ok(None));
        }
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let buckets = Buckets::new(Limit::SignIns, per_minute(1));
        assert!(buckets.take("a").is_ok());
        assert!(buckets.take("a").is_err());
        assert!(buckets.take("b").is_ok());
    }
}
