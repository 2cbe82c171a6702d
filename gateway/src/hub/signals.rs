//! A room's signals on this gateway: who listens, and what they are shown.
//!
//! Signals are MESSAGEs of a topic without a log: one snapshot first, then changes. A listener that can't keep up
//! loses what waits and gets a new snapshot instead.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use foldhash::HashMap;
use roomlog_core::{
    ids::{RoomKey, Seq, UserId},
    presence::{Mirror, News, View},
    session::SubIndex,
    signal::{Change, Counts, Live, Question, Signal, Stamped},
    stomp::{Envelope, Mark, MessageFrame, Provenance},
};
use roomlog_platform::link::{LinkId, Said};
use serde_json::{Value, json};

use super::{
    audience::{ConnectionId, Subscriber},
    shown::text,
};
use crate::clock;

/// Positions heard while a new listener waits for its snapshot. Beyond it one is told with the reader's next.
const HEARD_MAX: usize = 10_000;

/// How long a new listener waits for an owner's word on who is there, and for how far members have read. After it the
/// snapshot says what is known.
const SNAPSHOT_WAIT_MS: u64 = 1_000;

/// Users of whom a new listener is told that they type, behind its snapshot. Of further ones it hears when they begin
/// anew; nobody shows more names than these.
const TYPING_TOLD_MAX: usize = 20;

/// The live side of one room.
#[derive(Debug)]
pub(super) struct Signals {
    live: Live,
    presence: Mirror,
    /// New listeners, until an owner has spoken and positions were fetched, and since when.
    waiting: Vec<(u64, Subscriber)>,
    /// Positions are being fetched for them.
    is_fetching: bool,
    /// What was heard meanwhile.
    heard: BTreeMap<UserId, Seq>,
    /// Some would not wait any longer, and are told the positions later.
    is_owed: bool,
    /// An owner spoke anew: before that, positions may have been said that nobody here heard.
    is_doubtful: bool,
    /// Positions as they were fetched last: every listener was told them, in their snapshot or after it.
    fetched: BTreeMap<UserId, Seq>,
    /// How many have read the newest messages, where members are too many to be named.
    counts: Counts,
    listeners: HashMap<Envelope, Vec<Subscriber>>,
    /// The rank of the last MESSAGE. Begins with the time, so that ids stay apart when the room is opened again.
    number: u64,
    /// Whether the owners were told that this gateway wants the room's signals.
    pub(super) is_declared: bool,
}

// === impl Signals ===

impl Default for Signals {
    fn default() -> Self {
        Self {
            live: Live::default(),
            presence: Mirror::default(),
            waiting: Vec::new(),
            is_fetching: false,
            heard: BTreeMap::new(),
            is_owed: false,
            is_doubtful: false,
            fetched: BTreeMap::new(),
            counts: Counts::default(),
            listeners: HashMap::default(),
            number: clock::unix_ms(),
            is_declared: false,
        }
    }
}

impl Signals {
    /// Takes a signal of an owner's and shows what follows from it.
    pub(super) fn take(&mut self, signal: Stamped) {
        let Stamped { key, stamp, signal } = signal;
        if let Signal::Read { user, seq, .. } = &signal
            && self.is_fetching
            && (self.heard.len() < HEARD_MAX || self.heard.contains_key(user))
        {
            let position = self.heard.entry(user.clone()).or_default();
            *position = (*position).max(*seq);
        }
        if matches!(signal, Signal::Read { .. }) {
            self.members_moved();
        }
        if let Some(change) = self.live.take(stamp, signal, clock::monotonic_ms()) {
            self.show(&key, &body_of(change));
        }
    }

    /// Shows what is due; `false` once nothing is left to become due.
    pub(super) fn tick(&mut self, key: &RoomKey) -> bool {
        let now_ms = clock::monotonic_ms();
        for change in self.live.due(now_ms) {
            self.show(key, &body_of(change));
        }
        self.show_news(key);
        self.greet_impatient(key, now_ms);
        if self.listeners.is_empty() {
            self.forget_counts();
        }
        !(self.live.is_quiet()
            && self.presence.is_settled()
            && self.waiting.is_empty()
            && self.counts.is_settled())
    }

    /// Takes an owner's word on who is here.
    pub(super) fn see(&mut self, link: LinkId, said: Said) {
        let key = said.key().clone();
        match said {
            Said::Whole(_, view) => {
                self.presence.state(link.0, view);
                self.is_doubtful |= !self.listeners.is_empty();
            }
            Said::Change(change) => self.presence.change(link.0, change),
        }
        self.show_news(&key);
    }

    /// A fanout does not own the room any more.
    pub(super) fn lose_owner(&mut self, link: LinkId) {
        self.presence.lose(link.0);
    }

