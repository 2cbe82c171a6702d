//! Serves requests about a room: lets them wait for rows, decides, and does what they ask for.

use std::collections::BTreeSet;

use roomlog_core::{
    code::{Code, Refusal},
    ids::{RoomKey, Seq, UserId},
    interest::Level,
    partition::partition_of,
    signal::{COUNTED_MAX, Question},
};
use roomlog_platform::{
    kafka::{Outgoing, ProduceError},
    link::RoomInterest,
};
use tokio::task::JoinSet;

use super::{
    Action, Ask, CountAt, Entered,
    access::{Caller, Purpose, decide},
    backfill::{self, PAGE_EVENTS_MAX, Source},
    room::{Need, Room},
    shard::{Brought, Fetched, OpenRoom, badge_interest, interest},
};
use crate::{clock, metrics, presence::belonging, publish::Acknowledgement};

/// Turns down the requests that wait for rows the store does not give, those of `users`, in their order.
pub(super) fn refuse_for_want_of(open: &mut OpenRoom, users: &[UserId]) {
    let refusal = Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000);
    for ask in std::mem::take(&mut open.waiting) {
        if needed_rows(&open.room, &ask)
            .iter()
            .any(|user| users.binary_search(user).is_ok())
        {
            ask.refuse(refusal.clone());
        } else {
            open.waiting.push(ask);
        }
    }
}

/// The users whose rows a request needs and that are not known.
fn needed_rows(room: &Room, ask: &Ask) -> Vec<UserId> {
    if ask.key.is_inbox() {
        // Whose it is says its key.
        return Vec::new();
    }
    let mut users = match &ask.purpose {
        Purpose::Change(event) | Purpose::Meet(event) => room.standing().unknown_of(event),
        Purpose::May(_) | Purpose::Create | Purpose::Leave => Vec::new(),
    };
    if let Action::Look { users: wanted, .. } = &ask.action {
        let unknown = |user: &&UserId| room.standing().member(user).is_none();
        users.extend(wanted.iter().filter(unknown).cloned());
    }
    let caller = &ask.caller.user;
    if room.standing().member(caller).is_none() && !users.contains(caller) {
        users.push(caller.clone());
    }
    users
}

// === impl Source, as far as rooms of a shard need it ===

impl Source {
    /// Declares interest in a room to those who own it now.
    pub(super) fn declare(&self, room: &Room, level: Level) {
        for link in self.links.owners(room.key()) {
            self.links.set_interest(link, [interest(room, level)]);
        }
    }

    /// Declares interest in a room that is only on lists here.
    pub(super) fn declare_badge(&self, key: &RoomKey) {
        self.declare_all(key, &badge_interest(key));
    }

    /// Declares that nobody here is interested in a room.
    pub(super) fn declare_none(&self, key: &RoomKey) {
        let none = RoomInterest {
            level: Level::None,
            signals: false,
            ..badge_interest(key)
        };
        self.declare_all(key, &none);
    }

    fn declare_all(&self, key: &RoomKey, interest: &RoomInterest) {
        for link in self.links.owners(key) {
            self.links.set_interest(link, [interest.clone()]);
        }
    }

    pub(super) fn fetch_needs(&self, open: &mut OpenRoom, fetches: &mut JoinSet<Fetched>) {
        for (user, row) in open.room.take_moves() {
            self.presence.moved(&user, open.room.key(), belonging(row));
        }
        let Some(need) = open.room.need() else {
            return;
        };
        let (source, key, life) = (self.clone(), open.room.key().clone(), open.life);
        match need {
            Need::Events(hole) => {
                metrics::hole();
                fetches.spawn(async move {
                    let events = backfill::fill(&source, &key, hole).await;
                    Fetched::For(key, life, Brought::Events(events))
                });
            }
            Need::Rows(users) => {
                fetches.spawn(async move {
                    let rows = backfill::rows(&source, &key, &users).await;
                    Fetched::For(key, life, Brought::Judges(rows))
                });
            }
        }
    }

    /// Serves requests now, or once the rows they need were fetched. Requests of one user keep their order.
    pub(super) fn serve(
        &self,
        open: &mut OpenRoom,
        asks: impl IntoIterator<Item = Ask>,
        fetches: &mut JoinSet<Fetched>,
    ) {
        for ask in asks {
            if needed_rows(&open.room, &ask).is_empty() {
                self.carry_out(&mut open.room, ask);
            } else {
                open.waiting.push(ask);
            }
        }
        self.fetch_rows(open, fetches);
        self.fetch_positions(open, fetches);
    }

