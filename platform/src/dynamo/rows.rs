//! The rows, as the domain sees them, and the one place where they become attributes and back.

use aws_sdk_dynamodb::types::AttributeValue;
use roomlog_core::{
    account::folded,
    event::{Kind, Role, RoomKind},
    ids::{Count, RoomId, RoomKey, Seq, UserId},
    push::Notify,
    room_log::{Head, Position},
    room_state::{MemberState, Membership, RoomMeta},
};

use super::{
    StoreError,
    item::{Fields, Item, bytes, flag, name, number, numbers, text},
    tables,
};
use crate::stored_event::StoredEvent;

/// Over how many partition keys a room's events are spread. Grows only: a reader asks all of them for a range of
/// seqs, so events stored under fewer are found as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyShards(u32);

/// One event of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// The event.
    pub event: StoredEvent,
    /// The room's state did not allow it, and it changed nothing.
    pub void: bool,
}

/// One room or inbox, as far as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRow {
    /// Which.
    pub key: RoomKey,
    /// Its last stored event; every event up to it is stored.
    pub head: Head,
    /// The partition its log is in.
    pub partition: u32,
    /// How its events are spread.
    pub shards: KeyShards,
    /// When its last message or notice was appended, or else its first event; milliseconds since 1970. 0 where rows
    /// are older than this attribute.
    pub active_at_ms: i64,
    /// Its settings; `None` for an inbox, and for a log that nobody created a room for.
    pub meta: Option<RoomMeta>,
}

/// One user's row in one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub user: UserId,
    /// Their standing; `None` for one who never had any and yet has a read position.
    pub membership: Option<Membership>,
    /// Up to where they have read.
    pub read_seq: Seq,
    /// The count there.
    pub read_count: Count,
    /// Of which messages they want to hear while they are away.
    pub notify: Notify,
}

/// One room of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomsOfRow {
    /// The room.
    pub room: RoomId,
    /// The user's standing in it.
    pub membership: Membership,
}

/// One room anyone may find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicRoom {
    /// The room.
    pub room: RoomId,
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: RoomKind,
}

/// How far one partition is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRow {
    /// The first record that may not be stored.
    pub position: Position,
    /// How many records before it were accepted.
    pub accepted: u64,
}

/// What was fixed when a topic was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRow {
    /// The topic's name.
    pub topic: String,
    /// How many partitions it has.
    pub partition_count: u32,
    /// Its duplicate window.
    pub window_offsets: i64,
    /// Its generation, raised by an operator when it is recreated or succeeded.
    pub generation: u32,
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Who.
    pub id: UserId,
    /// Display name.
    pub name: String,
    /// Where a picture is.
    pub avatar: Option<String>,
    /// Whether they signed in by a name alone.
    pub guest: bool,
    /// When first seen, in milliseconds since the Unix epoch.
    pub created_at_ms: i64,
    /// The language they asked for, as a BCP 47 tag.
    pub locale: Option<String>,
    /// Sign-ins begun under an earlier number are over: it is raised to sign somebody out everywhere.
    pub sessions_version: u64,
}

// === impl KeyShards ===

impl KeyShards {
    /// All events of a room under one key, as every room begins.
    pub const ONE: Self = Self(1);

    /// This many keys, at least one.
    pub fn new(shards: u32) -> Self {
        Self(shards.max(1))
    }

    /// The partition key of an event.
    pub(super) fn key_of(self, room: &RoomKey, seq: Seq) -> String {
        format!("{room}/{}", seq.0 % u64::from(self.0))
    }

    /// Every partition key a room's events can be under.
    pub(super) fn keys(self, room: &RoomKey) -> impl Iterator<Item = String> {
        (0..self.0).map(move |shard| format!("{room}/{shard}"))
    }
}

// === impl EventRow ===

impl EventRow {
    /// An event that stands.
    pub fn standing(event: StoredEvent) -> Self {
        Self { event, void: false }
    }

    pub(super) fn to_item(&self, shards: KeyShards) -> Item {
        let event = &self.event;
        let mut item = Item::from_iter([
            named(
                name::ROOM_SHARD,
                text(&shards.key_of(&event.key, event.seq)),
            ),
            named(name::SEQ, number(event.seq)),
            named(name::COUNT, number(event.count)),
            named(name::AT, number(event.at_ms)),
            named(name::PARTITION, number(event.partition)),
            named(name::OFFSET, number(event.offset)),
            named(name::ID, text(&event.id)),
            named(name::SENDER, text(&event.sender)),
            named(name::TYPE, text(event.kind.as_str())),
            named(name::VALUE, bytes(&event.value)),
        ]);
        if let Some(traceparent) = &event.traceparent {
            item.extend([named(name::TRACEPARENT, text(traceparent))]);
        }
        if self.void {
            item.extend([named(name::VOID, flag(true))]);
        }
        item
    }

