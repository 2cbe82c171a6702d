//! The lists of friends of the users here: one snapshot, then who comes and goes.
//!
//! One task owns all lists. About once a second it asks owners about the friends on them, in memory and without Redis:
//! a user's inbox is a room they alone are in, and they are declared there like in any other. Nothing waits for it.

mod list;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use roomlog_core::{
    code::{Code, Refusal},
    friendship::Friendship,
    ids::UserId,
    presence::Circles,
    session::SubIndex,
};
use roomlog_platform::{backoff::Backoff, dynamo::Store, shutdown::Shutdown};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{MissedTickBehavior, interval as ticks},
};

use self::list::List;
use crate::{
    clock,
    hub::{ConnectionId, Subscriber},
    presence::Presence,
};

/// Requests that wait for the task. When full, they are refused `overloaded`.
const REQUESTS_MAX: usize = 4_096;
/// How often friends are asked about.
const ASK_INTERVAL: Duration = Duration::from_secs(1);
/// Friends in one such question; a gateway whose users have more of them asks about them in turn.
const ASKED_MAX: usize = 2_000;
/// How long a list goes by the friends that were read: those made or lost by way of another gateway are seen then.
const REREAD_MS: u64 = 60_000;
/// Lists read at once; a gateway full of users that come back at the same time is not a storm for the store.
const READS_AT_ONCE: usize = 16;
/// The waits between two attempts to read one.
const RETRY_FLOOR: Duration = Duration::from_millis(50);
const RETRY_CEILING: Duration = Duration::from_secs(2);

/// The way to the task.
#[derive(Clone, Debug)]
pub(crate) struct FriendLists {
    requests: mpsc::Sender<Request>,
}

/// What the task is asked.
#[derive(Debug)]
enum Request {
    /// A snapshot, then changes.
    Subscribe(Box<Subscriber>),
    Unsubscribe(UserId, ConnectionId, SubIndex),
    /// A user's friends are others now.
    Reread(UserId),
}

/// The lists and what they wait for.
struct Task {
    store: Store,
    presence: Presence,
    circles: Circles,
    lists: HashMap<UserId, List>,
    doing: JoinSet<Done>,
    readers: Arc<Semaphore>,
    /// A question is under way.
    is_asking: bool,
}

/// Who is online and who is not.
type Answers = Vec<(UserId, bool)>;

/// What was done elsewhere.
enum Done {
    /// A user's friends, and an answer about them.
    Read(UserId, BTreeSet<UserId>, Answers),
    Asked(Answers),
}

// === impl FriendLists ===

impl FriendLists {
    /// Starts the task.
    pub(crate) fn start(store: Store, presence: Presence, shutdown: &Shutdown) -> Self {
        let (requests, received) = mpsc::channel(REQUESTS_MAX);
        let task = Task {
            store,
            presence,
            circles: Circles::default(),
            lists: HashMap::new(),
            doing: JoinSet::new(),
            readers: Arc::new(Semaphore::new(READS_AT_ONCE)),
            is_asking: false,
        };
        shutdown.spawn(task.run(received, shutdown.clone()));
        Self { requests }
    }

    /// Begins a subscription, or begins one anew: its snapshot comes through the outbox.
    pub(crate) fn subscribe(&self, subscriber: Subscriber) -> Result<(), Refusal> {
        let request = Request::Subscribe(Box::new(subscriber));
        self.requests.try_send(request).map_err(|_| {
            Refusal::retry_after(
                Code::Overloaded,
                "too many lists of friends are read",
                1_000,
            )
        })
    }

    /// Ends a subscription. What is lost here is found by the closed outbox.
    pub(crate) fn unsubscribe(&self, user: &UserId, connection: ConnectionId, index: SubIndex) {
        let request = Request::Unsubscribe(user.clone(), connection, index);
        let _ = self.requests.try_send(request);
    }

    /// Two users became friends, or ceased to be. What is lost here is found when their lists are read again.
    pub(crate) fn changed(&self, users: [&UserId; 2]) {
        for user in users {
            let _ = self.requests.try_send(Request::Reread(user.clone()));
        }
    }
}

