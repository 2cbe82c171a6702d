//! Where owners and gateways find each other.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use roomlog_core::{ids::RoomKey, interest::GatewayId, partition::partition_of};
use tokio::sync::{mpsc, watch};

use crate::{metrics, outbox::Outbox, owner::Command};

/// The owners that state heads and the gateways attached, of one instance.
pub(crate) struct Directory {
    partition_count: u32,
    state: Mutex<State>,
    /// The partitions whose heads are stated.
    stated: watch::Sender<BTreeSet<u32>>,
}

#[derive(Default)]
struct State {
    /// The owners by partition, only those that state their heads.
    owners: BTreeMap<u32, mpsc::Sender<Command>>,
    gateways: HashMap<GatewayId, Arc<Outbox>>,
    /// Gateways so far.
    attached: u64,
    /// No more owners and gateways are taken.
    closed: bool,
}

// === impl Directory ===

impl Directory {
    pub(crate) fn new(partition_count: u32) -> Self {
        Self {
            partition_count,
            state: Mutex::default(),
            stated: watch::Sender::default(),
        }
    }

    /// Enters a gateway and tells it what is owned; `None` when this instance is stopping.
    pub(crate) fn attach(&self) -> Option<(GatewayId, Arc<Outbox>)> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.attached += 1;
        let (id, outbox) = (GatewayId(state.attached), Arc::new(Outbox::new()));
        outbox.set_owned(state.owned());
        state.gateways.insert(id, Arc::clone(&outbox));
        metrics::gateways(state.gateways.len());
        Some((id, outbox))
    }

    /// The gateways that were attached after this one.
    pub(crate) fn attached_after(&self, last: GatewayId) -> Vec<(GatewayId, Arc<Outbox>)> {
        let state = self.lock();
        let later = state.gateways.iter().filter(|(id, _)| **id > last);
        later
            .map(|(id, outbox)| (*id, Arc::clone(outbox)))
            .collect()
    }

    /// Removes a gateway. Owners notice by its closed outbox.
    pub(crate) fn detach(&self, gateway: GatewayId) {
        let mut state = self.lock();
        if let Some(outbox) = state.gateways.remove(&gateway) {
            outbox.close();
        }
        metrics::gateways(state.gateways.len());
    }

    /// From now on this instance states the heads of a partition.
    pub(crate) fn state_heads(&self, partition: u32, owner: mpsc::Sender<Command>) {
        let mut state = self.lock();
        if !state.closed {
            state.owners.insert(partition, owner);
            self.announce(&state);
        }
    }

    /// From now on it does not.
    pub(crate) fn withdraw(&self, partition: u32) {
        let mut state = self.lock();
        if state.owners.remove(&partition).is_some() {
            self.announce(&state);
        }
    }

    /// States nothing any more and lets the gateways go once everything is sent.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.owners.clear();
        self.announce(&state);
        for outbox in state.gateways.values() {
            outbox.close();
        }
    }

    /// The partition of a room.
    pub(crate) fn partition_of(&self, key: &RoomKey) -> u32 {
        partition_of(key.as_str().as_bytes(), self.partition_count)
    }

    /// The owner of a partition, if it is here.
    pub(crate) fn owner(&self, partition: u32) -> Option<mpsc::Sender<Command>> {
        self.lock().owners.get(&partition).cloned()
    }

    /// The partitions whose heads are stated, as they change.
    pub(crate) fn stated(&self) -> watch::Receiver<BTreeSet<u32>> {
        self.stated.subscribe()
    }

    fn announce(&self, state: &State) {
        metrics::partitions(state.owners.len());
        for outbox in state.gateways.values() {
            outbox.set_owned(state.owned());
        }
        self.stated.send_replace(state.owned());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl State ===

impl State {
    fn owned(&self) -> BTreeSet<u32> {
        self.owners.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    async fn owned(outbox: &Outbox) -> Option<Vec<u32>> {
        outbox
            .next()
            .await
            .and_then(|next| next.owned.last().cloned())
    }

    #[tokio::test]
    async fn a_gateway_always_learns_what_is_owned() {
        let directory = Directory::new(4);
        let (id, outbox) = directory.attach().unwrap();
        assert_eq!(owned(&outbox).await, Some(vec![]));
        directory.state_heads(2, mpsc::channel(1).0);
        assert_eq!(owned(&outbox).await, Some(vec![2]));
        let (later, late) = directory.attach().unwrap();
        let after: Vec<GatewayId> = directory
            .attached_after(id)
            .into_iter()
            .map(|(id, _)| id)
            .collect();
        assert_eq!(after, [later]);
        assert_eq!(owned(&late).await, Some(vec![2]));
        directory.withdraw(2);
        assert_eq!(owned(&outbox).await, Some(vec![]));
        directory.detach(id);
        assert!(outbox.is_closed());
    }

    #[tokio::test]
    async fn a_stopping_instance_states_nothing_and_lets_go() {
        let directory = Directory::new(4);
        let (_, outbox) = directory.attach().unwrap();
        directory.state_heads(1, mpsc::channel(1).0);
        directory.close();
        assert_eq!(owned(&outbox).await, Some(vec![]));
        assert_eq!(outbox.next().await, None);
        assert!(directory.attach().is_none());
    }
}
