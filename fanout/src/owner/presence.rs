//! Who is in the rooms of a partition: told to the gateways that want it, and written behind to Redis.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use roomlog_core::{
    ids::{RoomKey, UserId},
    interest::GatewayId,
    presence::{Declaration, Roster, Standing, View},
};
use roomlog_platform::{config, link::Said};

use crate::metrics;

/// Renewals of what stands in Redis in the life of a lease: two may fail.
const RENEWALS_PER_LEASE: u64 = 3;

/// How soon a write that failed is made up for. The first command after Redis was away always fails, and who is here
/// should not have to wait for the renewal after it.
const RETRY_MS: u64 = 1_000;

/// The presence of one partition.
pub(super) struct Presence {
    roster: Roster,
    /// What Redis has not been told, the latest per place: at most as many as the roster holds. Inboxes are left out, as
    /// their users' sessions are there.
    unwritten: HashMap<(RoomKey, UserId), Standing>,
    is_writing: bool,
    renew_every_ms: u64,
    /// When everything is written again.
    renew_at_ms: u64,
}

/// What is to be written to Redis.
pub(super) struct Places {
    pub(super) places: Vec<(RoomKey, UserId, Standing)>,
    /// Rooms whose sets are to be cleared of what nobody renewed.
    pub(super) sweep: Vec<RoomKey>,
}

// === impl Presence ===

impl Presence {
    pub(super) fn new(config: &config::Presence) -> Self {
        let lease_ms = config.lease.as_millis();
        let names_max = usize::try_from(config.names_max).unwrap_or(usize::MAX);
        Self {
            roster: Roster::new(lease_ms, names_max),
            unwritten: HashMap::new(),
            is_writing: false,
            renew_every_ms: (lease_ms / RENEWALS_PER_LEASE).max(1),
            renew_at_ms: 0,
        }
    }

    pub(super) fn declare(&mut self, gateway: GatewayId, declarations: Vec<Declaration>) {
        for declaration in declarations {
            if !self.roster.declare(gateway, declaration) {
                metrics::signals_lost(1);
            }
        }
    }

    pub(super) fn detach(&mut self, gateway: GatewayId, now_ms: u64) {
        self.roster.detach(gateway, now_ms);
    }

    /// What is to be told of which rooms now.
    pub(super) fn tick(&mut self, now_ms: u64) -> Vec<(RoomKey, Bytes)> {
        self.roster.expire(now_ms);
        let changes = self.roster.changes();
        for change in &changes {
            if change.key.is_inbox() {
                continue;
            }
            let places = change.users.iter();
            self.unwritten.extend(
                places.map(|(user, standing)| ((change.key.clone(), user.clone()), *standing)),
            );
        }
        let told = changes.into_iter();
        told.map(|change| (change.key.clone(), Said::encode_change(&change)))
            .collect()
    }

    /// Who is in a room.
    pub(super) fn whole(&self, key: &RoomKey) -> Bytes {
        Said::encode_whole(key, &self.roster.view(key))
    }

    /// How many are online in a room.
    pub(super) fn total(&self, key: &RoomKey) -> Bytes {
        let view = View {
            online_total: self.roster.online_total(key),
            ..View::default()
        };
        Said::encode_whole(key, &view)
    }

    /// What is to be written to Redis now, if it is time and the last write is over.
    pub(super) fn begin_write(&mut self, now_ms: u64) -> Option<Places> {
        if self.is_writing {
            return None;
        }
        let mut sweep = HashSet::new();
        if now_ms >= self.renew_at_ms {
            self.renew_at_ms = now_ms + self.renew_every_ms;
            let everyone = self.roster.everyone();
            for (key, user, standing) in everyone.filter(|(key, ..)| !key.is_inbox()) {
                sweep.insert(key.clone());
                self.unwritten.insert((key.clone(), user.clone()), standing);
            }
        }
        if self.unwritten.is_empty() {
            return None;
        }
        self.is_writing = true;
        let places = std::mem::take(&mut self.unwritten).into_iter();
        Some(Places {
            places: places
                .map(|((key, user), standing)| (key, user, standing))
                .collect(),
            sweep: sweep.into_iter().collect(),
        })
    }

    /// A write ended. One that failed is made up for by a renewal, which then comes soon.
    pub(super) fn written(&mut self, worked: bool, now_ms: u64) {
        self.is_writing = false;
        if !worked {
            self.renew_at_ms = self.renew_at_ms.min(now_ms + RETRY_MS);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use roomlog_platform::config::Span;

    use super::*;

    /// With a user online in this room, which was told.
    fn presence_in(key: &str) -> Presence {
        let mut presence = Presence::new(&config::Presence {
            lease: Span(Duration::from_secs(30)),
            hold: Span(Duration::ZERO),
            names_max: 100,
        });
        let alice = Declaration {
            key: RoomKey::parse(key).unwrap(),
            user: UserId::parse("alice").unwrap(),
            standing: Standing {
                online: true,
                viewing: false,
            },
        };
        presence.declare(GatewayId(1), vec![alice]);
        assert_eq!(presence.tick(0).len(), 1);
        presence
    }

    #[test]
    fn everything_is_written_three_times_a_lease_and_soon_where_that_failed() {
        let mut presence = presence_in("room");
        assert_eq!(presence.begin_write(0).unwrap().places.len(), 1);
        presence.written(true, 5);
        assert!(presence.begin_write(9_999).is_none());
        assert_eq!(presence.begin_write(10_000).unwrap().places.len(), 1);
        presence.written(false, 10_005);
        assert!(presence.begin_write(10_005 + RETRY_MS - 1).is_none());
        let again = presence.begin_write(10_005 + RETRY_MS).unwrap();
        assert_eq!((again.places.len(), again.sweep.len()), (1, 1));
    }

    #[test]
    fn who_is_in_their_own_inbox_is_counted_and_not_written() {
        let mut presence = presence_in("@alice");
        let total = Said::decode(&presence.total(&RoomKey::parse("@alice").unwrap()));
        let Ok(Said::Whole(_, view)) = total else {
            panic!("{total:?}");
        };
        assert_eq!(view.online_total, 1);
        assert!(presence.begin_write(0).is_none());
    }
}
