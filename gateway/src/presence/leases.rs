//! What Redis is told of the users here: that they came and went, and leases that are renewed in batches.
//!
//! A heart-beat writes nothing: a session is there until it ends, and one round trip renews the leases of hundreds.

use std::time::Duration;

use roomlog_core::ids::UserId;
use roomlog_platform::{
    redis::{CacheError, Lease},
    shutdown::Shutdown,
};
use tokio::{sync::mpsc, time::sleep};

use super::{News, Presence, Shared};
use crate::clock;

/// Renewals in the life of a lease: two may fail.
const RENEWALS_PER_LEASE: u32 = 3;

/// How soon a renewal that failed is tried again. The first command after Redis was away always fails, and who is here
/// should not have to wait for the renewal after it.
const RENEWAL_RETRY: Duration = Duration::from_secs(1);

/// Comings and goings written in one round trip.
const NEWS_AT_ONCE: usize = 256;

// === impl Presence ===

impl Presence {
    /// Looks up and writes what is new, much of it at once. Looking up comes first: it needs no Redis.
    pub(super) async fn write(self, mut news: mpsc::Receiver<News>, shutdown: Shutdown) {
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
                        if self.looked_for().insert(user.clone()) {
                            let look_up = self.clone().look_up(user.clone(), shutdown.clone());
                            shutdown.spawn(look_up);
                        }
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
            let now_ms = clock::unix_ms();
            self.note_absent(&left, now_ms);
            let Shared { cache, gateway, .. } = &*self.0;
            tolerate(&cache.renew_sessions(gateway, &arrived, self.lease()).await);
            tolerate(&cache.end_sessions(gateway, &left, now_ms).await);
        }
    }

    /// Renews the leases of all who are here.
    pub(super) async fn renew(self, shutdown: Shutdown) {
        let interval = (self.0.lease / RENEWALS_PER_LEASE).max(Duration::from_millis(1));
        loop {
            let users: Vec<UserId> = self.lock().users().cloned().collect();
            let Shared { cache, gateway, .. } = &*self.0;
            let renewed = cache.renew_sessions(gateway, &users, self.lease()).await;
            tolerate(&renewed);
            let wait = match renewed {
                Ok(()) => interval,
                Err(_) => RENEWAL_RETRY.min(interval),
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = shutdown.begun() => return,
            }
        }
    }

    fn lease(&self) -> Lease {
        Lease {
            now_ms: clock::unix_ms(),
            holds: self.0.lease,
        }
    }
}

/// A lease that was not written is written with the next renewal.
fn tolerate(written: &Result<(), CacheError>) {
    if let Err(error) = written {
        tracing::debug!(%error, "a lease was not written");
    }
}
