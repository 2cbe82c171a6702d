//! A gateway process: its rooms, its sessions, and what it has on the way to the log.

use std::collections::{BTreeMap, VecDeque};

use roomlog_core::{
    code::Code,
    gap::Hole,
    ids::{Count, MessageId, RoomKey, Seq, UserId},
    resend::Resends,
    resume::{Resume, Since},
    session::RequestId,
};

use crate::{
    conversation::Conversation,
    log::{Draft, Log, room},
    opening::Opening,
    owner::{Said, Told},
    room::Room,
    rules::{Mechanism, Rules},
    stores::Dynamo,
    tally::Tally,
};

/// Events a subscription may be behind and still be resumed.
const BEHIND_MAX: u64 = 1_000;

/// What a gateway puts on a client's connection.
#[derive(Clone, Debug)]
pub(crate) enum Frame {
    /// An event of the client's room.
    Message {
        told: Told,
        /// Whether it is void; `None` where the gateway could not find out.
        is_void: Option<bool>,
        /// How far the room was here when the frame was made.
        as_of: Seq,
    },
    /// It can't be continued where the client wanted; `head` is where it goes on.
    Reset { head: Seq },
    /// What came of something the client asked for, as it is on the wire.
    Answer(Vec<u8>),
}

/// A record on its way to the log.
#[derive(Clone, Debug)]
pub(crate) struct Producing {
    /// Whose session; a client that comes back has another one.
    pub(crate) client: usize,
    pub(crate) session: u64,
    request: RequestId,
    pub(crate) draft: Draft,
}

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) number: u64,
    pub(crate) user: UserId,
    pub(crate) room: RoomKey,
    conversation: Conversation,
    /// The subscription, until it is granted or refused.
    subscribing: RequestId,
    resends: Resends,
    pub(crate) following: Following,
    pub(crate) wire: VecDeque<Frame>,
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Following {
    /// It was asked for: the client has everything up to here.
    Asked(Seq),
    /// It waits for an owner to say how far the room is now.
    AsksHowFar(Seq),
    /// Its next event is to be looked up.
    Behind(Seq),
    /// Its next event comes by itself.
    Live(Seq),
    /// The user's membership is over, or was never there.
    Ended,
}

/// The connections of a gateway by client.
pub(crate) type Sessions = BTreeMap<usize, Session>;

/// A room on a gateway.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there are a few, and they live shortly"
)]
pub(crate) enum Slot {
    Opening(Opening),
    Open(Box<Room>),
}

#[derive(Debug)]
pub(crate) struct Gateway {
    rules: Rules,
    pub(crate) rooms: BTreeMap<RoomKey, Slot>,
    /// Open rooms whose state is being read anew, while they go on.
    renewals: BTreeMap<RoomKey, Opening>,
    pub(crate) sessions: Sessions,
    /// In the order in which they reach the log.
    pub(crate) producing: VecDeque<Producing>,
}

// === impl Gateway ===

