//! A client: what it has seen of its room, and what it sends until it is acknowledged.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use roomlog_core::{
    code::Code,
    ids::{RoomKey, Seq, UserId},
    room_log::Position,
};

use crate::{
    checks,
    conversation::{Answer, SUBSCRIPTION},
    gateway::Frame,
    log::{Draft, Log, user},
};

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) user: UserId,
    pub(crate) room: RoomKey,
    /// The gateway it is connected to.
    pub(crate) gateway: Option<usize>,
    /// The last event it saw; it outlives every connection.
    pub(crate) seen: Seq,
    /// What it showed, and where that is.
    pub(crate) shown: BTreeMap<Seq, Position>,
    /// Messages on the screen, by sender and id.
    screen: BTreeSet<(&'static str, String)>,
    /// What it wrote and the log has not acknowledged.
    pub(crate) unacknowledged: VecDeque<Draft>,
    /// What it ever sent, by id.
    pub(crate) sent: BTreeMap<String, Draft>,
    /// Receipts of what it sent, so far.
    pub(crate) receipts: u64,
    /// Subscriptions it was refused, so far.
    pub(crate) refusals: u64,
    /// What it was told the log has.
    pub(crate) acknowledged: BTreeSet<String>,
    /// Sends refused or of unknown fate, so far.
    pub(crate) unsent: usize,
    /// Sends it had no right to, so far.
    pub(crate) forbidden: usize,
    /// Whether it was told that it may not read the room.
    pub(crate) is_refused: bool,
    /// Whether it was told to begin anew somewhere.
    pub(crate) resets: usize,
}

// === impl Client ===

impl Client {
    pub(crate) fn new(name: &'static str, room: RoomKey) -> Self {
        Self {
            name,
            user: user(name),
            room,
            gateway: None,
            seen: Seq::ZERO,
            shown: BTreeMap::new(),
            screen: BTreeSet::new(),
            unacknowledged: VecDeque::new(),
            sent: BTreeMap::new(),
            receipts: 0,
            refusals: 0,
            acknowledged: BTreeSet::new(),
            unsent: 0,
            forbidden: 0,
            is_refused: false,
            resets: 0,
        }
    }

    /// Takes the next frame of its connection.
    pub(crate) fn read(&mut self, log: &Log, frame: Frame) {
        match frame {
            Frame::Message {
                told,
                is_void,
                as_of,
            } => {
                checks::each_event_is_shown_once_and_in_order(log, &self.room, self.seen, told);
                checks::a_void_event_is_void_for_everyone(log, &self.room, told.seq, is_void);
                checks::after_removal_silence(log, self, told.seq, as_of);
                let draft = &log.record(told.place).draft;
                let is_new = self.screen.insert((draft.sender, draft.id.clone()));
                checks::a_retried_id_is_shown_once(log, draft, is_new);
                self.seen = told.seq;
                self.shown.insert(told.seq, told.place);
            }
            Frame::Reset { head } => {
                checks::a_reset_is_deserved(log, &self.room, self.seen);
                self.resets += 1;
                self.seen = head;
            }
            Frame::Answer(bytes) => self.hear(log, Answer::read(&bytes)),
        }
    }

    /// Hears what came of something it asked for.
    fn hear(&mut self, log: &Log, answer: Answer) {
        match answer {
            Answer::Done { receipt } if receipt == SUBSCRIPTION => {}
            Answer::Done { receipt: id } => {
                self.receipts += 1;
                checks::what_is_acknowledged_is_in_the_log(log, self, &id);
                self.unacknowledged.retain(|draft| draft.id != id);
                self.acknowledged.insert(id);
            }
            Answer::Refused { receipt, .. } if receipt == SUBSCRIPTION => {
                self.is_refused = true;
                self.refusals += 1;
            }
            Answer::Refused {
                receipt: id,
                code: Code::LogUnavailable,
            } => {
                self.unsent += 1;
                // Each sending has its own answer: one that failed is repeated, whatever became of an earlier one.
                if !self.unacknowledged.iter().any(|other| other.id == id) {
                    let draft = self.sent.get(&id).expect("it was sent").clone();
                    self.unacknowledged.push_back(draft);
                }
            }
            Answer::Refused { receipt: id, .. } => {
                self.unacknowledged.retain(|draft| draft.id != id);
                self.forbidden += 1;
            }
        }
    }

    /// Whether it sees what it may see of its room as the log has it now.
    pub(crate) fn is_up_to_date(&self, log: &Log) -> bool {
        let head = log.head(&self.room);
        self.seen == head || !log.state(&self.room, head).has(&self.user)
    }
}
