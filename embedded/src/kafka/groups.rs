//! All consumer groups of the broker.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::error_code;
use super::group::{Group, Join, Joined, Synced};
use crate::mutex::lock;

/// Groups that may have members at a time; joining one more is refused.
const GROUPS_MAX: usize = 1000;

/// Sessions shorter or longer than this are refused, as Kafka does; the lower bound here is for quick tests.
const SESSION_MIN: Duration = Duration::from_millis(500);
const SESSION_MAX: Duration = Duration::from_mins(30);

/// The groups by name.
pub(super) struct Groups {
    by_id: Mutex<HashMap<String, Group>>,
    initial_delay: Duration,
}

// === impl Groups ===

impl Groups {
    pub(super) fn new(initial_delay: Duration) -> Groups {
        Groups {
            by_id: Mutex::default(),
            initial_delay,
        }
    }

    /// Joins a group; waits for the rebalance that this sets off.
    pub(super) async fn join(&self, group: &str, join: Join) -> Joined {
        let refused = |error| Joined {
            error,
            generation: -1,
            ..Joined::default()
        };
        if group.is_empty() {
            return refused(error_code::INVALID_GROUP_ID);
        }
        if !(SESSION_MIN..=SESSION_MAX).contains(&join.session) {
            return refused(error_code::INVALID_SESSION_TIMEOUT);
        }
        let (reply, joined) = oneshot::channel();
        {
            let mut by_id = lock(&self.by_id);
            if by_id.len() >= GROUPS_MAX && !by_id.contains_key(group) {
                by_id.retain(|_, group| !group.is_idle());
                if by_id.len() >= GROUPS_MAX {
                    return refused(error_code::COORDINATOR_NOT_AVAILABLE);
                }
            }
            let now = Instant::now();
            let entry = by_id.entry(group.into());
            let fresh_id = format!("{}-{}", join.client, Uuid::new_v4());
            entry
                .or_insert_with(|| Group::new(self.initial_delay, now))
                .join(join, fresh_id, now, reply);
        }
        joined
            .await
            .unwrap_or_else(|_| refused(error_code::UNKNOWN_MEMBER_ID))
    }

    /// Asks for a member's assignment; waits for the leader to bring it.
    pub(super) async fn sync(
        &self,
        group: &str,
        member: (&str, Option<&str>),
        generation: i32,
        assignments: Vec<(String, Bytes)>,
    ) -> Synced {
        let (reply, synced) = oneshot::channel();
        {
            let mut by_id = lock(&self.by_id);
            let group = by_id.get_mut(group).ok_or(error_code::UNKNOWN_MEMBER_ID)?;
            group.sync(member, generation, assignments, Instant::now(), reply);
        }
        synced
            .await
            .unwrap_or(Err(error_code::REBALANCE_IN_PROGRESS))
    }

    /// Does something with a group, if there is such a one.
    pub(super) fn with<T>(&self, group: &str, act: impl FnOnce(&mut Group) -> T) -> Option<T> {
        lock(&self.by_id).get_mut(group).map(act)
    }

    /// One line per group.
    pub(super) fn list<T>(&self, line: impl Fn(&str, &Group) -> T) -> Vec<T> {
        lock(&self.by_id)
            .iter()
            .map(|(id, group)| line(id, group))
            .collect()
    }

    /// Forgets a group that has no members. Gives whether there was one, or the error.
    pub(super) fn delete(&self, group: &str) -> Result<bool, i16> {
        let mut by_id = lock(&self.by_id);
        match by_id.get(group) {
            Some(known) if !known.is_idle() => Err(error_code::NON_EMPTY_GROUP),
            _ => Ok(by_id.remove(group).is_some()),
        }
    }

    /// Lets time pass in all groups.
    pub(super) fn tick(&self, now: Instant) {
        for group in lock(&self.by_id).values_mut() {
            group.tick(now);
        }
    }

    /// Ends all waits.
    pub(super) fn release(&self) {
        for group in lock(&self.by_id).values_mut() {
            group.release();
        }
    }
}
