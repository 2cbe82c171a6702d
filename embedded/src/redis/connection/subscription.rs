//! Subscriptions of a connection to channels and patterns.

use bytes::Bytes;

use super::Connection;
use crate::redis::commands::check_arity;
use crate::redis::pubsub::Topic;
use crate::redis::reply::{Failure, Reply};
use crate::redis::request::Request;

impl Connection {
    pub(super) fn is_subscribed(&self) -> bool {
        !self.shared.channels().subscriptions(self.id).is_empty()
    }

    /// The commands about channels, which answer once per channel.
    pub(super) fn subscribe(&mut self, name: &str, request: &Request) -> Option<Vec<Reply>> {
        let topic: fn(Bytes) -> Topic = if name.starts_with('P') {
            Topic::Pattern
        } else {
            Topic::Channel
        };
        let is_ending = match name {
            "SUBSCRIBE" | "PSUBSCRIBE" => false,
            "UNSUBSCRIBE" | "PUNSUBSCRIBE" => true,
            _ => return None,
        };
        if self.transaction.is_some() {
            self.break_transaction();
            return Some(vec![Reply::Error(Failure::new(
                "ERR subscriptions inside MULTI are not supported",
            ))]);
        }
        let names = request[1..].iter().cloned().map(topic);
        if is_ending {
            return Some(self.unsubscribe(name, names.collect()));
        }
        if let Err(failure) = check_arity(name, -2, request) {
            return Some(vec![Reply::Error(failure)]);
        }
        let mut channels = self.shared.channels();
        if self.mailbox.is_none() {
            self.mailbox = Some(channels.open(self.id));
        }
        let replies = names.map(|topic| match channels.subscribe(self.id, topic.clone()) {
            Some(count) => confirmation(name, Some(topic), count),
            None => Reply::Error(Failure::new("ERR too many subscriptions")),
        });
        Some(replies.collect())
    }

    fn unsubscribe(&mut self, name: &str, mut topics: Vec<Topic>) -> Vec<Reply> {
        let mut channels = self.shared.channels();
        let of_patterns = name.starts_with('P');
        if topics.is_empty() {
            topics = channels.subscriptions(self.id);
            topics.retain(|topic| matches!(topic, Topic::Pattern(_)) == of_patterns);
        }
        if topics.is_empty() {
            let count = channels.subscriptions(self.id).len();
            return vec![confirmation(name, None, count)];
        }
        let ended = topics.into_iter().map(|topic| {
            let count = channels.unsubscribe(self.id, &topic);
            confirmation(name, Some(topic), count)
        });
        ended.collect()
    }
}

fn confirmation(name: &str, topic: Option<Topic>, count: usize) -> Reply {
    let topic = match topic {
        Some(Topic::Channel(name) | Topic::Pattern(name)) => Reply::Bulk(name),
        None => Reply::Nil,
    };
    Reply::Push(vec![
        Reply::text(name.to_ascii_lowercase()),
        topic,
        Reply::count(count),
    ])
}
