//! The task that owns all lists.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use roomlog_core::{
    event::{Body, Event, Kind},
    ids::{RoomKey, Seq, UserId},
    unread::{ReadPosition, joiner},
};
use roomlog_platform::{shutdown::Shutdown, stored_event::StoredEvent};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::MissedTickBehavior,
};

use super::{
    Heard, Hearing, Request,
    entry::{Entry, Level},
    list::{List, State},
    load::{self, Looked, Row},
};
use crate::{
    clock,
    hub::{Caller, Decoded, Hub, Source},
};

/// How often subscribers are told what changed: however busy its rooms are, a list costs one message per room in it.
pub(super) const TELL_INTERVAL: Duration = Duration::from_millis(250);
/// How long a first snapshot waits for what is not stored yet. After it, the rest comes as changes.
const SETTLE_MS: u64 = 2_000;
/// How long a list may go by what is heard alone. Read positions travel as signals, and one that was lost unnoticed is
/// found then.
const REREAD_MS: u64 = 300_000;
/// How long a list nobody looks at is kept, so that coming back costs nothing.
const LINGER_MS: u64 = 30_000;
/// Lists read at once; a gateway full of users that come back at the same time is not a storm for the store.
const READS_AT_ONCE: usize = 16;
/// Rooms whose latest events are fetched at once.
const FILLS_AT_ONCE: usize = 32;
/// Rooms of one list whose last message is fetched, the most active ones; others show it from the next message on.
const PREVIEWS_MAX: usize = 500;
/// Ticks between two questions of how many members are online: a second.
const COUNT_TICKS: u32 = 4;
/// Rooms in one such question; a gateway with more of them on lists asks about them in turn.
const COUNTS_MAX: usize = 2_000;
/// How long a join is remembered for those whose list is read before the store knows of it.
const JOIN_MS: u64 = 60_000;
/// Joins remembered; beyond it the oldest go first.
const JOINS_MAX: usize = 10_000;
/// Things heard at once before requests and time get their turn.
const HEARD_AT_ONCE: usize = 256;

/// The lists and what they wait for.
pub(super) struct Task {
    hub: Hub,
    source: Source,
    lists: HashMap<UserId, List>,
    /// By room: the users with the room on their list.
    followers: BTreeMap<RoomKey, BTreeSet<UserId>>,
    doing: JoinSet<Done>,
    readers: Arc<Semaphore>,
    fillers: Arc<Semaphore>,
    joins: VecDeque<(u64, UserId, RoomKey)>,
    /// Ticks until members who are online are counted again; nothing while they are being counted.
    counts_in: Option<u32>,
    /// The last room they were counted in.
    counted: Option<RoomKey>,
}

/// What was done elsewhere.
enum Done {
    Read(UserId, Vec<Row>),
    Looked(UserId, RoomKey, Looked),
    Filled(UserId, RoomKey, Option<Vec<StoredEvent>>),
    /// Members who are online.
    Counted(HashMap<RoomKey, u64>),
}

/// What wakes the task.
enum Wake {
    Heard,
    Request(Request),
    Done(Done),
    Tick,
    Stop,
}

// === impl Task ===

impl Task {
    pub(super) fn new(hub: Hub, source: Source) -> Self {
        Self {
            hub,
            source,
            lists: HashMap::new(),
            followers: BTreeMap::new(),
            doing: JoinSet::new(),
            readers: Arc::new(Semaphore::new(READS_AT_ONCE)),
            fillers: Arc::new(Semaphore::new(FILLS_AT_ONCE)),
            joins: VecDeque::new(),
            counts_in: Some(COUNT_TICKS),
            counted: None,
        }
    }

