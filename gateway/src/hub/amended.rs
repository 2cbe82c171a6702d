//! What became of messages: stored changes joined with those that are not stored yet.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use roomlog_core::{
    amendment::{Amendment, Amendments},
    event::{Body, Kind},
    ids::{RoomKey, Seq},
};
use roomlog_platform::stored_event::StoredEvent;
use tokio::time::timeout;

use super::{
    backfill::{self, Source},
    shown::Decoded,
};

/// Events after a message that are read from memory rather than asking the store what they changed: three answers of
/// a fanout.
const MEMORY_EVENTS_MAX: u64 = 300;
/// The same where the store does not answer, and what memory lacks is read from the log: twice what a fanout keeps.
/// Beyond it, it can't be told what became of a message before the store answers again.
const DESPERATE_EVENTS_MAX: u64 = 2_000;
/// How far the store may be behind for its rows to be brought up to date here. Beyond it they are not used.
const BEHIND_EVENTS_MAX: u64 = 10_000;
/// How long the store may take.
const STORE_WAIT: Duration = Duration::from_secs(2);
/// Stretches of messages asked for at once.
const STRETCHES_AT_ONCE: usize = 8;
/// Events looked through for an id that may have been used before.
const RETRY_EVENTS_MAX: u64 = 300;

/// What is asked about messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Edits and deletions.
    Patches,
    /// Reactions too.
    Everything,
}

/// Messages somebody wants to know the state of.
#[derive(Clone, Debug)]
pub(crate) struct Targets {
    /// Ascending, none of them empty.
    stretches: Vec<RangeInclusive<Seq>>,
    /// Every event from the first message up to here is known already.
    known: Seq,
}

// === impl Targets ===

impl Targets {
    /// One message.
    pub(crate) fn one(message: Seq) -> Self {
        Self {
            stretches: vec![message..=message],
            known: message,
        }
    }

    /// These messages, wherever they are.
    pub(crate) fn each(messages: &BTreeSet<Seq>) -> Self {
        Self {
            stretches: messages.iter().map(|message| *message..=*message).collect(),
            known: messages.first().copied().unwrap_or_default(),
        }
    }

    /// The messages among these events, and those whose edits are among them; `None` where there are none. What the
    /// events themselves change is noted in `amendments`.
    ///
    /// `known` says up to where the caller has noted every event that follows the first of these.
    pub(crate) fn among(events: &[Decoded], known: Seq) -> Option<Self> {
        let mut messages = events
            .iter()
            .filter(|decoded| decoded.stored.kind.is_amendable())
            .map(|decoded| decoded.stored.seq);
        let (first, last) = (messages.next(), messages.next_back());
        let main = first.map(|first| first..=last.unwrap_or(first));
        let edited: BTreeSet<Seq> = events
            .iter()
            .filter_map(|decoded| match decoded.event.as_ref()?.body {
                Body::Edit { target, .. } => Some(target),
                _ => None,
            })
            .filter(|target| main.as_ref().is_none_or(|main| !main.contains(target)))
            .collect();
        let mut stretches: Vec<_> = edited.iter().map(|target| *target..=*target).collect();
        stretches.extend(main);
        let (first_event, first) = (events.first()?, stretches.first()?.start());
        let is_covered = first_event.stored.seq <= *first;
        let known = if is_covered { known } else { *first };
        Some(Self { stretches, known })
    }

    fn first(&self) -> Option<Seq> {
        self.stretches.iter().map(|stretch| *stretch.start()).min()
    }
}

/// Adds what events up to `head` made of these messages; `None` where that can't be told now.
pub(crate) async fn amend(
    source: &Source,
    key: &RoomKey,
    targets: &Targets,
    head: Seq,
    scope: Scope,
    amendments: &mut Amendments,
) -> Option<()> {
    let first = targets.first()?;
    let from = targets.known.max(first).next();
    let distance = head.next().0.saturating_sub(from.0);
    if distance <= MEMORY_EVENTS_MAX
        && let Some(found) = remembered(source, key, from, head).await
    {
        amendments.extend(found);
        return Some(());
    }
    let stored = timeout(STORE_WAIT, stored(source, key, targets, head, scope)).await;
    let found = match stored.ok().flatten() {
        Some(found) => found,
        None if distance <= DESPERATE_EVENTS_MAX => logged(source, key, from, head).await?,
        None => return None,
    };
    amendments.extend(found);
    Some(())
}

/// The changes a stored event makes.
pub(crate) fn amendment_of(stored: &StoredEvent) -> Option<Amendment> {
    if !stored.kind.amends() {
        return None;
    }
    let event = stored.event().ok()?;
    Amendment::of(&event, stored.seq, stored.at_ms)
}

/// Whether every message up to `head` that shows a file is deleted, and there is one; `None` where that can't be told
/// now.
pub(crate) async fn is_taken_back(
    source: &Source,
    key: &RoomKey,
    file: &str,
    head: Seq,
) -> Option<bool> {
    let (messages, head) = showing(source, key, file, head).await?;
    if messages.is_empty() {
        return Some(false);
    }
    let mut known = Amendments::default();
    let targets = Targets::each(&messages);
    amend(source, key, &targets, head, Scope::Patches, &mut known).await?;
    let is_deleted = |message: &Seq| known.deletion(*message).is_some();
    Some(messages.iter().all(is_deleted))
}