    /// Fetches the rows that requests wait for: all of them together and one fetch at a time, so that a crowd at the
    /// door is a few questions to the store.
    pub(super) fn fetch_rows(&self, open: &mut OpenRoom, fetches: &mut JoinSet<Fetched>) {
        if open.is_fetching_rows || open.waiting.is_empty() {
            return;
        }
        let needed = open.waiting.iter();
        let needed = needed.flat_map(|ask| needed_rows(&open.room, ask));
        let users: Vec<UserId> = needed.collect::<BTreeSet<_>>().into_iter().collect();
        open.is_fetching_rows = true;
        let (source, key, life) = (self.clone(), open.room.key().clone(), open.life);
        fetches.spawn(async move {
            let rows = backfill::rows(&source, &key, &users).await;
            Fetched::For(key, life, Brought::Callers(users, rows))
        });
    }

    /// Fetches how far members have read, where new listeners wait for it.
    pub(super) fn fetch_positions(&self, open: &mut OpenRoom, fetches: &mut JoinSet<Fetched>) {
        if open.room.signals.wants_positions() {
            let (readers, key, life) = (self.readers.clone(), open.room.key().clone(), open.life);
            fetches.spawn(async move {
                let positions = readers.furthest(&key).await;
                Fetched::For(key, life, Brought::Positions(positions))
            });
        }
    }

    /// Fetches how many have read the newest messages, where that is shown and may have changed.
    pub(super) fn fetch_counts(&self, open: &mut OpenRoom, fetches: &mut JoinSet<Fetched>) {
        let meta = open.room.standing().room();
        if !meta.is_some_and(|room| self.readers.is_large(room.members)) {
            return open.room.signals.forget_counts();
        }
        let Some(question) = open.room.wants_counts() else {
            return;
        };
        let (source, key, life) = (self.clone(), open.room.key().clone(), open.life);
        let head = open.room.head();
        fetches.spawn(async move {
            let counts = counts(&source, &key, head, question).await;
            Fetched::For(key, life, Brought::Counts(counts))
        });
    }

    /// Somebody follows a room they are a member of. Their rooms were looked up when they came, but the store may have
    /// been behind.
    fn note_member(&self, room: &Room, user: &UserId) {
        if let Some(row) = room.standing().member(user).flatten() {
            self.presence.found(user, room.key(), belonging(row));
        }
    }

