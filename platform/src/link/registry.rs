//! The links that are up, who is at their other ends and what they own.

use std::{
    collections::{BTreeSet, HashMap},
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use roomlog_core::{
    ids::RoomKey,
    partition::partition_of,
    signal::{Owed, Stamped},
};
use tonic::transport::Channel;

use super::{EncodedSignal, Identity, LinkId, pending::Pending, proto::link_client::LinkClient};

/// Shared by the handle and the tasks of all links.
pub(super) struct Registry {
    links: Mutex<HashMap<LinkId, Link>>,
    addresses: Mutex<Addresses>,
    ids: AtomicU64,
    signals: AtomicU64,
    /// Read marks said lately, for owners that are found later.
    owed: Mutex<Owed>,
    began: Instant,
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
    pending: Arc<Pending>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Registry ===

impl Default for Registry {
    fn default() -> Self {
        Self {
            links: Mutex::default(),
            addresses: Mutex::default(),
            ids: AtomicU64::default(),
            signals: AtomicU64::default(),
            owed: Mutex::default(),
            began: Instant::now(),
        }
    }
}

impl Registry {
    /// Enters a new link, unless the same instance is already linked by another of its addresses.
    pub(super) fn up(
        &self,
        fanout: Identity,
        client: LinkClient<Channel>,
    ) -> Option<(LinkId, Arc<Pending>)> {
        let mut links = lock(&self.links);
        if links
            .values()
            .any(|link| link.fanout.instance == fanout.instance)
        {
            return None;
        }
        let id = LinkId(self.ids.fetch_add(1, Ordering::Relaxed));
        let pending = Arc::<Pending>::default();
        let link = Link {
            fanout,
            client,
            owned: BTreeSet::new(),
            pending: Arc::clone(&pending),
        };
        links.insert(id, link);
        Some((id, pending))
    }

    pub(super) fn down(&self, id: LinkId) {
        lock(&self.links).remove(&id);
    }

    /// Replaces what a link owns and returns what it did not own before. Of the rooms there it is told the read marks it
    /// may have missed.
    pub(super) fn owned(&self, id: LinkId, partitions: &[u32]) -> Vec<u32> {
        let mut links = lock(&self.links);
        let Some(link) = links.get_mut(&id) else {
            return vec![];
        };
        let now: BTreeSet<u32> = partitions.iter().copied().collect();
        let gained: Vec<u32> = now.difference(&link.owned).copied().collect();
        link.owned = now;
        let is_gained = |key: &RoomKey| gained.contains(&link.partition_of(key));
        for stamped in lock(&self.owed).of(is_gained, self.now_ms()) {
            link.pending.signal(&EncodedSignal::encode(stamped));
        }
        gained
    }

    /// Tells every owner of a room. Under the lock of the links, so that an owner that is found meanwhile is told either
    /// here or as it is found.
    pub(super) fn tell(&self, stamped: Stamped) {
        let links = lock(&self.links);
        lock(&self.owed).said(&stamped, self.now_ms());
        let encoded = EncodedSignal::encode(stamped);
        let key = &encoded.signal.key;
        for link in links.values().filter(|link| link.owns(key)) {
            link.pending.signal(&encoded);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The links that own a room's partition, and their clients.
    pub(super) fn owners(&self, key: &RoomKey) -> Vec<(LinkId, LinkClient<Channel>)> {
        let links = lock(&self.links);
        let owners = links.iter().filter(|(_, link)| link.owns(key));
        owners
            .map(|(id, link)| (*id, link.client.clone()))
            .collect()
    }

    /// The counter of the next signal.
    pub(super) fn next_signal(&self) -> u64 {
        self.signals.fetch_add(1, Ordering::Relaxed)
    }

    /// What waits to be said on a link.
    pub(super) fn pending(&self, id: LinkId) -> Option<Arc<Pending>> {
        lock(&self.links)
            .get(&id)
            .map(|link| Arc::clone(&link.pending))
    }

    /// What waits to be said to each owner of a room.
    pub(super) fn pending_of_owners(&self, key: &RoomKey) -> Vec<Arc<Pending>> {
        let links = lock(&self.links);
        let owners = links.values().filter(|link| link.owns(key));
        owners.map(|link| Arc::clone(&link.pending)).collect()
    }

    /// The clients of all owners of any of these rooms, each with the rooms it owns.
    pub(super) fn rooms_by_owner(
        &self,
        keys: &[RoomKey],
    ) -> Vec<(LinkClient<Channel>, Vec<RoomKey>)> {
        let links = lock(&self.links);
        let owners = links.values().map(|link| {
            let owned = keys.iter().filter(|key| link.owns(key));
            (link.client.clone(), owned.cloned().collect())
        });
        owners.collect()
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

// === impl Link ===

impl Link {
    fn owns(&self, key: &RoomKey) -> bool {
        self.owned.contains(&self.partition_of(key))
    }

    fn partition_of(&self, key: &RoomKey) -> u32 {
        partition_of(key.as_str().as_bytes(), self.fanout.partition_count)
    }
}