/// The messages that show a file, those the store knows and those it does not hold yet, and up to where that is: the
/// store may know more than was asked for.
async fn showing(
    source: &Source,
    key: &RoomKey,
    file: &str,
    head: Seq,
) -> Option<(BTreeSet<Seq>, Seq)> {
    // Before the file's row, which holds at least the messages up to the room's own row.
    let room = source.stored_room(key).await?;
    let stored = room.map_or(Seq::ZERO, |room| room.head.seq);
    let (mut next, head) = (stored.next(), head.max(stored));
    if head.0.saturating_sub(next.0) > BEHIND_EVENTS_MAX {
        return None;
    }
    let rows = source.store.files(&[file]).await;
    let rows = rows
        .inspect_err(|error| tracing::warn!(%error, "a file's row can't be read"))
        .ok()?;
    let mut messages: BTreeSet<Seq> = rows.into_iter().flat_map(|row| row.messages).collect();
    while next <= head {
        let events = backfill::page(source, key, next, head).await?;
        next = events.last()?.seq.next();
        let showing = events.iter().filter(|event| shows(event, file));
        messages.extend(showing.map(|event| event.seq));
    }
    Some((messages, head))
}

fn shows(stored: &StoredEvent, file: &str) -> bool {
    let event = (stored.kind == Kind::Message).then(|| stored.event().ok());
    match event.flatten().map(|event| event.body) {
        Some(Body::Message(message)) => message.attachments.iter().any(|shown| shown.id == file),
        _ => false,
    }
}

/// The place of a recent event, by sender and id, as far as memory reaches.
pub(crate) async fn find_recent(
    source: &Source,
    key: &RoomKey,
    head: Seq,
    (sender, id): (&str, &str),
) -> Option<Seq> {
    let mut next = Seq(head.0.saturating_sub(RETRY_EVENTS_MAX - 1).max(1));
    while next <= head {
        let events = backfill::remembered_page(source, key, next, head).await?;
        let found = events
            .iter()
            .find(|event| event.sender == sender && event.id == id);
        if let Some(event) = found {
            return Some(event.seq);
        }
        next = events.last()?.seq.next();
    }
    None
}

/// The changes that events of a range make, if memory has all of them.
async fn remembered(source: &Source, key: &RoomKey, from: Seq, to: Seq) -> Option<Vec<Amendment>> {
    let (mut found, mut next) = (Vec::new(), from);
    while next <= to {
        let events = backfill::remembered_page(source, key, next, to).await?;
        next = events.last()?.seq.next();
        found.extend(events.iter().filter_map(amendment_of));
    }
    Some(found)
}

/// The same where the log fills in for what memory lacks.
async fn logged(source: &Source, key: &RoomKey, from: Seq, to: Seq) -> Option<Vec<Amendment>> {
    let (mut found, mut next) = (Vec::new(), from);
    while next <= to {
        let events = backfill::page_without_store(source, key, next, to).await?;
        next = events.last()?.seq.next();
        found.extend(events.iter().filter_map(amendment_of));
    }
    Some(found)
}

/// The changes the store holds, and those of the events it does not hold yet.
async fn stored(
    source: &Source,
    key: &RoomKey,
    targets: &Targets,
    head: Seq,
    scope: Scope,
) -> Option<Vec<Amendment>> {
    // Before the changes: they hold at least everything up to the room's own row.
    let row = source.stored_room(key).await?;
    let stored = row.map_or(Seq::ZERO, |row| row.head.seq);
    let mut next = stored.max(targets.first()?).next();
    if head.0.saturating_sub(next.0) > BEHIND_EVENTS_MAX {
        return None;
    }
    let stretches = stream::iter(targets.stretches.clone())
        .map(|stretch| stretch_of(source, key, stretch, scope))
        .buffered(STRETCHES_AT_ONCE)
        .try_concat();
    let mut found = stretches
        .await
        .inspect_err(|error| tracing::warn!(%error, "changes of messages can't be read"))
        .ok()?;
    while next <= head {
        let events = backfill::page(source, key, next, head).await?;
        next = events.last()?.seq.next();
        found.extend(events.iter().filter_map(amendment_of));
    }
    Some(found)
}

async fn stretch_of(
    source: &Source,
    key: &RoomKey,
    stretch: RangeInclusive<Seq>,
    scope: Scope,
) -> Result<Vec<Amendment>, roomlog_platform::dynamo::StoreError> {
    let patches = source.store.patches(key, stretch.clone());
    if scope == Scope::Patches {
        return patches.await;
    }
    let reactions = source.store.reactions(key, stretch);
    let (mut patches, reactions) = tokio::try_join!(patches, reactions)?;
    patches.extend(reactions);
    Ok(patches)
}

/// Notes what events change, and hides those among them that show deleted content; `None` where it can't be told
/// which these are. Deletions up to `head` count.
pub(super) async fn hide_deleted(
    source: &Source,
    key: &RoomKey,
    events: &mut [Decoded],
    head: Seq,
) -> Option<()> {
    let known = events.last().map_or(Seq::ZERO, |last| last.stored.seq);
    let mut amendments = Amendments::default();
    amendments.extend(events.iter().filter_map(Decoded::amendment));
    if let Some(targets) = Targets::among(events, known) {
        amend(source, key, &targets, head, Scope::Patches, &mut amendments).await?;
    }
    for decoded in events {
        decoded.hide_if_deleted(&amendments);
    }
    Some(())
}
