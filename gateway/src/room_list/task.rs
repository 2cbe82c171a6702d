//! The task that owns all lists: what wakes it, and what time brings.

mod heard;
mod online;
mod read;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use roomlog_core::ids::{RoomKey, Seq, UserId};
use roomlog_platform::{shutdown::Shutdown, stored_event::StoredEvent};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::MissedTickBehavior,
};

use super::{
    Hearing, Request,
    list::List,
    load::{self, Looked, Rows},
    turns::Turns,
};
use crate::{
    clock,
    hub::{Caller, Hub, Source},
};

/// How often subscribers are told what changed: however busy its rooms are, a list costs one message per room in it.
pub(super) const TELL_INTERVAL: Duration = Duration::from_millis(250);
/// How long a list may go by what is heard alone. Read positions travel as signals, and one that was lost unnoticed is
/// found then.
const REREAD_MS: u64 = 300_000;
/// How long a list nobody looks at is kept, so that coming back costs nothing.
const LINGER_MS: u64 = 30_000;
/// Lists read at once; a gateway full of users that come back at the same time is not a storm for the store.
const READS_AT_ONCE: usize = 16;
/// Rooms whose latest events are fetched at once.
const FILLS_AT_ONCE: usize = 32;
/// Ticks between two questions of how many members are online: a second.
const COUNT_TICKS: u32 = 4;
/// How long a join is remembered for those whose list is read before the store knows of it.
const JOIN_MS: u64 = 60_000;
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
    /// Whose rows are being read.
    reading: Turns<UserId, ()>,
    /// Rooms that are being looked at for somebody, and as of which event.
    looking: Turns<(UserId, RoomKey), Seq>,
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
    Read(UserId, Rows),
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
            reading: Turns::default(),
            looking: Turns::default(),
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
        if !self.reading.begin(&user, ()) {
            return;
        }
        let (source, turns) = (self.source.clone(), Arc::clone(&self.readers));
        self.doing.spawn(async move {
            let _turn = turns.acquire().await;
            let rows = load::rows(&source, &user).await;
            Done::Read(user, rows)
        });
    }

    fn look(&mut self, caller: Caller, key: RoomKey, after: Seq) {
        let whose = (caller.user.clone(), key.clone());
        if !self.looking.begin(&whose, after) {
            return;
        }
        if let Some(list) = self.lists.get_mut(&caller.user) {
            list.looking += 1;
        }
        let (source, hub) = (self.source.clone(), self.hub.clone());
        self.doing.spawn(async move {
            let looked = load::look(&source, &hub, &caller, &key, after).await;
            Done::Looked(caller.user, key, looked)
        });
    }

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
            self.hub.unfollow(vec![RoomKey::inbox(&user)]).await;
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