    fn carry_out(&self, room: &mut Room, ask: Ask) {
        room.touch(clock::monotonic_ms());
        let next = room.head().next();
        let now_ms = clock::unix_ms();
        let decision = decide(&ask.key, room.standing(), &ask.caller, &ask.purpose, next);
        let decision = decision.and_then(|()| room.paced(&ask, now_ms));
        if matches!(ask.action, Action::Enter { .. }) {
            self.note_member(room, &ask.caller.user);
        }
        match (ask.action, decision) {
            (
                Action::Pull {
                    subscriber,
                    next,
                    reply,
                },
                _,
            ) => {
                // Someone who was removed still gets what happened up to that.
                let standing = room.standing();
                let may_read = decide(&ask.key, standing, &ask.caller, &Purpose::READ, next);
                let may_read = may_read.is_ok();
                let pulled = room.pull(&subscriber, next, may_read);
                self.note_member(room, &subscriber.user);
                // A connection that is gone is found by its closed outbox.
                let _ = reply.send(Ok(pulled));
            }
            (action, Err(refusal)) => {
                let Ask {
                    key,
                    caller,
                    purpose,
                    ..
                } = ask;
                Ask {
                    key,
                    caller,
                    purpose,
                    action,
                }
                .refuse(refusal);
            }
            (Action::Enter { history, reply }, Ok(())) => {
                let _ = reply.send(Ok(entered(room, &ask.caller, history)));
            }
            (Action::Look { users, reply }, Ok(())) => {
                let row = |user| room.standing().member(user).flatten();
                let rows = users.iter().map(row).collect();
                let _ = reply.send(Ok((entered(room, &ask.caller, None), rows)));
            }
            (Action::Between { after, upto, reply }, Ok(())) => {
                let rows = room.standing().between(after.as_ref(), upto.as_ref());
                let _ = reply.send(Ok(rows));
            }
            (Action::Pace { reply, .. }, Ok(())) => {
                let _ = reply.send(Ok(()));
            }
            (Action::Listen { subscriber, reply }, Ok(())) => {
                self.note_member(room, &ask.caller.user);
                room.signals.enlist(subscriber);
                if !std::mem::replace(&mut room.signals.is_declared, true) {
                    self.declare(room, Level::Live);
                }
                let _ = reply.send(Ok(()));
            }
            (Action::Signal { signal, reply }, Ok(())) => {
                self.links.signal(room.key(), signal);
                let _ = reply.send(Ok(()));
            }
            (Action::Count { seq, reply }, Ok(())) => {
                let seq: Seq = seq.min(room.head());
                let _ = reply.send(Ok(CountAt {
                    seq,
                    count: room.count_at(seq),
                }));
            }
            (
                Action::Produce {
                    record,
                    echo,
                    reply,
                },
                Ok(()),
            ) => {
                if let Some(echo) = echo {
                    match room.find(record.sender.as_str(), record.id.as_str()) {
                        Some(known) => drop(echo.send(known)),
                        None => room.await_echo(record.sender.as_str(), record.id.as_str(), echo),
                    }
                }
                self.traces
                    .accepted(&record.key, &record.sender, &record.id);
                let sent = self.producer.send(
                    &self.topic.topic,
                    Outgoing {
                        key: record.key.as_str().as_bytes(),
                        value: &record.value,
                        headers: record
                            .headers
                            .iter()
                            .map(|(name, value)| (*name, value))
                            .collect(),
                        // Of the partitions that are numbered. Left to itself, the client would spread over those
                        // that somebody adds as well, where nobody looks.
                        partition: Some(partition_of(
                            record.key.as_str().as_bytes(),
                            self.topic.partition_count,
                        )),
                    },
                );
                if sent.is_ok() && ask.purpose.is_post() {
                    room.note_post(&record.sender, &record.id, now_ms);
                }
                let sent = sent.map(|delivery| Acknowledgement::of(delivery, record.publishing));
                let _ = reply.send(sent.map_err(|error| unsent(&error)));
            }
        }
    }
}

/// How many have read these messages, and earlier ones if asked for; `None` where that is not known now.
async fn counts(
    source: &Source,
    key: &RoomKey,
    head: Seq,
    question: Question,
) -> Option<Vec<(Seq, u64)>> {
    let mut seqs = question.seqs;
    let before = seqs
        .first()
        .map_or(head, |first| Seq(first.0.saturating_sub(1)));
    if question.with_earlier && before > Seq::ZERO {
        let from = Seq(before.0.saturating_sub(PAGE_EVENTS_MAX - 1).max(1));
        let events = backfill::page(source, key, from, before).await?;
        let messages = events.iter().filter(|event| event.kind.counts());
        let mut earlier: Vec<Seq> = messages.map(|message| message.seq).collect();
        earlier.append(&mut seqs);
        seqs = earlier.split_off(earlier.len().saturating_sub(COUNTED_MAX));
    }
    let counts = source.readers.counts_in_set(key, &seqs).await?;
    Some(seqs.into_iter().zip(counts).collect())
}

fn entered(room: &Room, caller: &Caller, history: Option<u64>) -> Entered {
    Entered {
        head: room.head(),
        count: room.count(),
        room: room.standing().room().cloned(),
        member: room.standing().member(&caller.user).flatten(),
        history_start: history.and_then(|messages| room.history_start(messages)),
    }
}

/// What the client is told of a record without proof.
pub(crate) fn unsent(error: &ProduceError) -> Refusal {
    match error {
        ProduceError::QueueFull => {
            Refusal::retry_after(Code::Overloaded, "too much waits for the log", 1_000)
        }
        ProduceError::Unknown(_) => Refusal::retry_after(
            Code::LogUnavailable,
            "the log did not acknowledge, send again with the same id",
            1_000,
        ),
        ProduceError::TooLarge(_) | ProduceError::Refused(_) => {
            Refusal::new(Code::Internal, "the log refused the event")
        }
    }
}
