//! One room on one user's list.

use roomlog_core::{
    event::{Body, Event, MemberChange},
    ids::{RoomKey, Seq, UserId},
    room_state::{Membership, RoomMeta},
    unread::{Badge, ReadPosition, named_by, readers_by},
};
use roomlog_platform::stored_event::StoredEvent;
use serde_json::{Value, json};

use crate::hub::Decoded;

/// Bytes of a text that a preview shows; the rest is cut off at a character.
const PREVIEW_TEXT_BYTES: usize = 256;

/// A room on a list.
#[derive(Debug)]
pub(super) struct Entry {
    /// Whom a direct room is with.
    with: Option<String>,
    pub(super) meta: RoomMeta,
    pub(super) member: Membership,
    badge: Badge,
    /// Members who are online, when they were last counted.
    online: u64,
    last: Option<Preview>,
    /// When the last message or notice was sent, or the room opened.
    active_at_ms: i64,
    /// Whether the last message is shown before another one comes.
    pub(super) wants_last: bool,
    /// Everything up to here has been counted in; what came after, up to the first head heard, has yet to be.
    pub(super) stored: ReadPosition,
    pub(super) level: Level,
    /// What subscribers were told last.
    told: Option<Item>,
}

/// Whether an entry holds everything up to what is heard by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// It was read from the store, and no head was heard yet.
    Stored,
    /// What lies between is being fetched.
    Filling,
    /// It does.
    Even,
}

/// A room's last message or notice.
#[derive(Clone, Debug, PartialEq)]
struct Preview {
    seq: Seq,
    body: Value,
}

/// What a list shows of a room.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) key: RoomKey,
    pub(crate) meta: RoomMeta,
    pub(crate) member: Membership,
    /// Whom a direct room is with.
    pub(crate) with: Option<String>,
    pub(crate) head: ReadPosition,
    pub(crate) unread: u64,
    pub(crate) mentions: u64,
    /// Members who are online.
    pub(crate) online: u64,
    pub(crate) last: Option<Value>,
    /// When the last message or notice was sent, or the room opened; to order by.
    pub(crate) active_at_ms: i64,
}

// === impl Entry ===

impl Entry {
    pub(super) fn new(meta: RoomMeta, member: Membership, user: &UserId) -> Self {
        Self {
            with: meta.partner(user).map(str::to_owned),
            meta,
            member,
            badge: Badge::default(),
            online: 0,
            last: None,
            active_at_ms: 0,
            wants_last: true,
            stored: ReadPosition::default(),
            level: Level::Stored,
            told: None,
        }
    }

    pub(super) fn note_head(&mut self, head: ReadPosition) -> bool {
        self.badge.note_head(head)
    }

    pub(super) fn note_position(&mut self, position: ReadPosition) -> bool {
        self.badge.note_position(position)
    }

    /// Takes messages that name the user, wherever they lie.
    pub(super) fn note_mentions(&mut self, seqs: &[Seq]) {
        for seq in seqs {
            self.badge.note_mention(*seq);
        }
    }

    /// Takes how many members are online; `true` if that was news.
    pub(super) fn note_online(&mut self, online: u64) -> bool {
        std::mem::replace(&mut self.online, online) != online
    }

    /// What is unread.
    pub(super) fn badge(&self) -> &Badge {
        &self.badge
    }

    pub(super) fn active_at_ms(&self) -> i64 {
        self.active_at_ms
    }

    /// The last event heard of.
    pub(super) fn head(&self) -> ReadPosition {
        self.badge.head()
    }

    /// Takes when the room was active last, in any order; `true` if that was news.
    pub(super) fn note_active(&mut self, at_ms: i64) -> bool {
        let is_later = at_ms > self.active_at_ms;
        self.active_at_ms = self.active_at_ms.max(at_ms);
        is_later
    }

    /// Takes an event of the room, in any order; `true` if the user's list shows something else now.
    pub(super) fn note_event(
        &mut self,
        user: &UserId,
        stored: &StoredEvent,
        event: Option<&Event>,
    ) -> bool {
        let at = ReadPosition::at(stored.seq, stored.count);
        let mut changed = self.badge.note_head(at);
        if stored.shows_activity() {
            changed |= self.note_active(stored.at_ms);
        }
        let Some(event) = event else {
            return changed;
        };
        if readers_by(event).any(|reader| reader == user) {
            changed |= self.badge.note_position(at);
        }
        if named_by(event).any(|named| named == user) {
            changed |= self.badge.note_mention(stored.seq);
        }
        changed | self.note_last(stored, event)
    }