// === impl Task ===

impl Task {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>, shutdown: Shutdown) {
        let mut turns = ticks(ASK_INTERVAL);
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(request) = requests.recv() => self.request(request),
                Some(done) = self.doing.join_next() => match done {
                    Ok(done) => self.done(done),
                    // Nothing aborts these while the task runs, and a panic in one is a fault to be seen.
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                _ = turns.tick() => self.tick(),
                () = shutdown.begun() => return,
            }
        }
    }

    fn request(&mut self, request: Request) {
        match request {
            Request::Subscribe(subscriber) => {
                let user = subscriber.user.clone();
                let list = self.lists.entry(user.clone()).or_default();
                list.subscribe(*subscriber, &self.circles);
                if list.is_new() {
                    self.read(&user);
                }
            }
            Request::Unsubscribe(user, connection, index) => {
                if let Some(list) = self.lists.get_mut(&user) {
                    list.unsubscribe(connection, index);
                }
            }
            Request::Reread(user) => self.read(&user),
        }
    }

    /// Reads a list, or once more after the reading that is under way.
    fn read(&mut self, user: &UserId) {
        let Some(list) = self.lists.get_mut(user) else {
            return;
        };
        if !list.begins_reading(clock::monotonic_ms()) {
            return;
        }
        let (store, presence) = (self.store.clone(), self.presence.clone());
        let (turns, user) = (Arc::clone(&self.readers), user.clone());
        self.doing.spawn(async move {
            // Never closed.
            let _turn = turns.acquire().await;
            let friends = friends(&store, &user).await;
            let asked: Vec<UserId> = friends.iter().cloned().collect();
            Done::Read(user, friends, presence.online(&asked).await)
        });
    }

    fn done(&mut self, done: Done) {
        // Whose lists have something to tell: the others need not be looked at.
        let mut concerned = BTreeSet::new();
        let answers = match done {
            Done::Asked(answers) => {
                self.is_asking = false;
                answers
            }
            Done::Read(user, friends, answers) => {
                let Some(list) = self.lists.get_mut(&user) else {
                    return;
                };
                let is_stale = list.ends_reading();
                list.dirty.extend(self.circles.set(&user, friends));
                if is_stale {
                    self.read(&user);
                }
                concerned.insert(user);
                answers
            }
        };
        for (user, friend) in self.circles.take(answers) {
            if let Some(list) = self.lists.get_mut(&user) {
                list.dirty.insert(friend);
                concerned.insert(user);
            }
        }
        for user in concerned {
            if let Some(list) = self.lists.get_mut(&user) {
                list.tell(&user, &self.circles);
            }
        }
    }

    fn tick(&mut self) {
        let now_ms = clock::monotonic_ms();
        let circles = &mut self.circles;
        self.lists.retain(|user, list| {
            let stays = list.is_of_use();
            if !stays {
                circles.forget(user);
            }
            stays
        });
        let lists = self.lists.iter();
        let due = lists.filter(|(_, list)| list.read_ms + REREAD_MS < now_ms);
        let due: Vec<UserId> = due.map(|(user, _)| user.clone()).collect();
        due.iter().for_each(|user| self.read(user));
        self.ask();
    }

    /// Asks about the friends whose turn it is.
    fn ask(&mut self) {
        if self.is_asking {
            return;
        }
        let friends = self.circles.next(ASKED_MAX);
        if friends.is_empty() {
            return;
        }
        self.is_asking = true;
        let presence = self.presence.clone();
        self.doing
            .spawn(async move { Done::Asked(presence.online(&friends).await) });
    }
}

/// A user's friends, read until the store answers.
async fn friends(store: &Store, user: &UserId) -> BTreeSet<UserId> {
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        match store.friends(user).await {
            Ok(rows) => {
                let friends = rows.into_iter();
                let friends = friends.filter(|row| row.standing == Friendship::Friends);
                return friends.map(|row| row.friend).collect();
            }
            Err(error) => tracing::warn!(%error, "a user's friends can't be read"),
        }
        backoff.wait().await;
    }
}
