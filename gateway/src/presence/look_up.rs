//! How users belong to rooms, where that is not known for certain: their rooms are read from the store, or the room is
//! asked.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use roomlog_core::{
    ids::{RoomKey, UserId},
    presence::Belonging,
};
use roomlog_platform::{backoff::Backoff, dynamo::StoreError, shutdown::Shutdown};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{MissedTickBehavior, interval as ticks},
};

use super::{Presence, belonging};
use crate::{
    clock,
    hub::{Caller, Hub, Purpose},
};

/// Users whose rooms are read from the store at once.
pub(super) const LOOK_UPS_MAX: usize = 16;

/// Doubts that wait. Beyond it one is dropped, and the rooms of all who are here are looked up again.
pub(super) const DOUBTS_MAX: usize = 16_384;

/// Rooms looked at for doubts at once.
const DOUBTS_AT_ONCE: usize = 32;

/// Users whose rooms are looked up again in one turn, and how often a turn comes: some 160 questions to the store in a
/// second, so that a gap that all gateways notice is no burst. Who is not reached yet is as they were meanwhile.
const LOOKS_AT_ONCE: usize = LOOK_UPS_MAX;
const LOOKS_INTERVAL: Duration = Duration::from_millis(100);

/// The waits before a user's rooms are read once more, where the store did not answer.
const LOOK_UP_FLOOR: Duration = Duration::from_millis(500);
const LOOK_UP_CEILING: Duration = Duration::from_secs(30);

/// A user who is here may belong to a room otherwise than is known.
pub(crate) struct Doubt(pub(super) UserId, pub(super) RoomKey);

// === impl Presence ===

impl Presence {
    /// Finds the rooms of a user who came, however long the store takes to answer.
    pub(super) async fn look_up(self, user: UserId, shutdown: Shutdown) {
        let mut backoff = Backoff::between(LOOK_UP_FLOOR, LOOK_UP_CEILING);
        while self.is_looked_for(&user) {
            match self.read_rooms(&user).await {
                Ok(rooms) => {
                    // Whoever came before this is told of, and whoever comes after it is looked for again.
                    let mut looked_for = self.looked_for();
                    self.change(|local| local.found(&user, rooms));
                    looked_for.remove(&user);
                    return;
                }
                Err(error) => tracing::debug!(%error, "a user's rooms are not known yet"),
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = shutdown.begun() => return,
            }
        }
    }

    /// Whether a user is still here; who is not is looked for no more.
    fn is_looked_for(&self, user: &UserId) -> bool {
        let mut looked_for = self.looked_for();
        let is_here = self.lock().has(user);
        if !is_here {
            looked_for.remove(user);
        }
        is_here
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
            self.doubt(Doubt(caller.user, key));
        }
    }

    pub(super) fn doubt(&self, doubt: Doubt) {
        if self.0.doubts.try_send(doubt).is_err() {
            self.note_gap();
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

    /// Looks the rooms of all who are here up again where something was missed, a few users at a time.
    pub(super) async fn look_again(self, shutdown: Shutdown) {
        let mut turns = ticks(LOOKS_INTERVAL);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut users = Vec::new();
        loop {
            tokio::select! {
                _ = turns.tick() => {}
                () = shutdown.begun() => return,
            }
            if users.is_empty() && self.gaps().begin(clock::monotonic_ms()) {
                users = self.lock().users().cloned().collect();
            }
            let rest = users.len().saturating_sub(LOOKS_AT_ONCE);
            let looks = users.split_off(rest).into_iter();
            let looks = join_all(looks.map(|user| self.look_once_more(user)));
            tokio::select! {
                _ = looks => {}
                () = shutdown.begun() => return,
            }
        }
    }

    /// Where the store does not answer, it is asked again in the next look at all.
    async fn look_once_more(&self, user: UserId) {
        if !self.lock().has(&user) {
            return;
        }
        match self.read_rooms(&user).await {
            Ok(rooms) => self.change(|local| local.found(&user, rooms)),
            Err(error) => {
                tracing::debug!(%error, "a user's rooms can't be looked up again yet");
                self.note_gap();
            }
        }
    }
}
