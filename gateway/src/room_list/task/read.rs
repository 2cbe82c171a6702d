//! What was read for the lists: which rooms are on them, and what happened there since the store was asked.

use std::collections::BTreeSet;

use roomlog_core::{
    event::Body,
    ids::{RoomKey, Seq, UserId},
};
use roomlog_platform::stored_event::StoredEvent;

use super::{
    super::{
        entry::{Entry, Level},
        list::{List, State},
        load::{Looked, Row, Rows},
    },
    Done, Task,
};
use crate::{clock, hub::Decoded};

/// How long a first snapshot waits for what is not stored yet. After it, the rest comes as changes.
const SETTLE_MS: u64 = 2_000;
/// Rooms of one list whose last message is fetched, the most active ones; others show it from the next message on.
const PREVIEWS_MAX: usize = 500;

// === impl Task ===

impl Task {
    pub(super) async fn done(&mut self, done: Done) {
        let user = match done {
            Done::Read(user, rows) => {
                let again = self.reading.end(&user);
                self.take_rows(&user, rows).await;
                if again.is_some() && self.lists.contains_key(&user) {
                    self.read(user.clone());
                }
                user
            }
            Done::Looked(user, key, looked) => {
                self.looked(user.clone(), key, looked).await;
                user
            }
            Done::Filled(user, key, events) => {
                self.filled(&user, &key, events);
                user
            }
            Done::Counted(totals) => return self.take_totals(totals),
        };
        // The others settle with time.
        if let Some(list) = self.lists.get_mut(&user) {
            list.settle(clock::monotonic_ms());
        }
    }

    async fn looked(&mut self, user: UserId, key: RoomKey, looked: Looked) {
        let again = self.looking.end(&(user.clone(), key.clone()));
        if let Some(list) = self.lists.get_mut(&user) {
            list.looking = list.looking.saturating_sub(1);
        }
        match looked {
            Looked::In(row, as_of) => {
                if self.is_news(&user, &key, as_of, true) {
                    self.add(&user, &key, *row).await;
                }
            }
            Looked::Out(as_of) => {
                if self.is_news(&user, &key, as_of, false) {
                    self.remove(&user, &key).await;
                }
            }
            Looked::Unknown => self.source.ear.note_gap(),
        }
        if let (Some(after), Some(list)) = (again, self.lists.get(&user)) {
            self.look(list.caller.clone(), key, after);
        }
    }

    fn is_news(&mut self, user: &UserId, key: &RoomKey, as_of: Seq, is_in: bool) -> bool {
        let list = self.lists.get_mut(user);
        list.is_some_and(|list| list.judge(key, as_of, is_in))
    }

    async fn take_rows(&mut self, user: &UserId, rows: Rows) {
        let Some(list) = self.lists.get_mut(user) else {
            return;
        };
        if list.state == State::Reading {
            let until_ms = clock::monotonic_ms() + SETTLE_MS;
            list.state = State::Levelling { until_ms };
        }
        list.read_ms = clock::monotonic_ms();
        let (head, position) = rows.inbox;
        list.inbox.note_head(head);
        list.inbox.note_position(position);
        let mut rows = rows.rooms;
        rows.retain(|row| !list.is_over(&row.key, row.member.changed_seq));
        let caller = list.caller.clone();
        let read: BTreeSet<RoomKey> = rows.iter().map(|row| row.key.clone()).collect();
        let elsewhere = list.rooms.keys().cloned();
        let joined = self.joins.iter().filter(|(_, who, _)| who == user);
        let doubtful: BTreeSet<RoomKey> = elsewhere
            .chain(joined.map(|(_, _, key)| key.clone()))
            .filter(|key| !read.contains(key))
            .collect();
        for row in rows {
            merge(list, row);
        }
        list.want_last_of(PREVIEWS_MAX);
        for key in &read {
            self.followers
                .entry(key.clone())
                .or_default()
                .insert(user.clone());
        }
        let inbox = RoomKey::inbox(user);
        self.hub
            .follow(read.into_iter().chain([inbox]).collect())
            .await;
        for key in doubtful {
            self.look(caller.clone(), key, Seq::ZERO);
        }
    }

    async fn add(&mut self, user: &UserId, key: &RoomKey, row: Row) {
        let Some(list) = self.lists.get_mut(user) else {
            return;
        };
        let is_new = !list.rooms.contains_key(key);
        merge(list, row);
        if is_new {
            let followers = self.followers.entry(key.clone()).or_default();
            followers.insert(user.clone());
        }
        self.hub.follow(vec![key.clone()]).await;
    }

    async fn remove(&mut self, user: &UserId, key: &RoomKey) {
        if let Some(list) = self.lists.get_mut(user)
            && list.remove(key)
        {
            self.leave(user, key).await;
        }
    }

    pub(super) async fn leave(&mut self, user: &UserId, key: &RoomKey) {
        if let Some(followers) = self.followers.get_mut(key) {
            followers.remove(user);
            if followers.is_empty() {
                self.followers.remove(key);
                self.hub.unfollow(vec![key.clone()]).await;
            }
        }
    }

    fn filled(&mut self, user: &UserId, key: &RoomKey, events: Option<Vec<StoredEvent>>) {
        let Some(list) = self.lists.get_mut(user) else {
            return;
        };
        let Some(entry) = list.rooms.get_mut(key) else {
            return;
        };
        entry.level = Level::Even;
        list.dirty.insert(key.clone());
        let Some(events) = events else {
            return self.source.ear.note_gap();
        };
        let mut last_of_state = None;
        for stored in events {
            let Decoded { stored, event, .. } = Decoded::new(stored);
            entry.note_event(user, &stored, event.as_ref());
            last_of_state = match event.map(|event| event.body) {
                Some(Body::Member(member)) if member.user == *user => Some(stored.seq),
                Some(Body::Room(_)) => Some(stored.seq),
                _ => last_of_state,
            };
        }
        // The row that put the room on the list was older than this.
        if let Some(seq) = last_of_state.filter(|seq| !list.knows(key, *seq)) {
            let caller = list.caller.clone();
            self.look(caller, key.clone(), seq);
        }
    }
}

/// Takes what the store has of a room into a list; what lies between that and now is counted in once a head is heard.
fn merge(list: &mut List, row: Row) {
    let (meta, member) = (row.meta.clone(), row.member);
    let user = list.caller.user.clone();
    let entry = list.entry(&row.key, || Entry::new(meta, member, &user));
    if row.member.changed_seq >= entry.member.changed_seq {
        entry.member = row.member;
    }
    if row.meta.changed_seq >= entry.meta.changed_seq {
        entry.meta = row.meta;
    }
    entry.note_head(row.stored);
    entry.note_position(row.position);
    entry.note_active(row.active_at_ms);
    entry.note_mentions(&row.mentions);
    if let Some(online) = row.online {
        entry.note_online(online);
    }
    entry.stored = row.stored;
    entry.level = Level::Stored;
    list.dirty.insert(row.key);
}
