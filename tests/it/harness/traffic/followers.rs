//! Followers: each reads its rooms from their first event to the last, and sees every event once and in order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use serde_json::Value;
use tokio::{task::JoinSet, time::timeout};

use super::{
    super::{
        pulse::{Pulse, Worst},
        stomp::{Arrival, Frame, StompClient},
        user::{Room, User},
        wait::until,
    },
    FLOW_LIMIT, PATIENCE, Seen, Sight, connect,
};

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

    /// From now on silence and delay count.
    pub(crate) fn listen(&self) {
        self.pulse.listen(self.pairs.iter().cloned());
    }

    /// The worst that each follower of each room had to bear since.
    pub(crate) fn worst(&self) -> Vec<Worst> {
        self.pulse.worst()
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
        let appended_ms = frame.number("timestamp");
        self.pulse.beat(self.index, room, appended_ms);
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