    pub(super) async fn run(
        mut self,
        mut hearing: Hearing,
        mut requests: mpsc::Receiver<Request>,
        shutdown: Shutdown,
    ) {
        let mut ticks = tokio::time::interval(TELL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Vec::with_capacity(HEARD_AT_ONCE);
        loop {
            let wake = tokio::select! {
                Some(request) = requests.recv() => Wake::Request(request),
                Some(done) = self.doing.join_next() => match done {
                    Ok(done) => Wake::Done(done),
                    // Nothing aborts these while the task runs, and a panic in one is a fault to be seen.
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                _ = ticks.tick() => Wake::Tick,
                1.. = hearing.heard.recv_many(&mut heard, HEARD_AT_ONCE) => Wake::Heard,
                () = shutdown.begun() => Wake::Stop,
            };
            match wake {
                Wake::Request(request) => self.request(request),
                Wake::Done(done) => self.done(done).await,
                Wake::Heard => heard.drain(..).for_each(|heard| self.hear(heard)),
                Wake::Tick => self.tick(hearing.take_gap()).await,
                Wake::Stop => return,
            }
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Subscribe(caller, subscriber) => self.list(caller).subscribe(*subscriber),
            Request::Show(caller, reply) => self.list(caller).show(reply),
            Request::Unsubscribe(user, connection, index) => {
                if let Some(list) = self.lists.get_mut(&user) {
                    list.unsubscribe(connection, index);
                }
            }
        }
    }

    /// A user's list, which begins to be read where it is new.
    fn list(&mut self, caller: Caller) -> &mut List {
        let user = caller.user.clone();
        if !self.lists.contains_key(&user) {
            self.read(user.clone());
        }
        let list = self
            .lists
            .entry(user)
            .or_insert_with(|| List::new(caller.clone()));
        list.used_ms = clock::monotonic_ms();
        list
    }

    fn read(&mut self, user: UserId) {
        let (source, turns) = (self.source.clone(), Arc::clone(&self.readers));
        self.doing.spawn(async move {
            let _turn = turns.acquire().await;
            let rows = load::rows(&source, &user).await;
            Done::Read(user, rows)
        });
    }

    fn look(&mut self, caller: Caller, key: RoomKey, after: Seq) {
        if let Some(list) = self.lists.get_mut(&caller.user) {
            list.looking += 1;
        }
        let (source, hub) = (self.source.clone(), self.hub.clone());
        self.doing.spawn(async move {
            let looked = load::look(&source, &hub, &caller, &key, after).await;
            Done::Looked(caller.user, key, looked)
        });
    }

    // --- What was read ---

    async fn done(&mut self, done: Done) {
        if let Done::Looked(user, ..) = &done
            && let Some(list) = self.lists.get_mut(user)
        {
            list.looking = list.looking.saturating_sub(1);
        }
        match done {
            Done::Read(user, rows) => self.take_rows(&user, rows).await,
            Done::Looked(user, key, Looked::In(row, as_of)) => {
                if self.is_news(&user, &key, as_of, true) {
                    self.add(&user, &key, *row).await;
                }
            }
            Done::Looked(user, key, Looked::Out(as_of)) => {
                if self.is_news(&user, &key, as_of, false) {
                    self.remove(&user, &key).await;
                }
            }
            Done::Looked(_, _, Looked::Unknown) => self.source.ear.note_gap(),
            Done::Filled(user, key, events) => self.filled(&user, &key, events),
            Done::Counted(totals) => self.take_totals(totals),
        }
        let now_ms = clock::monotonic_ms();
        self.lists.values_mut().for_each(|list| list.settle(now_ms));
    }

    fn is_news(&mut self, user: &UserId, key: &RoomKey, as_of: Seq, is_in: bool) -> bool {
        let list = self.lists.get_mut(user);
        list.is_some_and(|list| list.judge(key, as_of, is_in))
    }

    async fn take_rows(&mut self, user: &UserId, mut rows: Vec<Row>) {
        let Some(list) = self.lists.get_mut(user) else {
            return;
        };
        if list.state == State::Reading {
            let until_ms = clock::monotonic_ms() + SETTLE_MS;
            list.state = State::Levelling { until_ms };
        }
        list.read_ms = clock::monotonic_ms();
        rows.retain(|row| !list.is_over(&row.key, row.member.changed_seq));
        let caller = list.caller.clone();
        let read: BTreeSet<RoomKey> = rows.iter().map(|row| row.key.clone()).collect();
        let elsewhere = list.rooms.keys().cloned();
        let joined = self.joins.iter().filter(|(_, who, _)| who == user);
        let doubtful: BTreeSet<RoomKey> = elsewhere
            .chain(joined.map(|(_, _, key)| key.clone()))
            .filter(|key| !read.contains(key))
            .collect();
        for row in rows {
            merge(list, row);
        }
        list.want_last_of(PREVIEWS_MAX);
        for key in &read {
            self.followers
                .entry(key.clone())
                .or_default()
                .insert(user.clone());
        }
        self.hub.follow(read.into_iter().collect()).await;
        for key in doubtful {
            self.look(caller.clone(), key, Seq::ZERO);
        }
    }

    async fn add(&mut self, user: &UserId, key: &RoomKey, row: Row) {
        let Some(list) = self.lists.get_mut(user) else {
            return;
        };
        let is_new = !list.rooms.contains_key(key);
        merge(list, row);
        if is_new {
            let followers = self.followers.entry(key.clone()).or_default();
            followers.insert(user.clone());
        }
        self.hub.follow(vec![key.clone()]).await;
    }

    async fn remove(&mut self, user: &UserId, key: &RoomKey) {
        if let Some(list) = self.lists.get_mut(user)
            && list.remove(key)
        {
            self.leave(user, key).await;
        }
    }

    async fn leave(&mut self, user: &UserId, key: &RoomKey) {
        if let Some(followers) = self.followers.get_mut(key) {
            followers.remove(user);
            if followers.is_empty() {
                self.followers.remove(key);
                self.hub.unfollow(vec![key.clone()]).await;
            }
        }
    }

    fn filled(&mut self, user: &UserId, key: &RoomKey, events: Option<Vec<StoredEvent>>) {
        let Some(list) = self.lists.get_mut(user) else {
            return;
        };
        let Some(entry) = list.rooms.get_mut(key) else {
            return;
        };
        entry.level = Level::Even;
        list.dirty.insert(key.clone());
        let Some(events) = events else {
            return self.source.ear.note_gap();
        };
        let mut last_of_state = None;
        for stored in events {
            let Decoded { stored, event, .. } = Decoded::new(stored);
            entry.note_event(user, &stored, event.as_ref());
            last_of_state = match event.map(|event| event.body) {
                Some(Body::Member(member)) if member.user == *user => Some(stored.seq),
                Some(Body::Room(_)) => Some(stored.seq),
                _ => last_of_state,
            };
        }
        // The row that put the room on the list was older than this.
        if let Some(seq) = last_of_state.filter(|seq| !list.knows(key, *seq)) {
            let caller = list.caller.clone();
            self.look(caller, key.clone(), seq);
        }
    }

    /// Counts the members who are online, in the rooms whose turn it is.
    fn count_online(&mut self) {
        let begin = self
            .counted
            .take()
            .map_or(Bound::Unbounded, Bound::Excluded);
        let rooms = self.followers.range((begin, Bound::Unbounded));
        let keys: Vec<RoomKey> = rooms.map(|(key, _)| key.clone()).take(COUNTS_MAX).collect();
        if keys.len() == COUNTS_MAX {
            self.counted = keys.last().cloned();
        }
        self.counts_in = None;
        let presence = self.source.presence.clone();
        self.doing
            .spawn(async move { Done::Counted(presence.online_totals(&keys).await) });
    }

    fn take_totals(&mut self, totals: HashMap<RoomKey, u64>) {
        self.counts_in = Some(COUNT_TICKS);
        for (key, online) in totals {
            for user in self.followers.get(&key).into_iter().flatten() {
                if let Some(list) = self.lists.get_mut(user)
                    && let Some(entry) = list.rooms.get_mut(&key)
                    && entry.note_online(online)
                {
                    list.dirty.insert(key.clone());
                }
            }
        }
    }

    // --- What is heard ---

    fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Event(stored) => self.hear_event(stored),
            Heard::Head(head) => {
                self.hear_head(&head.key, ReadPosition::at(head.seq, head.count));
            }
            Heard::Read {
                key,
                user,
                position,
            } => {
                if let Some(list) = self.lists.get_mut(&user)
                    && let Some(entry) = list.rooms.get_mut(&key)
                    && entry.note_position(position)
                {
                    list.dirty.insert(key);
                }
            }
        }
    }