impl Gateway {
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            rooms: BTreeMap::new(),
            renewals: BTreeMap::new(),
            sessions: BTreeMap::new(),
            producing: VecDeque::new(),
        }
    }

    /// A client connects and subscribes, with the last event it has.
    pub(crate) fn connect(
        &mut self,
        client: usize,
        number: u64,
        user: UserId,
        room: RoomKey,
        has: Seq,
    ) {
        let (conversation, subscribing, has) = Conversation::begin(&user, &room, has);
        self.rooms
            .entry(room.clone())
            .or_insert_with(|| Slot::Opening(Opening::default()));
        self.sessions.insert(
            client,
            Session {
                number,
                user,
                room,
                conversation,
                subscribing,
                resends: Resends::default(),
                following: Following::Asked(has),
                wire: VecDeque::new(),
            },
        );
    }

    /// A client sends. What is refused goes back at once; an open room knows who may not post.
    pub(crate) fn send(&mut self, client: usize, draft: Draft) {
        let Some(session) = self.sessions.get_mut(&client) else {
            return;
        };
        let id = MessageId::parse(&draft.id).expect("visible");
        let request = session.conversation.send(&draft);
        let may_post = match self.rooms.get(&session.room) {
            Some(Slot::Open(room)) => room.may_post(&session.user),
            _ => true,
        };
        if !may_post {
            return session.is_over(request, Some(Code::NotAMember));
        }
        if !session.resends.allow(&room(&draft.key), &id) {
            return session.is_over(request, Some(Code::LogUnavailable));
        }
        if !self.rules.keep(Mechanism::ReceiptAfterLog) {
            session.is_over(request, None);
        }
        self.producing.push_back(Producing {
            client,
            session: session.number,
            request,
            draft,
        });
    }

    /// The log has acknowledged a record, or has not answered in time.
    pub(crate) fn produced(&mut self, producing: &Producing, acknowledged: bool) {
        let session = self.sessions.get_mut(&producing.client);
        let Some(session) = session.filter(|session| session.number == producing.session) else {
            return;
        };
        let key = room(&producing.draft.key);
        let id = MessageId::parse(&producing.draft.id).expect("visible");
        if acknowledged {
            session.resends.acknowledged(&key, &id);
            session.is_over(producing.request, None);
        } else {
            session.resends.unknown(key, id);
            session.is_over(producing.request, Some(Code::LogUnavailable));
        }
    }

    /// Hears a fanout; answers whether it owns the partition since.
    pub(crate) fn hear(&mut self, log: &Log, said: Said, tally: &mut Tally) -> bool {
        match said {
            Said::Owned => return true,
            Said::Head { room, seq } => {
                if let Some(Slot::Open(open)) = self.rooms.get_mut(&room) {
                    open.note_head(seq);
                }
            }
            Said::Event {
                room, seq, place, ..
            } => {
                if let Some(Slot::Open(open)) = self.rooms.get_mut(&room) {
                    open.take(log, Told { seq, place }, &mut self.sessions, tally);
                }
            }
        }
        false
    }

    /// Rooms of interest, each with what is shown of it.
    pub(crate) fn interest(&self) -> Vec<(RoomKey, Seq)> {
        let rooms = self.rooms.iter();
        rooms
            .filter_map(|(key, slot)| match slot {
                Slot::Open(room) => Some((key.clone(), room.shown())),
                Slot::Opening(_) => None,
            })
            .collect()
    }

    /// The events a room lacks.
    pub(crate) fn hole(&self, key: &RoomKey) -> Option<Hole> {
        match self.rooms.get(key)? {
            Slot::Open(room) => room.hole(),
            Slot::Opening(_) => None,
        }
    }

    /// Gives a room what a source has of its hole.
    pub(crate) fn fill(&mut self, log: &Log, key: &RoomKey, found: &[Told], tally: &mut Tally) {
        if let Some(Slot::Open(open)) = self.rooms.get_mut(key) {
            open.fill(log, found, &mut self.sessions, tally);
        }
    }

    /// Reads the rows by which a room's next event is judged; without the store it goes on after a while.
    pub(crate) fn read_rows(
        &mut self,
        log: &Log,
        key: &RoomKey,
        dynamo: &Dynamo,
        gives_up: bool,
        tally: &mut Tally,
    ) {
        let Some(Slot::Open(open)) = self.rooms.get_mut(key) else {
            return;
        };
        if !dynamo.answers() {
            if gives_up {
                self.renewals.remove(key);
                open.go_on_without_rows(log, &mut self.sessions, tally);
            }
            return;
        }
        let is_renewing = self.renewals.contains_key(key);
        let is_ahead = !is_renewing && open.read_rows(log, dynamo, &mut self.sessions).is_err();
        if is_ahead || open.is_unsure() {
            self.renew(key, tally);
        }
    }

    /// The store is further than what is shown here, or something was passed over: the room's state is read anew.
    fn renew(&mut self, key: &RoomKey, tally: &mut Tally) {
        self.renewals.entry(key.clone()).or_insert_with(|| {
            tally.reopened += 1;
            Opening::default()
        });
    }

    /// The next event that the renewal of a room folds.
    pub(crate) fn renewal(&self, key: &RoomKey) -> Option<Seq> {
        self.renewals.get(key).and_then(Opening::next)
    }

    /// Takes the next step of reading a room's state anew. Then the room begins again where it is now, and its
    /// subscriptions get what lies between as a replay.
    pub(crate) fn advance_renewal(
        &mut self,
        log: &Log,
        key: &RoomKey,
        dynamo: &Dynamo,
        found: &[Told],
        tally: &mut Tally,
    ) -> bool {
        let Some(renewal) = self.renewals.get_mut(key) else {
            return false;
        };
        let Some(mut room) = renewal.advance(log, key, dynamo, self.rules, found, tally) else {
            return false;
        };
        self.renewals.remove(key);
        if let Some(Slot::Open(old)) = self.rooms.get(key) {
            room.note_head(old.head());
        }
        self.rooms.insert(key.clone(), Slot::Open(Box::new(room)));
        for session in self.sessions.values_mut() {
            if let (true, Following::Live(next)) = (session.room == *key, session.following) {
                session.following = Following::Behind(next);
            }
        }
        true
    }

    /// Takes the next step of opening a room; `true` once it is open.
    pub(crate) fn advance_opening(
        &mut self,
        log: &Log,
        key: &RoomKey,
        dynamo: &Dynamo,
        found: &[Told],
        tally: &mut Tally,
    ) -> bool {
        let Some(Slot::Opening(opening)) = self.rooms.get_mut(key) else {
            return false;
        };
        let opened = opening.advance(log, key, dynamo, self.rules, found, tally);
        let is_open = opened.is_some();
        if let Some(room) = opened {
            self.rooms.insert(key.clone(), Slot::Open(Box::new(room)));
        }
        is_open
    }

    /// Takes an owner's answer to the question how far a room is.
    pub(crate) fn answered(&mut self, key: &RoomKey, head: (Seq, Count)) {
        match self.rooms.get_mut(key) {
            Some(Slot::Opening(opening)) => opening.answered(head),
            Some(Slot::Open(room)) => room.note_head(head.0),
            None => {}
        }
        if let Some(renewal) = self.renewals.get_mut(key) {
            renewal.answered(head);
        }
        let sessions = self.sessions.values_mut();
        for session in sessions.filter(|session| session.room == *key) {
            if let Following::AsksHowFar(has) = session.following {
                let since = Since {
                    seq: has,
                    epoch: None,
                };
                session.follow(since.against_fresh(head.0), head.0, self.rules);
            }
        }
    }

    /// Rooms that wait for an owner to say how far they are.
    pub(crate) fn questions(&self) -> Vec<RoomKey> {
        let openings = self.rooms.iter().filter_map(|(key, slot)| match slot {
            Slot::Opening(opening) if opening.wants_head() => Some(key.clone()),
            _ => None,
        });
        let renewals = self.renewals.iter();
        let renewals = renewals.filter(|(_, renewal)| renewal.wants_head());
        let openings = openings.chain(renewals.map(|(key, _)| key.clone()));
        let sessions = self.sessions.values();
        let asking = sessions
            .filter(|session| matches!(session.following, Following::AsksHowFar(_)))
            .map(|session| session.room.clone());
        openings.chain(asking).collect()
    }

    /// Serves a client's subscription: grants it, or finds its next events. `found` is what a source has of those that
    /// are not here.
    pub(crate) fn serve(
        &mut self,
        log: &Log,
        client: usize,
        dynamo: &Dynamo,
        found: &[Told],
        tally: &mut Tally,
    ) {
        let Some(session) = self.sessions.get_mut(&client) else {
            return;
        };
        let Some(Slot::Open(room)) = self.rooms.get_mut(&session.room) else {
            return;
        };
        if !room.knows(&session.user) {
            if !dynamo.answers() {
                return;
            }
            if room.learn(&session.user, dynamo).is_err() {
                let key = session.room.clone();
                return self.renew(&key, tally);
            }
        }
        match session.following {
            Following::Asked(_) if !room.may_read(&session.user) => {
                session.is_over(session.subscribing, Some(Code::NotAMember));
                session.following = Following::Ended;
            }
            Following::Asked(has) => {
                let since = Since {
                    seq: has,
                    epoch: None,
                };
                session.is_subscribed(room.shown());
                let resume = since.against(room.shown(), "", BEHIND_MAX);
                session.follow(resume, room.shown(), self.rules);
            }
            Following::Behind(next) => {
                session.following = room.pull(log, session, next, dynamo, found, tally);
            }
            Following::AsksHowFar(_) | Following::Live(_) | Following::Ended => {}
        }
    }
}

// === impl Session ===

impl Session {
    /// A request came to its end; the client is told.
    fn is_over(&mut self, request: RequestId, refused: Option<Code>) {
        let frames = self.conversation.is_over(request, refused);
        self.wire.extend(frames.into_iter().map(Frame::Answer));
    }

    /// The subscription stands; the client is told.
    fn is_subscribed(&mut self, head: Seq) {
        let frames = self.conversation.is_subscribed(self.subscribing, head);
        self.wire.extend(frames.into_iter().map(Frame::Answer));
    }

    fn follow(&mut self, resume: Resume, head: Seq, rules: Rules) {
        let asks = rules.keep(Mechanism::FreshHead);
        self.following = match resume {
            Resume::At(next) => Following::Behind(next),
            Resume::AskHowFar if asks => match self.following {
                Following::Asked(has) => Following::AsksHowFar(has),
                other => other,
            },
            Resume::AskHowFar | Resume::Reset(_) => {
                self.wire.push_back(Frame::Reset { head });
                Following::Behind(head.next())
            }
        };
    }
}
