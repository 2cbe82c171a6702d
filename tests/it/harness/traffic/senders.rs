//! Senders: each sends its posts in order, as fast as they are released, until all are acknowledged.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use super::{
    super::{
        stomp::{Arrival, Frame, StompClient},
        user::{Room, User},
        wait::until,
    },
    FLOW_LIMIT, PATIENCE, connect,
};

/// SENDs of one connection that may wait for their receipts; enough to keep the gateway busy, few enough to notice a loss soon.
const UNACKNOWLEDGED_MAX: usize = 32;

/// A message to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) room: Room,
    pub(crate) id: String,
    pub(crate) text: String,
}

/// The senders of a test, and how far they have come.
pub(crate) struct Senders {
    tasks: JoinSet<Vec<Post>>,
    allowed: Arc<Semaphore>,
    acknowledged: Arc<AtomicUsize>,
    released: usize,
}

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