    pub(super) fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::EVENTS, item);
        let key = row.parsed(name::ROOM_SHARD, |key| {
            let (room, _) = key.rsplit_once('/')?;
            RoomKey::parse(room).ok()
        })?;
        let event = StoredEvent {
            key,
            seq: Seq(row.the_number(name::SEQ)?),
            count: Count(row.the_number(name::COUNT)?),
            at_ms: row.the_number(name::AT)?,
            partition: row.the_number(name::PARTITION)?,
            offset: row.the_number(name::OFFSET)?,
            id: row.text(name::ID)?.unwrap_or_default(),
            sender: row.text(name::SENDER)?.unwrap_or_default(),
            kind: row.parsed(name::TYPE, Kind::parse)?,
            traceparent: row.text(name::TRACEPARENT)?,
            value: row.the_bytes(name::VALUE)?,
        };
        let void = row.flag(name::VOID)?;
        Ok(Self { event, void })
    }
}

// === impl RoomRow ===

impl RoomRow {
    pub(super) fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::ROOMS, item);
        Ok(Self {
            key: room_key(&mut row)?,
            head: Head {
                seq: Seq(row.the_number(name::HEAD)?),
                count: Count(row.the_number(name::COUNT)?),
                position: position(&mut row)?,
            },
            partition: row.the_number(name::PARTITION)?,
            shards: KeyShards::new(row.number(name::SHARDS)?.unwrap_or(1)),
            active_at_ms: row.number(name::ACTIVE_AT)?.unwrap_or_default(),
            meta: meta_from(&mut row)?,
        })
    }
}

/// A room's settings, as attributes.
pub(super) fn meta_attributes(meta: &RoomMeta) -> Vec<(&'static str, AttributeValue)> {
    vec![
        (name::KIND, text(meta.kind.as_str())),
        (name::NAME, text(&meta.name)),
        (name::PUBLIC, flag(meta.public)),
        (name::SLOW_MODE_S, number(meta.slow_mode_s)),
        (name::READ_ONLY, flag(meta.read_only)),
        (name::DELETED, flag(meta.deleted)),
        (name::PINNED, numbers(&meta.pinned)),
        (name::CREATED_BY, text(meta.created_by.as_str())),
        (name::MEMBERS, number(meta.members)),
        (name::OWNERS, number(meta.owners)),
        (name::CHANGED, number(meta.changed_seq)),
    ]
}

/// The settings in a row; a row without a kind has none.
fn meta_from(row: &mut Fields) -> Result<Option<RoomMeta>, StoreError> {
    let Some(changed) = row.number(name::CHANGED)? else {
        return Ok(None);
    };
    Ok(Some(RoomMeta {
        kind: row.parsed(name::KIND, RoomKind::parse)?,
        name: row.text(name::NAME)?.unwrap_or_default(),
        public: row.flag(name::PUBLIC)?,
        slow_mode_s: row.the_number(name::SLOW_MODE_S)?,
        read_only: row.flag(name::READ_ONLY)?,
        deleted: row.flag(name::DELETED)?,
        pinned: row.numbers(name::PINNED)?.into_iter().map(Seq).collect(),
        created_by: row.parsed(name::CREATED_BY, |id| UserId::parse(id).ok())?,
        members: row.the_number(name::MEMBERS)?,
        owners: row.the_number(name::OWNERS)?,
        changed_seq: Seq(changed),
    }))
}

// === impl MemberRow, RoomsOfRow ===

impl MemberRow {
    pub(super) fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::MEMBERS, item);
        Ok(Self {
            user: row.parsed(name::USER, |id| UserId::parse(id).ok())?,
            membership: membership_from(&mut row)?,
            read_seq: Seq(row.number(name::READ_SEQ)?.unwrap_or(0)),
            read_count: Count(row.number(name::READ_COUNT)?.unwrap_or(0)),
            notify: row
                .text(name::NOTIFY)?
                .and_then(|notify| Notify::parse(&notify))
                .unwrap_or_default(),
        })
    }
}

impl RoomsOfRow {
    pub(super) fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::ROOMS_OF, item);
        let room = row.parsed(name::ROOM, |id| RoomId::parse(id).ok())?;
        let membership = membership_from(&mut row)?;
        let membership = row.required(name::STATE, membership)?;
        Ok(Self { room, membership })
    }
}

