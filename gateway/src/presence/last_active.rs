//! When users were last here, for the day Redis has forgotten it: kept in their rows too, and written rarely.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use roomlog_core::ids::UserId;
use roomlog_platform::{dynamo::Store, redis::UserStatus, shutdown::Shutdown};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval as ticks, sleep, timeout},
};

use super::Presence;

/// Users who left and whose rows are not written yet. Beyond it one is passed over, and their row says an earlier time.
pub(super) const ABSENT_MAX: usize = 16_384;

/// How often they are written: who comes and goes all the time costs one write in it.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);

/// Rows written at once.
const WRITES_AT_ONCE: usize = 16;

/// How long the last ones may take when the gateway stops.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// How long an answer waits for rows. After it, what Redis does not know is not known.
const RECALL_MAX: Duration = Duration::from_secs(1);

/// A user who left, and when, in ms since the Unix epoch.
pub(super) type Absent = (UserId, u64);

// === impl Presence ===

impl Presence {
    /// Users have no session here any more.
    pub(super) fn note_absent(&self, users: &[UserId], now_ms: u64) {
        for user in users {
            // See [`ABSENT_MAX`].
            let _ = self.0.absent.try_send((user.clone(), now_ms));
        }
    }

    /// Fills in when those were last here of whom Redis does not know it.
    pub(super) async fn recall(&self, users: &[UserId], statuses: &mut [UserStatus]) {
        let both = users.iter().zip(statuses.iter());
        let unknown = both.filter(|(_, status)| status.last_active_ms.is_none());
        // The store wants each of them once.
        let unknown: BTreeSet<UserId> = unknown.map(|(user, _)| user.clone()).collect();
        if unknown.is_empty() {
            return;
        }
        let unknown: Vec<UserId> = unknown.into_iter().collect();
        let known = match timeout(RECALL_MAX, self.0.store.last_active(&unknown)).await {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => {
                return tracing::debug!(%error, "when users were last here is not known");
            }
            Err(_) => return,
        };
        for (user, status) in users.iter().zip(statuses) {
            status.last_active_ms = status.last_active_ms.or(known.get(user).copied());
        }
    }
}

/// Writes when users were last here until the shutdown, and then what is left.
pub(super) async fn keep(store: Store, mut absent: mpsc::Receiver<Absent>, shutdown: Shutdown) {
    let mut turns = ticks(WRITE_INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => {}
            () = shutdown.begun() => break,
        }
        tokio::select! {
            () = write(&store, &mut absent) => {}
            () = farewell(&shutdown) => return,
        }
    }
    tokio::select! {
        () = write(&store, &mut absent) => {}
        () = farewell(&shutdown) => {}
    }
}

/// The end of the time there is once the gateway stops. What is not written by then is known to Redis.
async fn farewell(shutdown: &Shutdown) {
    shutdown.begun().await;
    sleep(FAREWELL_MAX).await;
}

async fn write(store: &Store, absent: &mut mpsc::Receiver<Absent>) {
    let mut latest = HashMap::new();
    while let Ok((user, at_ms)) = absent.try_recv() {
        latest.insert(user, at_ms);
    }
    let writes =
        stream::iter(latest).for_each_concurrent(WRITES_AT_ONCE, |(user, at_ms)| async move {
            if let Err(error) = store.note_active(&user, at_ms).await {
                tracing::debug!(%error, "when a user was last here was not written");
            }
        });
    writes.await;
}
