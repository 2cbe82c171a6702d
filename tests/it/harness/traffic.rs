//! Many senders and many followers over several gateways, who carry on through every failure and check what they see.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use super::{
    pulse::Pulse,
    stomp::{Arrival, Frame, StompClient},
    user::{Room, User},
    wait::{self, until, within},
};

/// SENDs of one connection that may wait for their receipts; enough to keep the gateway busy, few enough to notice a loss soon.
const UNACKNOWLEDGED_MAX: usize = 32;
/// A gateway that says nothing for so long, not even a heart-beat, is as good as gone. It offers one a second here; the
/// rest is for two cores that other work shares, and who goes too early only comes back.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest until some gateway takes a connection again.
const RECONNECT_LIMIT: Duration = Duration::from_secs(240);
/// For thousands of messages through processes that are killed meanwhile, on two cores that other work shares.
const FLOW_LIMIT: Duration = Duration::from_secs(900);

/// A message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) room: Room,
    pub(crate) id: String,
    pub(crate) text: String,
}

/// One event as a follower saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) seq: u64,
    pub(crate) count: u64,
    pub(crate) id: String,
    pub(crate) kind: String,
}

/// What one follower saw of each of its rooms, in order: event n stands at index n - 1.
pub(crate) type Sight = BTreeMap<Room, Vec<Seen>>;

/// The senders of a test, and how far they have come.
pub(crate) struct Senders {
    tasks: JoinSet<Vec<Post>>,
    allowed: Arc<Semaphore>,
    acknowledged: Arc<AtomicUsize>,
    released: usize,
}

/// The followers of a test.
pub(crate) struct Followers {
    tasks: JoinSet<Sight>,
    seen: Arc<AtomicUsize>,
    pulse: Arc<Pulse>,
    /// Who follows which room.
    pairs: Vec<(usize, Room)>,
    goals: Goals,
}

/// After how many messages of a room its followers have seen all.
type Goals = Arc<BTreeMap<Room, AtomicU64>>;

// === impl Senders ===

impl Senders {
    /// Each sender is ready to send its posts in order; they start as they are released.
    pub(crate) fn new(gateways: &[String], plans: Vec<(User, Vec<Post>)>) -> Self {
        let allowed = Arc::new(Semaphore::new(0));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for (index, (user, posts)) in plans.into_iter().enumerate() {
            let sender = Sender {
                user,
                gateways: gateways.to_vec(),
                turn: index,
                open: VecDeque::new(),
                coming: posts.into(),
                done: Vec::new(),
                allowed: allowed.clone(),
                acknowledged: acknowledged.clone(),
            };
            tasks.spawn(sender.run());
        }
        Self {
            tasks,
            allowed,
            acknowledged,
            released: 0,
        }
    }

    /// Lets so many more messages go out.
    pub(crate) fn release(&mut self, count: usize) {
        self.released += count;
        self.allowed.add_permits(count);
    }

    /// Waits until half of what was released last is acknowledged: the middle of the traffic.
    pub(crate) async fn in_full_flow(&mut self, released_last: usize) {
        let goal = self.released - released_last / 2;
        self.acknowledged(goal).await;
    }

    /// Waits until so many messages are acknowledged.
    pub(crate) async fn acknowledged(&mut self, goal: usize) {
        let what = format!("{goal} acknowledged messages");
        until(&what, FLOW_LIMIT, async || {
            (self.acknowledged.load(Ordering::Relaxed) >= goal).then_some(())
        })
        .await;
    }

    /// Waits until every post of every sender is acknowledged.
    pub(crate) async fn finish(mut self) -> Vec<Post> {
        let mut acknowledged = Vec::new();
        while let Some(ended) = self.tasks.join_next().await {
            acknowledged.extend(ended.expect("the sender got all its receipts"));
        }
        acknowledged
    }

    /// Sends nothing new, and waits until what was sent is acknowledged: that is what it returns.
    pub(crate) async fn stop(self) -> Vec<Post> {
        self.allowed.close();
        self.finish().await
    }

    /// Lets messages go out at an even pace until dropped.
    pub(crate) fn flow(&self, each: Duration) -> Flow {
        let allowed = self.allowed.clone();
        let mut ticks = tokio::time::interval(each);
        Flow(tokio::spawn(async move {
            loop {
                ticks.tick().await;
                allowed.add_permits(1);
            }
        }))
    }

    /// Waits until so many more messages are acknowledged than are by now.
    pub(crate) async fn go_on(&mut self, further: usize) {
        let now = self.acknowledged.load(Ordering::Relaxed);
        self.acknowledged(now + further).await;
    }
}