/// A standing, as attributes.
pub(super) fn membership_attributes(
    membership: &Membership,
) -> [(&'static str, AttributeValue); 4] {
    [
        (name::STATE, text(membership.state.as_str())),
        (name::ROLE, text(membership.role.as_str())),
        (name::MUTED, flag(membership.muted)),
        (name::CHANGED, number(membership.changed_seq)),
    ]
}

fn membership_from(row: &mut Fields) -> Result<Option<Membership>, StoreError> {
    let Some(changed) = row.number(name::CHANGED)? else {
        return Ok(None);
    };
    Ok(Some(Membership {
        state: row.parsed(name::STATE, MemberState::parse)?,
        role: row.parsed(name::ROLE, Role::parse)?,
        muted: row.flag(name::MUTED)?,
        changed_seq: Seq(changed),
    }))
}

// === impl PublicRoom ===

impl PublicRoom {
    pub(super) fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::ROOMS, item);
        Ok(Self {
            room: row.parsed(name::ROOM, |id| RoomId::parse(id).ok())?,
            name: row.text(name::NAME)?.unwrap_or_default(),
            kind: row.parsed(name::KIND, RoomKind::parse)?,
        })
    }
}

// === impl PartitionRow, TopicRow ===

impl PartitionRow {
    pub(super) fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::PARTITIONS, item);
        Ok(Self {
            position: position(&mut row)?,
            accepted: row.the_number(name::ACCEPTED)?,
        })
    }
}

impl TopicRow {
    pub(super) fn from_item(topic: &str, item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::PARTITIONS, item);
        Ok(Self {
            topic: topic.to_owned(),
            partition_count: row.the_number(name::PARTITION_COUNT)?,
            window_offsets: row.the_number(name::WINDOW_OFFSETS)?,
            generation: row.the_number(name::GENERATION)?,
        })
    }
}

// === impl UserRow ===

impl UserRow {
    /// A user seen for the first time.
    pub fn new(id: UserId, name: String, created_at_ms: i64) -> Self {
        Self {
            id,
            name,
            avatar: None,
            guest: false,
            created_at_ms,
            locale: None,
            sessions_version: 0,
        }
    }

    pub(super) fn to_item(&self) -> Item {
        let mut item = Item::from_iter([
            named(name::USER, text(self.id.as_str())),
            named(name::NAME, text(&self.name)),
            named(name::GUEST, flag(self.guest)),
            named(name::CREATED_AT, number(self.created_at_ms)),
        ]);
        item.extend(name_keys(&self.name));
        if let Some(avatar) = &self.avatar {
            item.extend([named(name::AVATAR, text(avatar))]);
        }
        if let Some(locale) = &self.locale {
            item.extend([named(name::LOCALE, text(locale))]);
        }
        item
    }

    pub(super) fn from_item(item: Item) -> Result<Self, StoreError> {
        let mut row = Fields::of(tables::USERS, item);
        Ok(Self {
            id: row.parsed(name::USER, |id| UserId::parse(id).ok())?,
            name: row.text(name::NAME)?.unwrap_or_default(),
            avatar: row.text(name::AVATAR)?,
            guest: row.flag(name::GUEST)?,
            created_at_ms: row.the_number(name::CREATED_AT)?,
            locale: row.text(name::LOCALE)?,
            sessions_version: row.number(name::SESSIONS_VERSION)?.unwrap_or(0),
        })
    }
}

// === shared by rows ===

/// What a user is found by: the first letter of their name, and all of it. A name has a first letter, but an index
/// takes no empty key, so that one without is not in it.
pub(super) fn name_keys(shown: &str) -> Vec<(String, AttributeValue)> {
    let folded = folded(shown);
    let initial: String = folded.chars().take(1).collect();
    match initial.is_empty() {
        true => Vec::new(),
        false => vec![
            named(name::INITIAL, text(&initial)),
            named(name::FOLDED, text(&folded)),
        ],
    }
}

/// An attribute with its name, as an item holds it.
pub(super) fn named(name: &str, value: AttributeValue) -> (String, AttributeValue) {
    (name.to_owned(), value)
}

fn room_key(row: &mut Fields) -> Result<RoomKey, StoreError> {
    row.parsed(name::ROOM, |key| RoomKey::parse(key).ok())
}

fn position(row: &mut Fields) -> Result<Position, StoreError> {
    Ok(Position {
        generation: row.the_number(name::GENERATION)?,
        offset: row.the_number(name::OFFSET)?,
    })
}