    /// Nobody listens: what the owners say is not followed any more.
    pub(super) fn rest(&mut self) {
        self.is_declared = false;
        self.presence = Mirror::default();
    }

    fn show_news(&mut self, key: &RoomKey) {
        for news in self.presence.news(clock::monotonic_ms()) {
            let view = self.presence.view();
            let body = match news {
                News::Presence(user, online) => json!({
                    "type": "presence",
                    "user": user.as_str(),
                    "status": if online { "online" } else { "offline" },
                }),
                News::Viewers => viewers(view),
                News::Sample => {
                    let viewers = viewers(view);
                    let online = json!({
                        "type": "presence",
                        "online": names(&view.online),
                        "online_total": view.online_total,
                    });
                    self.show(key, &online);
                    viewers
                }
            };
            self.show(key, &body);
        }
    }

    /// Whether positions are to be fetched now; [`Self::take_positions`] must follow. Not before an owner has spoken:
    /// from then on it tells what is read after the fetch.
    pub(super) fn wants_positions(&mut self) -> bool {
        let is_wanted = self.is_owed || self.is_doubtful || !self.waiting.is_empty();
        let wants = is_wanted && !self.is_fetching && self.presence.is_known();
        if wants {
            (self.is_fetching, self.is_doubtful) = (true, false);
        }
        wants
    }

    /// Takes how far members have read, and shows their snapshot to those who waited for it.
    pub(super) fn take_positions(&mut self, key: &RoomKey, mut positions: BTreeMap<UserId, Seq>) {
        self.is_fetching = false;
        self.tell_missed(&positions);
        for (user, seq) in std::mem::take(&mut self.heard) {
            let position = positions.entry(user).or_default();
            *position = seq.max(*position);
        }
        if std::mem::take(&mut self.is_owed) && !positions.is_empty() {
            let late = positions.clone().into_iter().collect();
            self.show(key, &body_of(Change::Reads(late)));
        }
        for (_, subscriber) in std::mem::take(&mut self.waiting) {
            self.begin(key, subscriber, &positions);
        }
    }

    /// Shows those who listen already what was read and not said, as where a link was lost.
    fn tell_missed(&mut self, positions: &BTreeMap<UserId, Seq>) {
        let fetched = std::mem::replace(&mut self.fetched, positions.clone());
        if self.listeners.is_empty() {
            return;
        }
        for (user, seq) in positions {
            if fetched.get(user).is_none_or(|known| known < seq) {
                self.live.take_read(user.clone(), *seq);
            }
        }
        self.members_moved();
    }

    /// Somebody read on, joined or left.
    pub(super) fn members_moved(&mut self) {
        if !self.listeners.is_empty() {
            self.counts.moved(clock::monotonic_ms());
        }
    }

    /// The room's members are few enough to tell each one's position, or nobody listens.
    pub(super) fn forget_counts(&mut self) {
        self.counts = Counts::default();
    }

    /// Of which messages the counts are to be fetched now, with those at hand; [`Self::take_counts`] must follow.
    pub(super) fn wants_counts(
        &mut self,
        at_hand: impl IntoIterator<Item = Seq>,
    ) -> Option<Question> {
        self.counts.ask(at_hand, clock::monotonic_ms())
    }

    /// Takes how many have read messages, and shows what of it is news.
    pub(super) fn take_counts(&mut self, key: &RoomKey, counts: Option<Vec<(Seq, u64)>>) {
        let news = self.counts.answer(counts, clock::monotonic_ms());
        if !news.is_empty() {
            let counts = news
                .into_iter()
                .map(|(seq, count)| (seq.to_string(), count.into()));
            let counts: serde_json::Map<String, Value> = counts.collect();
            let body = json!({ "type": "reads", "positions": {}, "counts": counts });
            self.show(key, &body);
        }
    }

    /// Shows what is known to those who waited too long.
    fn greet_impatient(&mut self, key: &RoomKey, now_ms: u64) {
        let is_over =
            |(since_ms, _): &mut (u64, Subscriber)| *since_ms + SNAPSHOT_WAIT_MS <= now_ms;
        let greeted: Vec<_> = self.waiting.extract_if(.., is_over).collect();
        let heard = self.heard.clone();
        // Whether they are being fetched already or no owner has spoken yet.
        self.is_owed |= !greeted.is_empty();
        for (_, subscriber) in greeted {
            self.begin(key, subscriber, &heard);
        }
    }

    /// Whether somebody waits for a snapshot.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Adds a listener, or begins anew with one, and shows it the state of things.
    pub(super) fn enlist(&mut self, subscriber: Subscriber) {
        self.dismiss(
            subscriber.connection,
            subscriber.index,
            &subscriber.envelope,
        );
        self.waiting.push((clock::monotonic_ms(), subscriber));
    }

