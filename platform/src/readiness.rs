//! What a process still waits for before it can serve, and the addresses it serves on.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::watch;

/// The readiness of a process; a clone speaks for the same process.
///
/// Each part registers a condition by name at its start and reports when it holds or no longer holds. The process is
/// ready while all hold.
#[derive(Clone, Debug)]
pub struct Readiness {
    state: Arc<Mutex<State>>,
    ready: watch::Sender<bool>,
    /// Counts the addresses stated, so that a waiter looks again.
    stated: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    conditions: BTreeMap<&'static str, bool>,
    addresses: BTreeMap<&'static str, String>,
}

/// One named condition of a process's readiness. Dropped, it no longer matters.
#[derive(Debug)]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

// === impl Readiness ===

impl Default for Readiness {
    fn default() -> Self {
        Self {
            state: Arc::default(),
            ready: watch::Sender::new(false),
            stated: watch::Sender::new(0),
        }
    }
}

impl Readiness {
    /// Adds a condition that does not hold yet.
    pub fn condition(&self, name: &'static str) -> Condition {
        self.change(|state| {
            state.conditions.insert(name, false);
        });
        Condition {
            name,
            readiness: self.clone(),
        }
    }

    /// States an address this process serves on, for its READY line.
    pub fn serves(&self, name: &'static str, address: impl Into<String>) {
        self.change(|state| {
            state.addresses.insert(name, address.into());
        });
        self.stated.send_modify(|count| *count += 1);
    }

    /// Resolves with the address of this name once it is stated.
    pub async fn address(&self, name: &str) -> String {
        let mut stated = self.stated.subscribe();
        loop {
            stated.mark_unchanged();
            if let Some(address) = self.lock().addresses.get(name) {
                return address.clone();
            }
            // The sender lives in `self`, so waiting can't fail while `self` is borrowed.
            let _ = stated.changed().await;
        }
    }

    /// The addresses stated so far.
    pub fn addresses(&self) -> BTreeMap<&'static str, String> {
        self.lock().addresses.clone()
    }

    /// The conditions that do not hold, for people.
    pub fn waiting_for(&self) -> Vec<&'static str> {
        let state = self.lock();
        let open = state.conditions.iter().filter(|(_, holds)| !**holds);
        open.map(|(name, _)| *name).collect()
    }

    /// Whether there are conditions and all hold.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Resolves once the process is ready.
    pub async fn ready(&self) {
        let mut ready = self.ready.subscribe();
        // The sender lives in `self`, so waiting can't fail while `self` is borrowed.
        let _ = ready.wait_for(|ready| *ready).await;
    }

    fn change(&self, apply: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        apply(&mut state);
        let ready = !state.conditions.is_empty() && state.conditions.values().all(|holds| *holds);
        self.ready
            .send_if_modified(|was| std::mem::replace(was, ready) != ready);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Condition ===

impl Condition {
    /// Reports that it holds.
    pub fn holds(&self) {
        self.set(true);
    }

    /// Reports that it does not hold (any more).
    pub fn fails(&self) {
        self.set(false);
    }

    fn set(&self, holds: bool) {
        self.readiness.change(|state| {
            state.conditions.insert(self.name, holds);
        });
    }
}

impl Drop for Condition {
    fn drop(&mut self) {
        self.readiness.change(|state| {
            state.conditions.remove(self.name);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn is_ready_while_every_condition_holds() {
        let readiness = Readiness::default();
        assert!(!readiness.is_ready(), "nothing has been promised yet");
        let (log, store) = (readiness.condition("log"), readiness.condition("store"));
        log.holds();
        assert_eq!(readiness.waiting_for(), ["store"]);
        store.holds();
        readiness.ready().await;
        log.fails();
        assert!(!readiness.is_ready());
        drop(log);
        assert!(readiness.is_ready());
    }

    #[tokio::test]
    async fn an_address_can_be_waited_for() {
        let readiness = Readiness::default();
        let (address, ()) = tokio::join!(readiness.address("link"), async {
            readiness.serves("admin", "127.0.0.1:1");
            readiness.serves("link", "127.0.0.1:2");
        });
        assert_eq!(address, "127.0.0.1:2");
    }
}