    fn hear_head(&mut self, key: &RoomKey, head: ReadPosition) {
        for user in self.followers.get(key).into_iter().flatten() {
            let Some(list) = self.lists.get_mut(user) else {
                continue;
            };
            let Some(entry) = list.rooms.get_mut(key) else {
                continue;
            };
            if entry.note_head(head) {
                list.dirty.insert(key.clone());
            }
            if entry.level != Level::Stored {
                continue;
            }
            let (stored, head) = (entry.stored.seq, entry.head().seq);
            let wants_last = entry.wants_last;
            if head <= stored && !wants_last {
                entry.level = Level::Even;
                continue;
            }
            entry.level = Level::Filling;
            let (source, turns) = (self.source.clone(), Arc::clone(&self.fillers));
            let (user, key) = (user.clone(), key.clone());
            self.doing.spawn(async move {
                let _turn = turns.acquire().await;
                let events = load::fill(&source, &key, stored, head, wants_last).await;
                Done::Filled(user, key, events)
            });
        }
    }

    fn hear_event(&mut self, stored: StoredEvent) {
        let matters_to_all = matches!(stored.kind, Kind::Member | Kind::Room);
        if !matters_to_all && !self.followers.contains_key(&stored.key) {
            return;
        }
        let decoded = Decoded::new(stored);
        let (stored, event) = (&decoded.stored, decoded.event.as_ref());
        for user in self.followers.get(&stored.key).into_iter().flatten() {
            if let Some(list) = self.lists.get_mut(user)
                && let Some(entry) = list.rooms.get_mut(&stored.key)
                && entry.note_event(user, stored, event)
            {
                list.dirty.insert(stored.key.clone());
            }
        }
        if let Some(event) = event.filter(|_| matters_to_all) {
            self.hear_of_state(stored, event);
        }
    }

