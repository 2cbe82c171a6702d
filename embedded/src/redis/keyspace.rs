//! All keys: their values, when they expire, and who watches them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::reply::Failure;
use super::sorted_set::SortedSet;
use super::stream::Stream;

/// What a key holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    String(Bytes),
    Hash(BTreeMap<Bytes, Bytes>),
    Set(HashSet<Bytes>),
    SortedSet(SortedSet),
    Stream(Stream),
}

struct Entry {
    value: Value,
    /// Milliseconds since 1970.
    expires_at: Option<u64>,
}

/// Raised when a watched key changes.
pub(super) type Alarm = Arc<AtomicBool>;

/// The keys at a moment in time.
#[derive(Default)]
pub(super) struct Keyspace {
    entries: HashMap<Bytes, Entry>,
    /// Keys by the time they expire.
    expiring: BTreeSet<(u64, Bytes)>,
    watchers: HashMap<Bytes, Vec<Alarm>>,
    now_ms: u64,
    /// How often each command was carried out.
    calls: BTreeMap<&'static str, u64>,
}

/// A kind of value that grows out of nothing and is gone when it is empty.
pub(super) trait Collection: Default {
    fn of(value: &Value) -> Option<&Self>;
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    fn into_value(self) -> Value;
    /// Whether the key goes when the collection is as it is.
    fn is_spent(&self) -> bool;
}

macro_rules! collection {
    ($type:ty, $variant:ident, $is_spent:expr) => {
        impl Collection for $type {
            fn of(value: &Value) -> Option<&Self> {
                match value {
                    Value::$variant(collection) => Some(collection),
                    _ => None,
                }
            }

            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                match value {
                    Value::$variant(collection) => Some(collection),
                    _ => None,
                }
            }

            fn into_value(self) -> Value {
                Value::$variant(self)
            }

            fn is_spent(&self) -> bool {
                $is_spent(self)
            }
        }
    };
}

collection!(BTreeMap<Bytes, Bytes>, Hash, BTreeMap::is_empty);
collection!(HashSet<Bytes>, Set, HashSet::is_empty);
collection!(SortedSet, SortedSet, SortedSet::is_empty);
// An empty stream stays, because it remembers its last id.
collection!(Stream, Stream, |_: &Stream| false);

// === impl Value ===

impl Value {
    /// The name of the kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
            Value::Hash(_) => "hash",
            Value::Set(_) => "set",
            Value::SortedSet(_) => "zset",
            Value::Stream(_) => "stream",
        }
    }
}

// === impl Keyspace ===

impl Keyspace {
    /// Moves the clock on and removes what has expired.
    pub(super) fn pass_time(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        while let Some((time, _)) = self.expiring.first() {
            if *time > self.now_ms {
                break;
            }
            if let Some((_, key)) = self.expiring.pop_first() {
                self.entries.remove(&key);
                self.touch(&key);
            }
        }
    }

    /// Notes that a command is carried out.
    pub(super) fn note_call(&mut self, command: &'static str) {
        *self.calls.entry(command).or_default() += 1;
    }

    /// How often each command was carried out, those of keys that are gone too.
    pub(super) fn calls(&self) -> &BTreeMap<&'static str, u64> {
        &self.calls
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.entries.keys()
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.entries.contains_key(key)
    }

    pub(super) fn value(&self, key: &[u8]) -> Option<&Value> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The string at a key.
    pub(super) fn string(&self, key: &[u8]) -> Result<Option<Bytes>, Failure> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(string)) => Ok(Some(string.clone())),
            Some(_) => Err(Failure::wrong_type()),
        }
    }

    /// The collection at a key.
    pub(super) fn collection<C: Collection>(&self, key: &[u8]) -> Result<Option<&C>, Failure> {
        let value = self.value(key);
        value
            .map(|value| C::of(value).ok_or_else(Failure::wrong_type))
            .transpose()
    }

    /// Changes the collection at a key, which is made if it is missing and removed if it ends up empty.
    /// A failing change must not have changed anything.
    pub(super) fn change<C: Collection, T>(
        &mut self,
        key: &Bytes,
        change: impl FnOnce(&mut C) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let Some(entry) = self.entries.get_mut(key) else {
            let mut collection = C::default();
            let result = change(&mut collection)?;
            if !collection.is_spent() {
                self.put(key.clone(), collection.into_value());
            }
            return Ok(result);
        };
        let collection = C::of_mut(&mut entry.value).ok_or_else(Failure::wrong_type)?;
        let result = change(collection)?;
        if collection.is_spent() {
            self.remove(key);
        } else {
            self.touch(key);
        }
        Ok(result)
    }

    /// Replaces what a key holds; it no longer expires then.
    pub(super) fn put(&mut self, key: Bytes, value: Value) {
        self.remove(&key);
        self.touch(&key);
        self.entries.insert(
            key,
            Entry {
                value,
                expires_at: None,
            },
        );
    }

    /// Replaces a string and leaves its expiry.
    pub(super) fn update_string(&mut self, key: &Bytes, string: Bytes) {
        let expires_at = self.expires_at(key);
        self.put(key.clone(), Value::String(string));
        self.set_expiry(key, expires_at);
    }

    pub(super) fn remove(&mut self, key: &Bytes) -> Option<Value> {
        let entry = self.entries.remove(key)?;
        if let Some(time) = entry.expires_at {
            self.expiring.remove(&(time, key.clone()));
        }
        self.touch(key);
        Some(entry.value)
    }

    /// Gives a key another name, with its expiry; gives whether there was such a key.
    pub(super) fn rename(&mut self, from: &Bytes, to: &Bytes) -> bool {
        let expires_at = self.expires_at(from);
        let Some(value) = self.remove(from) else {
            return false;
        };
        self.put(to.clone(), value);
        self.set_expiry(to, expires_at);
        true
    }

    pub(super) fn clear(&mut self) {
        let keys: Vec<Bytes> = self.entries.drain().map(|(key, _)| key).collect();
        self.expiring.clear();
        for key in keys {
            self.touch(&key);
        }
    }

    pub(super) fn expires_at(&self, key: &[u8]) -> Option<u64> {
        self.entries.get(key)?.expires_at
    }

    /// Sets when a key expires; a time that has come removes it at once.
    pub(super) fn set_expiry(&mut self, key: &Bytes, expires_at: Option<u64>) {
        if expires_at.is_some_and(|time| time <= self.now_ms) {
            self.remove(key);
            return;
        }
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        if let Some(time) = std::mem::replace(&mut entry.expires_at, expires_at) {
            self.expiring.remove(&(time, key.clone()));
        }
        if let Some(time) = expires_at {
            self.expiring.insert((time, key.clone()));
        }
        self.touch(key);
    }

    /// Raises `alarm` when the key changes.
    pub(super) fn watch(&mut self, key: Bytes, alarm: &Alarm) {
        self.watchers
            .entry(key)
            .or_default()
            .push(Arc::clone(alarm));
    }

    /// Forgets a watch.
    pub(super) fn unwatch(&mut self, key: &Bytes, alarm: &Alarm) {
        if let Some(alarms) = self.watchers.get_mut(key) {
            alarms.retain(|other| !Arc::ptr_eq(other, alarm));
            if alarms.is_empty() {
                self.watchers.remove(key);
            }
        }
    }

    fn touch(&mut self, key: &Bytes) {
        for alarm in self.watchers.remove(key).into_iter().flatten() {
            alarm.store(true, Ordering::Relaxed);
        }
    }
}
