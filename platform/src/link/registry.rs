//! The links that are up, who is at their other ends and what they own.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use roomlog_core::{ids::RoomKey, partition::partition_of};
use tokio::sync::Notify;
use tonic::transport::Channel;

use super::{Identity, LinkId, RoomInterest, proto::link_client::LinkClient};

/// Shared by the handle and the tasks of all links.
#[derive(Default)]
pub(super) struct Registry {
    links: Mutex<HashMap<LinkId, Link>>,
    addresses: Mutex<Addresses>,
    ids: AtomicU64,
}

#[derive(Default)]
struct Addresses {
    /// Those found last; a link to another one is not made again once it ends.
    wanted: BTreeSet<SocketAddr>,
    /// Those a task is at work for, wanted or not.
    running: BTreeSet<SocketAddr>,
}

struct Link {
    fanout: Identity,
    client: LinkClient<Channel>,
    owned: BTreeSet<u32>,
    interest: Arc<PendingInterest>,
}

/// Interest to be declared on one link: the latest wish per room, so that it is bounded by the number of rooms.
#[derive(Default)]
pub(super) struct PendingInterest {
    rooms: Mutex<HashMap<RoomKey, RoomInterest>>,
    pub(super) changed: Notify,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Registry ===

impl Registry {
    /// Enters a new link, unless the same instance is already linked by another of its addresses.
    pub(super) fn up(
        &self,
        fanout: Identity,
        client: LinkClient<Channel>,
    ) -> Option<(LinkId, Arc<PendingInterest>)> {
        let mut links = lock(&self.links);
        if links
            .values()
            .any(|link| link.fanout.instance == fanout.instance)
        {
            return None;
        }
        let id = LinkId(self.ids.fetch_add(1, Ordering::Relaxed));
        let interest = Arc::<PendingInterest>::default();
        let link = Link {
            fanout,
            client,
            owned: BTreeSet::new(),
            interest: Arc::clone(&interest),
        };
        links.insert(id, link);
        Some((id, interest))
    }

    pub(super) fn down(&self, id: LinkId) {
        lock(&self.links).remove(&id);
    }

    /// Replaces what a link owns and returns what it did not own before.
    pub(super) fn owned(&self, id: LinkId, partitions: &[u32]) -> Vec<u32> {
        let mut links = lock(&self.links);
        let Some(link) = links.get_mut(&id) else {
            return vec![];
        };
        let now: BTreeSet<u32> = partitions.iter().copied().collect();
        let gained = now.difference(&link.owned).copied().collect();
        link.owned = now;
        gained
    }

    /// The links that own a room's partition, and their clients.
    pub(super) fn owners(&self, key: &RoomKey) -> Vec<(LinkId, LinkClient<Channel>)> {
        let links = lock(&self.links);
        let owners = links.iter().filter(|(_, link)| {
            let partition = partition_of(key.as_str().as_bytes(), link.fanout.partition_count);
            link.owned.contains(&partition)
        });
        owners
            .map(|(id, link)| (*id, link.client.clone()))
            .collect()
    }

    pub(super) fn interest(&self, id: LinkId) -> Option<Arc<PendingInterest>> {
        lock(&self.links)
            .get(&id)
            .map(|link| Arc::clone(&link.interest))
    }

    /// Takes over the addresses found and returns those that need a task.
    pub(super) fn want(&self, found: BTreeSet<SocketAddr>) -> Vec<SocketAddr> {
        let mut addresses = lock(&self.addresses);
        let new: Vec<_> = found.difference(&addresses.running).copied().collect();
        addresses.running.extend(&new);
        addresses.wanted = found;
        new
    }

    /// Whether an address is still wanted. With a no its task must end, as another one may be begun from then on.
    pub(super) fn wants(&self, address: SocketAddr) -> bool {
        let mut addresses = lock(&self.addresses);
        let wanted = addresses.wanted.contains(&address);
        if !wanted {
            addresses.running.remove(&address);
        }
        wanted
    }
}

// === impl PendingInterest ===

impl PendingInterest {
    pub(super) fn declare(&self, interest: impl IntoIterator<Item = RoomInterest>) {
        let mut rooms = lock(&self.rooms);
        rooms.extend(interest.into_iter().map(|room| (room.key.clone(), room)));
        drop(rooms);
        self.changed.notify_one();
    }

    /// Takes at most this many wishes.
    pub(super) fn take(&self, max: usize) -> Vec<RoomInterest> {
        let mut rooms = lock(&self.rooms);
        if rooms.len() <= max {
            return std::mem::take(&mut *rooms).into_values().collect();
        }
        let keys: Vec<_> = rooms.keys().take(max).cloned().collect();
        keys.iter().filter_map(|key| rooms.remove(key)).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        lock(&self.rooms).is_empty()
    }
}
