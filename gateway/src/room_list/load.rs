//! Reads what a list is made of: rows, and the events that are not stored yet.

use std::{collections::HashMap, time::Duration};

use roomlog_core::{
    ids::{RoomKey, Seq, UserId},
    room_state::{Membership, RoomMeta},
    unread::ReadPosition,
};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::{Consistency, MemberRow, Mention, RoomRow, StoreError},
    stored_event::StoredEvent,
};
use tokio::time::Instant;

use crate::hub::{Caller, Hub, Purpose, Source, page};

/// The waits between two attempts.
const RETRY_FLOOR: Duration = Duration::from_millis(50);
const RETRY_CEILING: Duration = Duration::from_secs(2);
/// How long a room is looked at until its state has come as far as the event that made it interesting.
const LOOK_WAIT: Duration = Duration::from_secs(10);
/// How long events that are missing everywhere are looked for. Then the list is read again.
const FILL_WAIT: Duration = Duration::from_secs(10);
/// Events at the end of a room in which its last message is looked for at first, and at most.
const PREVIEW_EVENTS: u64 = 20;
const PREVIEW_EVENTS_MAX: u64 = 400;
/// Events that may lie between a stored head and the log's. Beyond it the persister is so far behind that a list shows
/// what is stored and follows from there.
const FILL_EVENTS_MAX: u64 = 10_000;

/// Mentions that are read and dropped by one reading of a list; the next one drops more.
const DROPS_MAX: usize = 500;

/// A room as the store has it, for one user.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: RoomKey,
    pub(super) meta: RoomMeta,
    pub(super) member: Membership,
    /// The last event stored; the numbers below hold all up to it.
    pub(super) stored: ReadPosition,
    pub(super) position: ReadPosition,
    /// When it was active last, by the store.
    pub(super) active_at_ms: i64,
    /// Members who are online, where an owner said so.
    pub(super) online: Option<u64>,
    /// Messages past the position that name the user.
    pub(super) mentions: Vec<Seq>,
}

/// All of a user's list as the store has it.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) rooms: Vec<Row>,
    /// How far the inbox goes, and how far it is read.
    pub(super) inbox: (ReadPosition, ReadPosition),
}

/// What looking at one room came to.
#[derive(Debug)]
pub(super) enum Looked {
    /// The user is a member, as of this event.
    In(Box<Row>, Seq),
    /// They are not.
    Out(Seq),
    /// It could not be found out.
    Unknown,
}

/// A user's rooms and inbox as the store has them, read until it answers.
pub(super) async fn rows(source: &Source, user: &UserId) -> Rows {
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        match rows_once(source, user).await {
            Ok(rows) => return rows,
            Err(error) => tracing::warn!(%error, "a user's rooms can't be read"),
        }
        backoff.wait().await;
    }
}

async fn rows_once(source: &Source, user: &UserId) -> Result<Rows, StoreError> {
    let rooms_of = source.store.rooms_of(user).await?;
    let joined = rooms_of.into_iter().filter(|row| row.membership.is_in());
    let memberships: HashMap<RoomKey, Membership> = joined
        .map(|row| (RoomKey::from(row.room), row.membership))
        .collect();
    let keys: Vec<RoomKey> = memberships.keys().cloned().collect();
    let inbox = RoomKey::inbox(user);
    let logs: Vec<RoomKey> = keys.iter().chain([&inbox]).cloned().collect();
    let pairs: Vec<_> = logs.iter().map(|key| (key.clone(), user.clone())).collect();
    // Rooms first: what a member's row holds is then at least as new as the head beside it.
    let rooms = source.store.rooms(&logs).await?;
    let members = source.store.members_among(&pairs).await?;
    let positions: HashMap<RoomKey, ReadPosition> = members
        .into_iter()
        .map(|(key, row)| (key, position(&row)))
        .collect();
    let (mentions, online) = tokio::join!(
        mentions(source, user, &positions),
        source.presence.online_totals(&keys)
    );
    let mut mentions = mentions?;
    let letters = rooms.iter().find(|room| room.key == inbox).map(head);
    let inbox = (
        letters.unwrap_or_default(),
        positions.get(&inbox).copied().unwrap_or_default(),
    );
    let rows = rooms.into_iter().filter_map(|room| {
        Some(Row {
            online: online.get(&room.key).copied(),
            mentions: mentions.remove(&room.key).unwrap_or_default(),
            stored: head(&room),
            meta: room.meta.filter(|meta| !meta.deleted)?,
            member: *memberships.get(&room.key)?,
            position: positions.get(&room.key).copied().unwrap_or_default(),
            active_at_ms: room.active_at_ms,
            key: room.key,
        })
    });
    Ok(Rows {
        rooms: rows.collect(),
        inbox,
    })
}

