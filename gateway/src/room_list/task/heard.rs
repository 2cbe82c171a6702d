//! What the lists hear: events, heads and read positions of the rooms on them, and joins to others.

use std::sync::Arc;

use roomlog_core::{
    event::{Body, Event, Kind},
    ids::{RoomKey, UserId},
    unread::{ReadPosition, joiner},
};
use roomlog_platform::stored_event::StoredEvent;

use super::{
    super::{Heard, entry::Level, load},
    Done, Task,
};
use crate::{clock, hub::Decoded};

/// Joins remembered; beyond it the oldest go first.
const JOINS_MAX: usize = 10_000;

// === impl Task ===

impl Task {
    pub(super) fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Event(stored) if stored.key.is_inbox() => {
                self.hear_inbox(&stored.key, ReadPosition::at(stored.seq, stored.count));
            }
            Heard::Head(head) if head.key.is_inbox() => {
                self.hear_inbox(&head.key, ReadPosition::at(head.seq, head.count));
            }
            Heard::Read {
                key,
                user,
                position,
            } if key.is_inbox() => {
                if let Some(list) = self.lists.get_mut(&user) {
                    list.inbox.note_position(position);
                }
            }
            Heard::Event(stored) => self.hear_event(stored),
            Heard::Head(head) => {
                self.hear_head(&head.key, ReadPosition::at(head.seq, head.count));
            }
            Heard::Read {
                key,
                user,
                position,
            } => {
                if let Some(list) = self.lists.get_mut(&user)
                    && let Some(entry) = list.rooms.get_mut(&key)
                    && entry.note_position(position)
                {
                    list.dirty.insert(key);
                }
            }
        }
    }

    fn hear_inbox(&mut self, key: &RoomKey, head: ReadPosition) {
        let owner = key.owner();
        if let Some(list) = owner.and_then(|user| self.lists.get_mut(&user)) {
            list.inbox.note_head(head);
        }
    }

    fn hear_head(&mut self, key: &RoomKey, head: ReadPosition) {
        for user in self.followers.get(key).into_iter().flatten() {
            let Some(list) = self.lists.get_mut(user) else {
                continue;
            };
            let Some(entry) = list.rooms.get_mut(key) else {
                continue;
            };
            if entry.note_head(head) {
                list.dirty.insert(key.clone());
            }
            if entry.level != Level::Stored {
                continue;
            }
            let (stored, head) = (entry.stored.seq, entry.head().seq);
            let wants_last = entry.wants_last;
            if head <= stored && !wants_last {
                entry.level = Level::Even;
                continue;
            }
            entry.level = Level::Filling;
            let (source, turns) = (self.source.clone(), Arc::clone(&self.fillers));
            let (user, key) = (user.clone(), key.clone());
            self.doing.spawn(async move {
                let _turn = turns.acquire().await;
                let events = load::fill(&source, &key, stored, head, wants_last).await;
                Done::Filled(user, key, events)
            });
        }
    }

    fn hear_event(&mut self, stored: StoredEvent) {
        let matters_to_all = matches!(stored.kind, Kind::Member | Kind::Room);
        if !matters_to_all && !self.followers.contains_key(&stored.key) {
            return;
        }
        let decoded = Decoded::new(stored);
        let (stored, event) = (&decoded.stored, decoded.event.as_ref());
        for user in self.followers.get(&stored.key).into_iter().flatten() {
            if let Some(list) = self.lists.get_mut(user)
                && let Some(entry) = list.rooms.get_mut(&stored.key)
                && entry.note_event(user, stored, event)
            {
                list.dirty.insert(stored.key.clone());
            }
        }
        if let Some(event) = event.filter(|_| matters_to_all) {
            self.hear_of_state(stored, event);
        }
    }

    /// An event that may put a room on a list, change what it is called, or take it off.
    fn hear_of_state(&mut self, stored: &StoredEvent, event: &Event) {
        if let Some(user) = joiner(event) {
            let now_ms = clock::monotonic_ms();
            self.joins
                .push_back((now_ms, user.clone(), stored.key.clone()));
            if self.joins.len() > JOINS_MAX {
                self.joins.pop_front();
            }
        }
        let concerned: Vec<UserId> = match &event.body {
            Body::Member(member) => vec![member.user.clone()],
            Body::Room(room) if room.kind.is_some() => vec![event.sender.id.clone()],
            _ => {
                let followers = self.followers.get(&stored.key).into_iter().flatten();
                followers.cloned().collect()
            }
        };
        for user in concerned {
            if let Some(list) = self.lists.get(&user) {
                self.look(list.caller.clone(), stored.key.clone(), stored.seq);
            }
        }
    }
}