/// Messages going out at an even pace.
pub(crate) struct Flow(tokio::task::JoinHandle<()>);

impl Drop for Flow {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// One sender: whatever breaks, it connects to the next gateway and repeats what is not acknowledged, with the same ids.
struct Sender {
    user: User,
    gateways: Vec<String>,
    turn: usize,
    /// Sent at least once or about to be, in order, without a receipt yet.
    open: VecDeque<Post>,
    coming: VecDeque<Post>,
    done: Vec<Post>,
    allowed: Arc<Semaphore>,
    acknowledged: Arc<AtomicUsize>,
}

/// What a sender's connection has for it.
enum Next {
    MaySend,
    MayNotAnyMore,
    /// `None` after [`PATIENCE`].
    Arrived(Option<Arrival>),
}

impl Sender {
    async fn run(mut self) -> Vec<Post> {
        while !(self.open.is_empty() && self.coming.is_empty()) {
            let mut client = connect(&self.user, &self.gateways, &mut self.turn).await;
            self.send_until_lost(&mut client).await;
        }
        self.done
    }

    async fn send_until_lost(&mut self, client: &mut StompClient) {
        let repeated: Vec<Frame> = self.open.iter().map(frame).collect();
        if client.try_send_all(repeated).await.is_err() {
            return;
        }
        while !(self.open.is_empty() && self.coming.is_empty()) {
            let may_send = self.open.len() < UNACKNOWLEDGED_MAX && !self.coming.is_empty();
            let next = tokio::select! {
                permit = self.allowed.acquire(), if may_send => match permit {
                    Ok(permit) => {
                        permit.forget();
                        Next::MaySend
                    }
                    Err(_) => Next::MayNotAnyMore,
                },
                arrival = timeout(PATIENCE, client.arrival()), if !self.open.is_empty() => {
                    Next::Arrived(arrival.ok())
                }
            };
            match next {
                Next::MayNotAnyMore => self.coming.clear(),
                Next::MaySend => {
                    let post = self.coming.pop_front().expect("checked above");
                    let sent = client.try_send(&frame(&post)).await;
                    self.open.push_back(post);
                    if sent.is_err() {
                        return;
                    }
                }
                Next::Arrived(Some(Arrival::Frame(frame))) if frame.command == "RECEIPT" => {
                    self.tick_off(frame.header("receipt-id"));
                }
                Next::Arrived(Some(Arrival::Beat)) => {}
                // An ERROR (overloaded, log-unavailable, draining …), the end or silence: nothing open is known to be in
                // the log.
                Next::Arrived(Some(Arrival::Frame(_) | Arrival::Closed(_)) | None) => return,
            }
        }
    }

