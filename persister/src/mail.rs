//! Letters that events of rooms send to inboxes: produced before the rows that hide those events move, so that whoever
//! does this again sends them again, under the same ids.

use std::{collections::HashSet, time::Duration};

use futures_util::future::join_all;
use roomlog_core::{
    event::{Body, Event, Sender},
    ids::{RoomKey, Seq, UserId},
    inbox::{About, Letter, cause, letters},
    partition::partition_of,
};
use roomlog_platform::{
    backoff::Backoff,
    dynamo::StoreError,
    kafka::{Outgoing, ProduceError},
};
use roomlog_schemas::{encode_event, headers};

use crate::{
    metrics::{self, Lasting},
    moves::Moves,
    owner::Resources,
};

/// Members up to whom a room's notice comes into inboxes too. In larger rooms it is in the room alone: a notice is not
/// worth a write for each of them.
const NOTICE_READERS_MAX: usize = 1_000;
/// The age up to which an event sends letters, below the 24 h within which the log knows a letter that comes again.
/// Whoever stores the log anew, from its beginning, finds the letters of older events in the log itself.
const AGE_MAX: Duration = Duration::from_secs(23 * 3_600);
/// Letters produced before their acknowledgements are waited for.
const LETTERS_AT_ONCE: usize = 500;
/// The waits between two tries to produce a letter.
const RETRY_FLOOR: Duration = Duration::from_millis(100);
const RETRY_CEILING: Duration = Duration::from_secs(5);
/// Names this service in the records it produces.
const ORIGIN: &str = "persister";

/// What one event sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    key: RoomKey,
    seq: Seq,
    /// The log's append time, in milliseconds since the Unix epoch.
    at_ms: i64,
    sender: Sender,
    to: To,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum To {
    These(Vec<(UserId, Letter)>),
    /// All members but the sender.
    Members(Letter),
}

// === impl Mail ===

impl Mail {
    /// What an event that stands sends, if anything.
    pub(crate) fn of(event: &Event, seq: Seq, at_ms: i64) -> Option<Self> {
        let to = match (&event.body, event.key.room()) {
            (Body::Notice { .. }, Some(room)) => {
                To::Members(Letter::pointing(About::Notice, room, seq))
            }
            _ => To::These(letters(event, seq)),
        };
        let is_any = !matches!(&to, To::These(letters) if letters.is_empty());
        is_any.then(|| Self {
            key: event.key.clone(),
            seq,
            at_ms,
            sender: event.sender.clone(),
            to,
        })
    }

    /// How much it counts against what is held.
    pub(crate) fn weight(&self) -> usize {
        match &self.to {
            To::These(letters) => letters.len(),
            To::Members(_) => 1,
        }
    }

    /// Whom it names: they get it only if they are members, since others must not learn of the room.
    fn named(&self) -> impl Iterator<Item = &UserId> {
        let letters = match &self.to {
            To::These(letters) => &letters[..],
            To::Members(_) => &[],
        };
        letters
            .iter()
            .filter(|(_, letter)| letter.about == About::Mention)
            .map(|(user, _)| user)
    }

    fn addressed(&self, reader: &UserId, letter: &Letter) -> Event {
        let cause = cause(&self.key, self.seq);
        letter.clone().to(reader, self.sender.clone(), &cause)
    }
}

/// Produces the letters of these moves, for as long as it takes. Those of one event are made once the ones before them are
/// in the log: together the letters of many notices would take a lot of memory.
pub(crate) async fn post(resources: &Resources, moves: &Moves) -> Result<(), StoreError> {
    let since_ms = now_ms() - i64::try_from(AGE_MAX.as_millis()).unwrap_or(i64::MAX);
    let recent = moves.mail().iter().filter(|mail| mail.at_ms >= since_ms);
    let mail: Vec<&Mail> = recent.collect();
    let members = Members::among_named(resources, moves, &mail).await?;
    let mut letters = Vec::new();
    for mail in mail {
        letters.extend(addressed(resources, mail, &members).await?);
        if letters.len() >= LETTERS_AT_ONCE {
            produce_all(resources, &letters).await;
            letters.clear();
        }
    }
    produce_all(resources, &letters).await;
    Ok(())
}

