//! The rooms a client looks at: what is delivered to it there counts as read.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::join_all};
use roomlog_core::{
    ids::RoomKey,
    unread::{Positions, ReadPosition},
};
use tokio::time::sleep;

use super::{Connection, Outcome};

/// Rooms one client looks at at once. What is delivered in further ones has to be marked by the client.
const ROOMS_MAX: usize = 64;
/// How long a mark that was refused waits before it is sent again, with what came meanwhile.
const RETRY_WAIT: Duration = Duration::from_secs(1);

/// What a client looks at, and what it saw there that is not marked yet.
#[derive(Debug, Default)]
pub(super) struct Looking {
    rooms: BTreeSet<RoomKey>,
    seen: Positions<RoomKey>,
    /// Marks are on their way. The next ones wait for them, so that a busy room costs a few marks a second at most.
    is_marking: bool,
}

/// Marks that were not taken.
pub(super) type Unmarked = Vec<(RoomKey, ReadPosition)>;

// === impl Looking ===

impl Looking {
    /// The client looks at a room, or away from it.
    pub(super) fn turn(&mut self, key: &RoomKey, looks: bool) {
        if !looks {
            self.rooms.remove(key);
        } else if self.rooms.len() < ROOMS_MAX {
            self.rooms.insert(key.clone());
        }
    }

    /// An event was delivered.
    pub(super) fn delivered(&mut self, key: &RoomKey, at: ReadPosition) {
        if self.rooms.contains(key) {
            self.seen.note(key.clone(), at);
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Marks what was seen, unless marks are on their way.
    pub(super) fn mark_seen(&mut self) {
        if !self.looking.is_marking {
            self.mark_all_seen();
        }
    }

    /// The same without waiting for those that are on their way, as when the client leaves.
    pub(super) fn mark_all_seen(&mut self) {
        let Some(member) = &self.member else {
            return;
        };
        if self.looking.seen.is_empty() {
            return;
        }
        let seen = self.looking.seen.take(usize::MAX);
        self.looking.is_marking = true;
        let (gateway, user) = (Arc::clone(&self.gateway), member.caller.user.clone());
        self.doing.push(
            async move {
                let marks = seen.into_iter().map(|(key, at)| {
                    let (gateway, user) = (&gateway, &user);
                    async move {
                        let marked = gateway.reads.mark(&key, user, at).await;
                        marked.is_err().then_some((key, at))
                    }
                });
                let unmarked: Unmarked = join_all(marks).await.into_iter().flatten().collect();
                if !unmarked.is_empty() {
                    sleep(RETRY_WAIT).await;
                }
                Outcome::Marked(unmarked)
            }
            .boxed(),
        );
    }

    /// Marks were taken, but for these.
    pub(super) fn marked(&mut self, unmarked: Unmarked) {
        self.looking.is_marking = false;
        for (key, at) in unmarked {
            self.looking.seen.note(key, at);
        }
        self.mark_seen();
    }
}