    fn tick_off(&mut self, id: &str) {
        let position = self.open.iter().position(|post| post.id == id);
        let post = self
            .open
            .remove(position.expect("a receipt for something sent and open"));
        self.done.extend(post);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

fn frame(post: &Post) -> Frame {
    Frame::send(&post.room, &post.text)
        .with("id", &post.id)
        .with("receipt", &post.id)
}

// === impl Followers ===

impl Followers {
    /// Each user follows its rooms from their first event until each holds so many messages.
    pub(crate) fn new(
        gateways: &[String],
        plans: Vec<(User, Vec<Room>)>,
        messages_per_room: u64,
    ) -> Self {
        let seen = Arc::new(AtomicUsize::new(0));
        let rooms = plans.iter().flat_map(|(_, rooms)| rooms);
        let goals: Goals = Arc::new(
            rooms
                .map(|room| (room.clone(), AtomicU64::new(messages_per_room)))
                .collect(),
        );
        let pulse = Arc::new(Pulse::default());
        let pairs = plans.iter().enumerate().flat_map(|(index, (_, rooms))| {
            let rooms = rooms.iter().cloned();
            rooms.map(move |room| (index, room))
        });
        let pairs = pairs.collect();
        let mut tasks = JoinSet::new();
        for (index, (user, rooms)) in plans.into_iter().enumerate() {
            let follower = Follower {
                index,
                pulse: pulse.clone(),
                user,
                gateways: gateways.to_vec(),
                turn: index,
                goals: goals.clone(),
                sight: rooms.into_iter().map(|room| (room, Vec::new())).collect(),
                seen: seen.clone(),
            };
            tasks.spawn(follower.run());
        }
        Self {
            tasks,
            seen,
            pulse,
            pairs,
            goals,
        }
    }

    /// Says how many messages a room comes to, before the last of them is sent.
    pub(crate) fn end_at(&self, room: &str, messages: u64) {
        self.goals[room].store(messages, Ordering::Relaxed);
    }

    /// From now on silence counts.
    pub(crate) fn listen(&self) {
        self.pulse.listen(self.pairs.iter().cloned());
    }

    /// The longest that each follower saw nothing of each room before it saw something again, the shortest first.
    pub(crate) fn silences(&self) -> Vec<Duration> {
        self.pulse.silences()
    }

    /// Waits until every follower has seen something of every room from now on.
    pub(crate) async fn all_see_something(&self) {
        let now = Instant::now();
        until(
            "a delivery of every room to everyone",
            FLOW_LIMIT,
            async || self.pulse.all_heard_since(now).then_some(()),
        )
        .await;
    }

    /// Waits until so many events have been seen by all followers together.
    pub(crate) async fn have_seen(&self, events: usize) {
        let what = format!("{events} deliveries");
        until(&what, FLOW_LIMIT, async || {
            (self.seen.load(Ordering::Relaxed) >= events).then_some(())
        })
        .await;
    }

    /// What each follower saw, once all have seen everything; per room, all must have seen the very same.
    pub(crate) async fn agreed(mut self) -> Sight {
        let mut agreed = Sight::new();
        while let Some(sight) = self.tasks.join_next().await {
            for (room, events) in sight.expect("the follower saw every event in order") {
                let first = agreed.entry(room.clone()).or_insert_with(|| events.clone());
                assert!(
                    *first == events,
                    "two followers saw different histories of {room}"
                );
            }
        }
        agreed
    }
}

/// One follower: whatever breaks, it connects to the next gateway and goes on after the last event it saw.
struct Follower {
    index: usize,
    pulse: Arc<Pulse>,
    user: User,
    gateways: Vec<String>,
    turn: usize,
    goals: Goals,
    sight: Sight,
    seen: Arc<AtomicUsize>,
}

impl Follower {
    async fn run(mut self) -> Sight {
        while !self.is_done() {
            let mut client = connect(&self.user, &self.gateways, &mut self.turn).await;
            let subscriptions: Vec<Frame> = self
                .sight
                .iter()
                .map(|(room, seen)| resume(room, seen))
                .collect();
            if client.try_send_all(subscriptions).await.is_ok() {
                self.watch_until_lost(&mut client).await;
            }
        }
        self.sight
    }

    async fn watch_until_lost(&mut self, client: &mut StompClient) {
        while !self.is_done() {
            match timeout(PATIENCE, client.arrival()).await {
                Ok(Arrival::Frame(frame)) if frame.command == "MESSAGE" => self.note(&frame),
                Ok(Arrival::Beat) => {}
                Ok(Arrival::Frame(_) | Arrival::Closed(_)) | Err(_) => return,
            }
        }
    }

    fn note(&mut self, frame: &Frame) {
        let room = frame.header("subscription");
        assert!(
            frame.header("type") != "reset",
            "{} lost its place: {frame:?}",
            self.user.id
        );
        let events = self.sight.get_mut(room).expect("a room it follows");
        let expected = events.len() as u64 + 1;
        assert!(
            frame.number("seq") == expected,
            "{} of {room} expected {expected}: {frame:?}",
            self.user.id
        );
        let body: Value = frame.json();
        assert!(body["seq"] == expected, "header and body agree: {frame:?}");
        events.push(Seen {
            seq: expected,
            count: frame.number("count"),
            id: body["id"]
                .as_str()
                .expect("every event has an id")
                .to_owned(),
            kind: frame.header("type").to_owned(),
        });
        self.seen.fetch_add(1, Ordering::Relaxed);
        self.pulse.beat(self.index, room);
    }

    fn is_done(&self) -> bool {
        self.sight.iter().all(|(room, events)| {
            let goal = self.goals[room].load(Ordering::Relaxed);
            events.last().is_some_and(|last| last.count >= goal)
        })
    }
}

fn resume(room: &str, seen: &[Seen]) -> Frame {
    Frame::subscribe(room, &format!("/topic/rooms/{room}")).with("since", seen.len())
}

/// A connection to whichever gateway takes it, beginning with the one after the last.
async fn connect(user: &User, gateways: &[String], turn: &mut usize) -> StompClient {
    within("a gateway to take a connection", RECONNECT_LIMIT, async {
        loop {
            let gateway = &gateways[*turn % gateways.len()];
            *turn += 1;
            match StompClient::try_connect_beating(gateway, &user.token).await {
                Ok(client) => return client,
                Err(_) => wait::a_moment().await,
            }
        }
    })
    .await
}

/// The ids of the messages among what was seen.
pub(crate) fn message_ids(events: &[Seen]) -> Vec<&str> {
    let messages = events.iter().filter(|event| event.kind == "message");
    messages.map(|event| event.id.as_str()).collect()
}