    fn begin(&mut self, key: &RoomKey, subscriber: Subscriber, reads: &BTreeMap<UserId, Seq>) {
        let view = self.presence.view();
        let snapshot = json!({
            "type": "snapshot",
            "online": names(&view.online),
            "online_total": view.online_total,
            "viewers": names(&view.viewing),
            "viewers_total": view.viewing_total,
            "reads": named(reads),
        });
        // Who types is no news any more, so nobody would tell it again.
        let typing = self.live.typing().into_iter().take(TYPING_TOLD_MAX);
        let typing = typing.map(|user| body_of(Change::Typing { user, on: true }));
        let told: Vec<Value> = std::iter::once(snapshot).chain(typing).collect();
        let is_begun = told.iter().all(|body| {
            self.number += 1;
            let frame = frame(key, self.number, body);
            subscriber.push_signal(self.number, &frame)
        });
        if is_begun {
            let group = self.listeners.entry(subscriber.envelope.clone());
            group.or_default().push(subscriber);
            self.counts.show_again(clock::monotonic_ms());
        }
    }

    /// Ends a subscription.
    pub(super) fn dismiss(
        &mut self,
        connection: ConnectionId,
        index: SubIndex,
        envelope: &Envelope,
    ) {
        self.waiting
            .retain(|(_, waiting)| (waiting.connection, waiting.index) != (connection, index));
        if let Some(group) = self.listeners.get_mut(envelope) {
            group.retain(|listener| (listener.connection, listener.index) != (connection, index));
            if group.is_empty() {
                self.listeners.remove(envelope);
            }
        }
    }

    /// Ends all subscriptions of a user.
    pub(super) fn dismiss_user(&mut self, user: &UserId) {
        self.retain(|listener| listener.user != *user);
    }

    /// Ends all subscriptions; their connections begin them anew.
    pub(super) fn send_back(&mut self) {
        let waiting = self.waiting.iter().map(|(_, waiting)| waiting);
        for listener in self.listeners.values().flatten().chain(waiting) {
            listener.outbox.lapse();
        }
        self.clear();
    }

    /// Ends all subscriptions.
    pub(super) fn clear(&mut self) {
        self.listeners.clear();
        self.waiting.clear();
    }

    /// Ends the subscriptions of connections that are gone.
    pub(super) fn forget_the_gone(&mut self) {
        self.retain(|listener| !listener.outbox.is_closed());
    }

    /// Whether nobody listens.
    pub(super) fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.waiting.is_empty()
    }

    fn retain(&mut self, stays: impl Fn(&Subscriber) -> bool) {
        self.waiting.retain(|(_, waiting)| stays(waiting));
        for group in self.listeners.values_mut() {
            group.retain(&stays);
        }
        self.listeners.retain(|_, group| !group.is_empty());
    }

    fn show(&mut self, key: &RoomKey, body: &Value) {
        if self.listeners.is_empty() {
            return;
        }
        self.number += 1;
        let (number, frame) = (self.number, frame(key, self.number, body));
        for (envelope, group) in &mut self.listeners {
            let sealed = text(frame.sealed(envelope, Provenance::Live));
            group.retain(|listener| listener.push_sealed(number, sealed.clone()));
        }
        self.listeners.retain(|_, group| !group.is_empty());
    }
}

fn viewers(view: &View) -> Value {
    json!({"type": "viewers", "users": names(&view.viewing), "total": view.viewing_total})
}

fn names(users: &BTreeSet<UserId>) -> Vec<&str> {
    users.iter().map(UserId::as_str).collect()
}

fn body_of(change: Change) -> Value {
    match change {
        Change::Typing { user, on } => json!({"type": "typing", "user": user.as_str(), "on": on}),
        Change::Reads(reads) => {
            json!({"type": "reads", "positions": named(reads.iter().map(|(user, seq)| (user, seq)))})
        }
    }
}

fn named<'a>(reads: impl IntoIterator<Item = (&'a UserId, &'a Seq)>) -> Value {
    let reads = reads.into_iter();
    let reads: serde_json::Map<String, Value> = reads
        .map(|(user, seq)| (user.as_str().to_owned(), seq.0.into()))
        .collect();
    reads.into()
}

fn frame(key: &RoomKey, number: u64, body: &Value) -> MessageFrame {
    let message_id = format!("{key}-signals-{number}");
    let destination = format!("/topic/rooms/{key}/signals");
    let server = [
        ("message-id", message_id.as_str()),
        ("destination", &destination),
        ("content-type", "application/json"),
    ];
    MessageFrame::new(Mark::Number(number), &server, [], &body.to_string())
}
