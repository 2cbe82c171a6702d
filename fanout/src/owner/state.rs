//! What an owner knows, and what follows from what it hears. Nothing here waits.

mod asked;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use roomlog_core::{
    event::{Event, Kind},
    fresh::FreshQuestions,
    ids::{Count, RoomKey, Seq, UserId},
    interest::{GatewayId, InterestTable, Level},
    presence::moved_by,
    room_log::{Head, Outcome, RoomLog},
    signal::{Signal, Stamp, Stamped},
    unread::{Positions, ReadPosition, named_by, readers_by},
};
use roomlog_platform::{
    kafka::LogRecord,
    link::{EncodedEvent, EncodedSignal, RoomHead},
    message_trace,
    stored_event::StoredEvent,
};
use tokio::sync::oneshot;

use super::{loads::Loads, presence::Presence, snapshots::Snapshots, tail::TailBacklog};
use crate::{memory::Memory, metrics, outbox::Outbox};

/// Somebody waits for a room's head.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) key: RoomKey,
    pub(super) reply: oneshot::Sender<RoomHead>,
}

/// One partition's numbering and audience.
pub(super) struct State {
    pub(super) log: RoomLog,
    pub(super) loads: Loads,
    pub(super) snapshots: Snapshots,
    pub(super) tail: TailBacklog,
    pub(super) fresh: FreshQuestions<Question>,
    pub(super) presence: Presence,
    memory: Memory,
    interest: InterestTable,
    /// The gateways that want a room's signals are live in it.
    listeners: InterestTable,
    gateways: HashMap<GatewayId, Arc<Outbox>>,
    /// Rooms with an event since the last tick.
    busy: HashSet<RoomKey>,
    /// Rooms with their last event in the tick before that: if they stay quiet, their heads are repeated.
    quiet: HashSet<RoomKey>,
    /// Rooms whose heads are to be told to gateways that look elsewhere, each with its last message since the last tick.
    badges: HashMap<RoomKey, Option<EncodedEvent>>,
    /// Who has read on by what they sent since the last tick, where a gateway listens.
    reads: Positions<(RoomKey, UserId)>,
    /// Rooms a partial base knows to be empty.
    empty: HashSet<RoomKey>,
    /// Questions about rooms whose rows are being read.
    unanswered: Vec<Question>,
    /// Gateways are served: records are news, no longer a catch-up.
    live: bool,
}

/// What became of a record.
#[derive(Debug)]
pub(super) enum Applied {
    /// It is done with.
    Done,
    /// It must be applied again once this room's row is loaded.
    HeadUnknown,
    /// It is numbered, but its value can't be decoded: show it once the dead-letter topic has it.
    Unreadable(Box<StoredEvent>, String),
}

// === impl State ===

impl State {
    pub(super) fn new(log: RoomLog, trusted: bool, presence: Presence, now_ms: u64) -> Self {
        Self {
            loads: Loads::new(log.is_complete()),
            snapshots: Snapshots::new(trusted, now_ms),
            tail: TailBacklog::shared_by(log.spec().partition_count),
            fresh: FreshQuestions::default(),
            presence,
            memory: Memory::shared_by(log.spec().partition_count),
            log,
            interest: InterestTable::new(),
            listeners: InterestTable::new(),
            gateways: HashMap::new(),
            busy: HashSet::new(),
            quiet: HashSet::new(),
            badges: HashMap::new(),
            reads: Positions::default(),
            empty: HashSet::new(),
            unanswered: vec![],
            live: false,
        }
    }

    /// From here on records are news.
    pub(super) fn go_live(&mut self) {
        self.live = true;
    }

    /// Numbers a record and queues it for everyone interested. `wall_ms` is the time of day, for the latency only.
    pub(super) fn apply(&mut self, record: &LogRecord, wall_ms: i64) -> Applied {
        let generation = self.log.next().generation;
        match self.log.apply(&record.as_ref(generation)) {
            Outcome::Accepted { seq, count } => self.accepted(record, seq, count, wall_ms),
            Outcome::Duplicate { .. } => done(metrics::Record::Duplicate),
            Outcome::Past => done(metrics::Record::Past),
            Outcome::Foreign(reason) => {
                let (partition, offset) = (record.partition, record.offset);
                // Whoever may write to the topic can cause any number of these: the metric tells, the log does not flood.
                tracing::debug!(partition, offset, %reason, "a record gets no seq");
                done(metrics::Record::Foreign)
            }
            Outcome::HeadUnknown => {
                self.want_head_of(record);
                Applied::HeadUnknown
            }
        }
    }