    fn note_last(&mut self, stored: &StoredEvent, event: &Event) -> bool {
        let last = self.last.as_mut();
        match &event.body {
            Body::Edit { target, text } => match last.filter(|last| last.seq == *target) {
                Some(last) if last.body["deleted"] != true => {
                    last.body["text"] = cut(text).into();
                    true
                }
                _ => false,
            },
            Body::Delete { target } => match last.filter(|last| last.seq == *target) {
                Some(last) => {
                    last.delete();
                    true
                }
                None => false,
            },
            Body::Member(member) if member.change == MemberChange::Profile => {
                last.is_some_and(|last| last.show_sender(event))
            }
            body if body.kind().counts() && last.is_none_or(|last| last.seq < stored.seq) => {
                self.last = Some(Preview::of(stored));
                true
            }
            _ => false,
        }
    }

    pub(super) fn item(&self, key: &RoomKey) -> Item {
        Item {
            key: key.clone(),
            meta: self.meta.clone(),
            member: self.member,
            with: self.with.clone(),
            head: self.badge.head(),
            unread: self.badge.unread(),
            mentions: self.badge.mentions(),
            online: self.online,
            last: self.last.as_ref().map(|last| last.body.clone()),
            active_at_ms: self.active_at_ms,
        }
    }

    /// What is to be told; `None` where subscribers know it.
    pub(super) fn change(&mut self, key: &RoomKey) -> Option<Value> {
        let item = self.item(key);
        let change = match &self.told {
            Some(told) if *told == item => return None,
            Some(told) => item.since(told),
            None => {
                let mut whole = item.json();
                whole["type"] = "change".into();
                whole
            }
        };
        self.told = Some(item);
        Some(change)
    }

    /// Notes that a snapshot tells it all, where nobody was told of it before.
    pub(super) fn told(&mut self, key: &RoomKey) {
        if self.told.is_none() {
            self.told = Some(self.item(key));
        }
    }
}

// === impl Preview ===

impl Preview {
    fn of(stored: &StoredEvent) -> Self {
        let decoded = Decoded::new(stored.clone());
        let mut body: Value = serde_json::from_str(&decoded.body(false)).unwrap_or(Value::Null);
        if let Some(text) = body["text"].as_str().map(|text| cut(text).to_owned()) {
            body["text"] = text.into();
        }
        if let Some(fields) = body.as_object_mut() {
            // A preview is a line; the room's history has the rest.
            for rest in ["meta", "headers"] {
                fields.remove(rest);
            }
        }
        Self {
            seq: stored.seq,
            body,
        }
    }

    /// Shows the sender as they are shown now; `true` if they are another, or were shown in another way.
    fn show_sender(&mut self, event: &Event) -> bool {
        let sender = &event.sender;
        let shown = json!({
            "id": sender.id.as_str(),
            "name": sender.name,
            "avatar": sender.avatar,
        });
        let is_theirs = self.body["sender"]["id"] == sender.id.as_str();
        let changes = is_theirs && self.body["sender"] != shown;
        if changes {
            self.body["sender"] = shown;
        }
        changes
    }

    fn delete(&mut self) {
        if let Some(fields) = self.body.as_object_mut() {
            for content in ["text", "attachments", "mentions", "reply_to"] {
                fields.remove(content);
            }
            fields.insert("deleted".to_owned(), true.into());
        }
    }
}

fn cut(text: &str) -> &str {
    let end = text
        .char_indices()
        .map(|(at, character)| at + character.len_utf8())
        .take_while(|end| *end <= PREVIEW_TEXT_BYTES)
        .last();
    &text[..end.unwrap_or(0)]
}

// === impl Item ===

impl Item {
    /// As snapshots show it.
    pub(super) fn json(&self) -> Value {
        let mut json = json!({
            "room": self.key.as_str(),
            "name": self.meta.name,
            "kind": self.meta.kind.as_str(),
            "head": self.head.seq.0,
            "count": self.head.count.0,
            "unread": self.unread,
            "mentions": self.mentions,
            "online": self.online,
            "active_at": self.active_at_ms,
            "last": self.last,
        });
        if let Some(with) = &self.with {
            json["with"] = with.as_str().into();
        }
        json
    }

    /// The fields that are not as they were told.
    fn since(&self, told: &Self) -> Value {
        let (now, before) = (self.json(), told.json());
        let mut change = json!({ "type": "change", "room": self.key.as_str() });
        for (name, value) in now.as_object().into_iter().flatten() {
            if before[name] != *value {
                change[name] = value.clone();
            }
        }
        change
    }
}