/// What names the user, room by room; what of it is read is dropped, now or next time.
async fn mentions(
    source: &Source,
    user: &UserId,
    positions: &HashMap<RoomKey, ReadPosition>,
) -> Result<HashMap<RoomKey, Vec<Seq>>, StoreError> {
    let (mut unread, mut read) = (HashMap::<_, Vec<Seq>>::new(), Vec::new());
    for mention in source.store.mentions_of(user).await? {
        match positions.get(&mention.key) {
            Some(position) if mention.seq <= position.seq => read.push(mention),
            Some(_) => unread.entry(mention.key).or_default().push(mention.seq),
            // Of a room that is not joined, or whose row is not stored yet.
            None => {}
        }
    }
    drop_some(source, read);
    Ok(unread)
}

fn drop_some(source: &Source, mut read: Vec<Mention>) {
    read.truncate(DROPS_MAX);
    if read.is_empty() {
        return;
    }
    let store = source.store.clone();
    tokio::spawn(async move {
        if let Err(error) = store.drop_mentions(&read).await {
            tracing::debug!(%error, "mentions that are read stay for now");
        }
    });
}

fn position(row: &MemberRow) -> ReadPosition {
    ReadPosition::at(row.read_seq, row.read_count)
}

/// A room as it stands for a user, at the earliest after an event.
pub(super) async fn look(
    source: &Source,
    hub: &Hub,
    caller: &Caller,
    key: &RoomKey,
    after: Seq,
) -> Looked {
    let deadline = Instant::now() + LOOK_WAIT;
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    while Instant::now() < deadline {
        match hub.enter(key, caller, Purpose::FIND, None).await {
            Ok(entered) if entered.head >= after => {
                let member = entered.member.filter(Membership::is_in);
                let (Some(meta), Some(member)) = (entered.room, member) else {
                    return Looked::Out(entered.head);
                };
                return match row(source, key, &caller.user).await {
                    Ok(stored) => Looked::In(
                        Box::new(Row {
                            online: None,
                            mentions: stored.mentions,
                            key: key.clone(),
                            meta,
                            member,
                            stored: stored.head,
                            position: stored.position,
                            active_at_ms: stored.active_at_ms,
                        }),
                        entered.head,
                    ),
                    Err(error) => {
                        tracing::warn!(%error, "a room on a list can't be read");
                        Looked::Unknown
                    }
                };
            }
            Ok(_) => {}
            Err(refusal) if refusal.retry_after_ms.is_none() => return Looked::Out(after),
            Err(_) => {}
        }
        backoff.wait().await;
    }
    Looked::Unknown
}

/// What the store has of a room for a user.
#[derive(Default)]
struct Stored {
    head: ReadPosition,
    active_at_ms: i64,
    position: ReadPosition,
    mentions: Vec<Seq>,
}

fn head(row: &RoomRow) -> ReadPosition {
    ReadPosition::at(row.head.seq, row.head.count)
}

async fn row(source: &Source, key: &RoomKey, user: &UserId) -> Result<Stored, StoreError> {
    let Some(room) = key.room() else {
        return Ok(Default::default());
    };
    let stored = source.store.room(key, Consistency::Strong).await?;
    let member = source
        .store
        .member(&room, user, Consistency::Strong)
        .await?;
    let mentions = source.store.mentions_in(key, user).await?.into_iter();
    Ok(Stored {
        head: stored.as_ref().map(head).unwrap_or_default(),
        active_at_ms: stored.map(|row| row.active_at_ms).unwrap_or_default(),
        position: member.map(|row| position(&row)).unwrap_or_default(),
        mentions: mentions.map(|mention| mention.seq).collect(),
    })
}

/// The events a list has yet to count in, after `stored` and up to `head`, and before them as many as it takes to
/// show the last message, where that is wanted. `None` where they can't be had.
pub(super) async fn fill(
    source: &Source,
    key: &RoomKey,
    stored: Seq,
    head: Seq,
    with_last: bool,
) -> Option<Vec<StoredEvent>> {
    let first = head.0.saturating_sub(FILL_EVENTS_MAX).max(stored.0) + 1;
    let from = match with_last {
        true => first.min(head.0.saturating_sub(PREVIEW_EVENTS - 1)).max(1),
        false => first,
    };
    let mut events = between(source, key, Seq(from), head).await?;
    let mut begins = from;
    while with_last
        && begins > 1
        && head.0 - begins < PREVIEW_EVENTS_MAX
        && !events.iter().any(|event| event.kind.counts())
    {
        let earlier = begins.saturating_sub(100).max(1);
        let mut older = between(source, key, Seq(earlier), Seq(begins - 1)).await?;
        older.append(&mut events);
        events = older;
        begins = earlier;
    }
    Some(events)
}

async fn between(source: &Source, key: &RoomKey, from: Seq, to: Seq) -> Option<Vec<StoredEvent>> {
    let deadline = Instant::now() + FILL_WAIT;
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    let (mut events, mut next) = (Vec::new(), from);
    while next <= to {
        match page(source, key, next, to).await {
            Some(page) => {
                next = page.last().map_or(next, |event| event.seq.next());
                events.extend(page);
            }
            None if Instant::now() >= deadline => return None,
            None => backoff.wait().await,
        }
    }
    Some(events)
}