    fn accepted(&mut self, record: &LogRecord, seq: Seq, count: Count, wall_ms: i64) -> Applied {
        metrics::records(metrics::Record::Accepted, 1);
        // A key that was numbered names a room, so the event always is there.
        let Some(mut event) = record.stored(seq, count) else {
            return Applied::Done;
        };
        let decoded = match event.event() {
            Ok(decoded) => decoded,
            Err(reason) => {
                event.kind = Kind::Unreadable;
                return Applied::Unreadable(Box::new(event), reason.to_string());
            }
        };
        self.show(&event, Some(&decoded));
        message_trace::passed("fan out", event.traceparent.as_deref(), event.at_ms);
        if self.live {
            let late_ms = u64::try_from(wall_ms - event.at_ms).unwrap_or(0);
            metrics::forward_latency(Duration::from_millis(late_ms));
        }
        Applied::Done
    }

    /// Queues a numbered event for everyone interested, and keeps it. `decoded` is what its value says, if it can be read.
    pub(super) fn show(&mut self, event: &StoredEvent, decoded: Option<&Event>) {
        let encoded = EncodedEvent::encode(event);
        let mut receivers = 0;
        for gateway in self.interest.live(&event.key) {
            if let Some(outbox) = self.gateways.get(&gateway) {
                outbox.push_event(&encoded);
                receivers += 1;
            }
        }
        if receivers > 0 {
            self.busy.insert(event.key.clone());
        }
        receivers += self.show_elsewhere(event, &encoded, decoded);
        metrics::forwarded(receivers);
        self.memory.push(encoded.clone());
        self.tail.push(encoded);
    }

    /// Queues an event for gateways that look elsewhere, as far as it matters there; answers how many got it.
    fn show_elsewhere(
        &mut self,
        event: &StoredEvent,
        encoded: &EncodedEvent,
        decoded: Option<&Event>,
    ) -> u64 {
        let badges = self.interest.badge(&event.key);
        if badges.len() > 0 {
            let last = self.badges.entry(event.key.clone()).or_default();
            if event.kind.counts() {
                *last = Some(encoded.clone());
            }
        }
        let Some(decoded) = decoded else {
            return 0;
        };
        if self.listeners.live(&event.key).len() > 0 {
            let at = ReadPosition::at(event.seq, event.count);
            for reader in readers_by(decoded) {
                self.reads.note((event.key.clone(), reader.clone()), at);
            }
        }
        // Who joins gets the room in their list, and who leaves is not seen in it any more, wherever they are connected:
        // nobody there may know of the room.
        let news_to_all = moved_by(decoded).is_some();
        // Who may see the room, what it is called and whom it names matters where its messages do not.
        let matters =
            matches!(event.kind, Kind::Member | Kind::Room) || named_by(decoded).next().is_some();
        let receivers: Vec<GatewayId> = match (news_to_all, matters) {
            (true, _) => {
                let ids = self.gateways.keys().copied();
                ids.filter(|id| self.interest.level(*id, &event.key) != Level::Live)
                    .collect()
            }
            (false, true) => badges.collect(),
            (false, false) => return 0,
        };
        for outbox in receivers.iter().filter_map(|id| self.gateways.get(id)) {
            outbox.push_event(encoded);
        }
        receivers.len() as u64
    }

    /// Asks for the row of the room a record is of.
    pub(super) fn want_head_of(&mut self, record: &LogRecord) {
        let key = std::str::from_utf8(&record.key)
            .ok()
            .and_then(|text| RoomKey::parse(text).ok());
        if let Some(key) = key
            && self.head(&key).is_none()
        {
            self.loads.want(&key);
        }
    }