    /// An event that may put a room on a list, change what it is called, or take it off.
    fn hear_of_state(&mut self, stored: &StoredEvent, event: &Event) {
        if let Some(user) = joiner(event) {
            let now_ms = clock::monotonic_ms();
            self.joins
                .push_back((now_ms, user.clone(), stored.key.clone()));
            if self.joins.len() > JOINS_MAX {
                self.joins.pop_front();
            }
        }
        let concerned: Vec<UserId> = match &event.body {
            Body::Member(member) => vec![member.user.clone()],
            Body::Room(room) if room.kind.is_some() => vec![event.sender.id.clone()],
            _ => {
                let followers = self.followers.get(&stored.key).into_iter().flatten();
                followers.cloned().collect()
            }
        };
        for user in concerned {
            if let Some(list) = self.lists.get(&user) {
                self.look(list.caller.clone(), stored.key.clone(), stored.seq);
            }
        }
    }

    // --- Time ---

    async fn tick(&mut self, has_gap: bool) {
        let now_ms = clock::monotonic_ms();
        match self.counts_in {
            Some(0) => self.count_online(),
            Some(ticks) => self.counts_in = Some(ticks - 1),
            None => {}
        }
        while self
            .joins
            .front()
            .is_some_and(|(at_ms, ..)| at_ms + JOIN_MS < now_ms)
        {
            self.joins.pop_front();
        }
        for list in self.lists.values_mut() {
            list.settle(now_ms);
            list.tell();
            if list.is_watched() {
                list.used_ms = now_ms;
            }
        }
        let over: Vec<UserId> = self
            .lists
            .iter()
            .filter(|(_, list)| list.used_ms + LINGER_MS < now_ms)
            .map(|(user, _)| user.clone())
            .collect();
        for user in over {
            let list = self.lists.remove(&user);
            for key in list.into_iter().flat_map(|list| list.rooms.into_keys()) {
                self.leave(&user, &key).await;
            }
        }
        let is_due = |list: &&mut List| has_gap || list.read_ms + REREAD_MS < now_ms;
        let due: Vec<UserId> = self
            .lists
            .values_mut()
            .filter(is_due)
            .map(|list| {
                list.read_ms = now_ms;
                list.caller.user.clone()
            })
            .collect();
        due.into_iter().for_each(|user| self.read(user));
    }
}

/// Takes what the store has of a room into a list; what lies between that and now is counted in once a head is heard.
fn merge(list: &mut List, row: Row) {
    let (meta, member) = (row.meta.clone(), row.member);
    let user = list.caller.user.clone();
    let entry = list.entry(&row.key, || Entry::new(meta, member, &user));
    if row.member.changed_seq >= entry.member.changed_seq {
        entry.member = row.member;
    }
    if row.meta.changed_seq >= entry.meta.changed_seq {
        entry.meta = row.meta;
    }
    entry.note_head(row.stored);
    entry.note_position(row.position);
    entry.note_active(row.active_at_ms);
    entry.note_mentions(&row.mentions);
    if let Some(online) = row.online {
        entry.note_online(online);
    }
    entry.stored = row.stored;
    entry.level = Level::Stored;
    list.dirty.insert(row.key);
}