/// Who is a member, among those who are named.
struct Members<'a> {
    moves: &'a Moves,
    stored: HashSet<(RoomKey, UserId)>,
}

// === impl Members ===

impl<'a> Members<'a> {
    async fn among_named(
        resources: &Resources,
        moves: &'a Moves,
        mail: &[&Mail],
    ) -> Result<Self, StoreError> {
        let named: HashSet<(RoomKey, UserId)> = mail
            .iter()
            .flat_map(|mail| mail.named().map(|user| (mail.key.clone(), user.clone())))
            .collect();
        let named: Vec<_> = named.into_iter().collect();
        let rows = match named.is_empty() {
            true => Vec::new(),
            false => resources.shelf.members(&named).await?,
        };
        let stored = rows
            .into_iter()
            .filter(|(_, row)| row.membership.is_some_and(|row| row.is_in()))
            .map(|(key, row)| (key, row.user))
            .collect();
        Ok(Self { moves, stored })
    }

    /// A membership that is about to be written is not in the store yet.
    fn has(&self, key: &RoomKey, user: &UserId) -> bool {
        match self.moves.standing(key, user) {
            Some(membership) => membership.is_in(),
            None => self.stored.contains(&(key.clone(), user.clone())),
        }
    }
}

/// The letters of one event.
async fn addressed(
    resources: &Resources,
    mail: &Mail,
    members: &Members<'_>,
) -> Result<Vec<Event>, StoreError> {
    let letters = match &mail.to {
        To::These(letters) => {
            let known = letters.iter().filter(|(user, letter)| {
                letter.about != About::Mention || members.has(&mail.key, user)
            });
            known
                .map(|(user, letter)| mail.addressed(user, letter))
                .collect()
        }
        To::Members(letter) => {
            let readers = resources
                .shelf
                .readers(&mail.key, NOTICE_READERS_MAX)
                .await?;
            let readers = readers.iter().filter(|user| **user != mail.sender.id);
            readers.map(|user| mail.addressed(user, letter)).collect()
        }
    };
    Ok(letters)
}

async fn produce_all(resources: &Resources, letters: &[Event]) {
    for letters in letters.chunks(LETTERS_AT_ONCE) {
        produce(resources, letters.iter().collect()).await;
    }
    metrics::letters(letters.len());
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// Returns once the log has all of them, but for those it will never take.
async fn produce(resources: &Resources, mut events: Vec<&Event>) {
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    let mut stall = None;
    loop {
        let sent = join_all(events.iter().map(|event| send(resources, event))).await;
        let outcomes = events.iter().zip(sent);
        let unsent = outcomes.filter_map(|(event, outcome)| match outcome {
            Ok(()) => None,
            Err(ProduceError::TooLarge(_) | ProduceError::Refused(_)) => {
                tracing::error!("the log refuses a letter, which is lost");
                None
            }
            Err(ProduceError::QueueFull | ProduceError::Unknown(_)) => Some(*event),
        });
        events = unsent.collect();
        if events.is_empty() {
            return;
        }
        tracing::warn!(
            letters = events.len(),
            "letters are not in the log yet; trying until they are"
        );
        stall.get_or_insert_with(Lasting::stall);
        backoff.wait().await;
    }
}

async fn send(resources: &Resources, event: &Event) -> Result<(), ProduceError> {
    let (value, headers) = (encode_event(event), headers(event, ORIGIN, None));
    let record = Outgoing {
        key: event.key.as_str().as_bytes(),
        value: &value,
        headers: headers.iter().map(|(name, value)| (*name, value)).collect(),
        // Of the partitions that are numbered, whatever somebody has added to them.
        partition: Some(partition_of(
            event.key.as_str().as_bytes(),
            resources.topic.partition_count,
        )),
    };
    let delivery = resources.producer.send(&resources.topic.topic, record)?;
    delivery.await.map(drop)
}
