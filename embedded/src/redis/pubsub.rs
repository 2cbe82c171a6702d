//! Channels and who listens. A subscriber that is too slow is dropped rather than waited for or remembered for.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::glob;
use super::reply::Reply;

/// Messages waiting for one subscriber, beside the limit in bytes.
const MESSAGES_MAX: usize = 16 * 1024;

/// Channels and patterns that one connection may listen to.
const SUBSCRIPTIONS_MAX: usize = 10_000;

/// What is listened to: a channel, or all that match a pattern.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Topic {
    Channel(Bytes),
    Pattern(Bytes),
}

/// The sending end of a subscriber's queue. When it is gone, the subscriber has been too slow.
struct Line {
    messages: mpsc::Sender<(Reply, usize)>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// The receiving end.
pub(super) struct Mailbox {
    messages: mpsc::Receiver<(Reply, usize)>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// All subscribers by what they listen to.
#[derive(Default)]
pub(super) struct Channels {
    listeners: HashMap<Topic, BTreeSet<u64>>,
    lines: HashMap<u64, Line>,
    subscriptions: HashMap<u64, BTreeSet<Topic>>,
    bytes_max: usize,
}

// === impl Topic ===

impl Topic {
    fn matches(&self, channel: &[u8]) -> bool {
        match self {
            Topic::Channel(name) => name == channel,
            Topic::Pattern(pattern) => glob::matches(pattern, channel),
        }
    }

    /// The message as this listener gets it.
    fn message(&self, channel: &Bytes, payload: &Bytes) -> Reply {
        let (channel, payload) = (Reply::Bulk(channel.clone()), Reply::Bulk(payload.clone()));
        match self {
            Topic::Channel(_) => Reply::Push(vec![Reply::text("message"), channel, payload]),
            Topic::Pattern(pattern) => {
                let pattern = Reply::Bulk(pattern.clone());
                Reply::Push(vec![Reply::text("pmessage"), pattern, channel, payload])
            }
        }
    }
}

// === impl Mailbox ===

impl Mailbox {
    /// The next message; `None` when there will be no more, because the subscriber was too slow.
    pub(super) async fn next(&mut self) -> Option<Reply> {
        let (message, bytes) = self.messages.recv().await?;
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(message)
    }

    /// The next message, if one is there.
    pub(super) fn try_next(&mut self) -> Option<Reply> {
        let (message, bytes) = self.messages.try_recv().ok()?;
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        Some(message)
    }
}

// === impl Channels ===

impl Channels {
    pub(super) fn new(bytes_max: usize) -> Channels {
        Channels {
            bytes_max,
            ..Channels::default()
        }
    }

    /// The queue of a connection that is about to subscribe for the first time.
    pub(super) fn open(&mut self, connection: u64) -> Mailbox {
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let line = Line {
            messages: sender,
            waiting_bytes: Arc::clone(&waiting_bytes),
        };
        self.lines.insert(connection, line);
        Mailbox {
            messages: receiver,
            waiting_bytes,
        }
    }

    /// Adds a subscription; gives the number of the connection's, or `None` when it has too many.
    pub(super) fn subscribe(&mut self, connection: u64, topic: Topic) -> Option<usize> {
        let subscriptions = self.subscriptions.entry(connection).or_default();
        if subscriptions.len() >= SUBSCRIPTIONS_MAX && !subscriptions.contains(&topic) {
            return None;
        }
        subscriptions.insert(topic.clone());
        self.listeners.entry(topic).or_default().insert(connection);
        Some(subscriptions.len())
    }

    /// Ends a subscription; gives the number of those left.
    pub(super) fn unsubscribe(&mut self, connection: u64, topic: &Topic) -> usize {
        if let Some(listeners) = self.listeners.get_mut(topic) {
            listeners.remove(&connection);
            if listeners.is_empty() {
                self.listeners.remove(topic);
            }
        }
        let subscriptions = self.subscriptions.get_mut(&connection);
        subscriptions.map_or(0, |subscriptions| {
            subscriptions.remove(topic);
            subscriptions.len()
        })
    }

    pub(super) fn subscriptions(&self, connection: u64) -> Vec<Topic> {
        let subscriptions = self.subscriptions.get(&connection);
        subscriptions.into_iter().flatten().cloned().collect()
    }

    /// Forgets a connection.
    pub(super) fn close(&mut self, connection: u64) {
        for topic in self.subscriptions(connection) {
            self.unsubscribe(connection, &topic);
        }
        self.subscriptions.remove(&connection);
        self.lines.remove(&connection);
    }

    /// Sends a message to all who listen; gives how many those are.
    pub(super) fn publish(&mut self, channel: &Bytes, payload: &Bytes) -> usize {
        let mut reached = 0;
        let mut slow = Vec::new();
        let topics = self
            .listeners
            .iter()
            .filter(|(topic, _)| topic.matches(channel));
        for (topic, listeners) in topics {
            let message = topic.message(channel, payload);
            for connection in listeners {
                let Some(line) = self.lines.get(connection) else {
                    continue;
                };
                match line.send(
                    message.clone(),
                    channel.len() + payload.len(),
                    self.bytes_max,
                ) {
                    true => reached += 1,
                    false => slow.push(*connection),
                }
            }
        }
        for connection in slow {
            self.close(connection);
        }
        reached
    }
}

// === impl Line ===

impl Line {
    /// Queues a message; gives whether there was room.
    fn send(&self, message: Reply, bytes: usize, bytes_max: usize) -> bool {
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        waiting + bytes <= bytes_max && self.messages.try_send((message, bytes)).is_ok()
    }
}