    /// Stored rows were read.
    pub(super) fn heads_loaded(&mut self, rows: Vec<(RoomKey, Option<Head>)>) {
        self.loads.loaded();
        for (key, row) in rows {
            if row.is_none() && !self.log.is_complete() {
                self.empty.insert(key.clone());
            }
            self.log.load_head(key.clone(), row);
            // The row may be ahead of what is read here: gateways fetch what they lack.
            self.tell_head(&key);
        }
        self.answer_known();
    }

    /// Notices when the loaded rows are all there are.
    pub(super) fn notice_completeness(&mut self) {
        if !self.log.is_complete() && self.log.all_heads_loaded() {
            tracing::info!(
                partition = self.log.spec().partition,
                "every room's head is known"
            );
            self.loads.finish();
            self.empty = HashSet::new();
            self.answer_known();
        }
    }

    /// A room's head, unless it has yet to be loaded.
    fn head(&self, key: &RoomKey) -> Option<RoomHead> {
        let head = self.log.head(key).map(|head| (head.seq, head.count));
        let none = self.log.is_complete() || self.empty.contains(key);
        let (seq, count) = head.or_else(|| none.then_some((Seq::ZERO, Count::ZERO)))?;
        Some(RoomHead {
            key: key.clone(),
            seq,
            count,
        })
    }

    /// Sends a room's last message to the gateways that look elsewhere.
    fn tell_last(&self, key: &RoomKey, last: Option<&EncodedEvent>) {
        let Some(last) = last else {
            return;
        };
        let badges = self.interest.badge(key);
        for outbox in badges.filter_map(|gateway| self.gateways.get(&gateway)) {
            outbox.push_event(last);
        }
    }

    /// Tells who has read on by what they sent. Every owner says so by itself, so these are nobody's repeats.
    fn tell_reads(&mut self) {
        let signals: Vec<_> = std::mem::take(&mut self.reads)
            .into_iter()
            .map(|((key, user), at)| {
                let signal = Signal::Read {
                    user,
                    seq: at.seq,
                    count: at.count,
                };
                let stamp = Stamp {
                    source: 0,
                    counter: at.seq.0,
                };
                EncodedSignal::encode(Stamped { key, stamp, signal })
            })
            .collect();
        self.pass_on(&signals);
    }

    fn tell_head(&self, key: &RoomKey) {
        if let Some(head) = self.head(key) {
            let gateways = self.interest.live(key).chain(self.interest.badge(key));
            for outbox in gateways.filter_map(|gateway| self.gateways.get(&gateway)) {
                outbox.push_head(key, head.seq, head.count);
            }
        }
    }

    /// Wakes the streams that have something to send.
    pub(super) fn wake_gateways(&self) {
        self.gateways.values().for_each(|outbox| outbox.wake());
    }

    /// Tells badges, repeats the heads of rooms that fell quiet, and forgets who is gone.
    pub(super) fn tick(&mut self, now_ms: u64) {
        let gone: Vec<_> = self
            .gateways
            .iter()
            .filter(|(_, outbox)| outbox.is_closed())
            .map(|(id, _)| *id)
            .collect();
        for gateway in gone {
            self.gateways.remove(&gateway);
            self.interest.remove_gateway(gateway);
            self.listeners.remove_gateway(gateway);
            self.presence.detach(gateway, now_ms);
        }
        let busy = std::mem::take(&mut self.busy);
        let quiet = std::mem::replace(&mut self.quiet, busy);
        let badges = std::mem::take(&mut self.badges);
        for key in quiet
            .difference(&self.quiet)
            .filter(|key| !badges.contains_key(*key))
        {
            self.tell_head(key);
        }
        for (key, last) in &badges {
            self.tell_last(key, last.as_ref());
            self.tell_head(key);
        }
        self.tell_reads();
        for (key, said) in self.presence.tick(now_ms) {
            let listeners = self.listeners.live(&key);
            let listeners = listeners.filter(|id| self.interest.level(*id, &key) == Level::Live);
            for outbox in listeners.filter_map(|gateway| self.gateways.get(&gateway)) {
                outbox.push_presence(said.clone());
            }
        }
        self.fresh.retain(|question| !question.reply.is_closed());
        self.unanswered
            .retain(|question| !question.reply.is_closed());
    }
}

fn done(record: metrics::Record) -> Applied {
    metrics::records(record, 1);
    Applied::Done
}

#[cfg(test)]
mod tests;
