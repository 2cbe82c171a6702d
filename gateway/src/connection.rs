//! One client's connection: a task that reads, lets the session decide, carries out what it asks for, and writes.

mod deferred;
mod following;
mod listening;
mod listing;
mod looking;
mod requests;
mod sending;
mod subscription;
mod timing;
mod wire;

use std::{
    collections::{HashSet, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use axum::extract::ws::WebSocket;
use foldhash::{HashMap, HashMapExt as _};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use roomlog_core::{
    code::{Code, Refusal},
    ids::{MessageId, RoomKey},
    limits::Limits,
    presence::Ending,
    resend::Resends,
    session::{Done, RequestId, Session, SubIndex},
    signal::TypingPace,
    silence::Silence,
    stomp::Version,
};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use self::{
    deferred::Deferred,
    listening::Listening,
    listing::Listing,
    looking::{Looking, Unmarked},
    sending::Checked,
    subscription::{Batch, Begin, Subscription},
    wire::{Input, Wire},
};
use crate::{
    auth::{AuthError, Identity},
    clock,
    gateway::Gateway,
    hub::{Caller, ConnectionId, text},
    metrics,
    outbox::{Delivery, Outbox, Taken},
    rate::{Bucket, Limit, per_second},
    users::{Seat, User},
};

/// Pings a client may send in a second; more are a flood.
const PINGS_PER_SECOND_MAX: u32 = 20;
/// How long a client that sends too many frames at once is not read; below any heart-beat's patience.
const PAUSE_MAX_MS: u64 = 1_000;
/// How long requests that were under way when the client left are seen through.
const AFTERMATH_MAX: Duration = Duration::from_secs(35);

/// What the upgrade says about who it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Upgraded {
    /// A checked token of the header `Authorization`.
    pub(crate) identity: Option<Identity>,
    /// A one-time ticket, looked at only if CONNECT carries no credential.
    pub(crate) ticket: Option<String>,
    /// The version of the subprotocol that was chosen.
    pub(crate) version: Option<Version>,
}

/// A connection's state, owned by its task.
pub(crate) struct Connection {
    gateway: Arc<Gateway>,
    id: ConnectionId,
    session: Session,
    upgraded: Upgraded,
    wire: Wire,
    outbox: Arc<Outbox>,
    /// Set once signed in.
    member: Option<Member>,
    subscriptions: HashMap<SubIndex, Subscription>,
    /// Subscriptions to signals.
    listening: HashMap<SubIndex, Listening>,
    /// Subscriptions to the user's lists.
    listings: HashMap<SubIndex, Listing>,
    typing: TypingPace,
    looking: Looking,
    frames: Bucket,
    subscribes: Bucket,
    /// Until when nothing is read, as too many frames came at once.
    paused_ms: Option<u64>,
    /// Whether the client says goodbye.
    ending: Ending,
    doing: FuturesUnordered<BoxFuture<'static, Outcome>>,
    /// Subscriptions that are being granted, behind which SENDs and COMMITs to their rooms wait.
    starting: Vec<(SubIndex, RoomKey)>,
    deferred: Deferred,
    /// Whether a SEND or COMMIT is being checked, behind which all others wait.
    is_checking: bool,
    /// Rooms with a send whose fate is unknown, and the ids that must be sent again first.
    resends: Resends,
    closing: Option<(u16, &'static str)>,
    /// Subscriptions that were live until the outbox was full, and since when there are some.
    lagging: HashSet<SubIndex>,
    behind_ms: Option<u64>,
    stalled_ms: Option<u64>,
    /// How long nothing came from the client.
    silence: Silence,
    pings: (u64, u32),
    drain_ms: Option<u64>,
}

/// Who is at the other end.
struct Member {
    user: Arc<User>,
    caller: Caller,
    /// Counts this connection while it lives.
    _seat: Seat,
}

/// What came of something a session asked for.
enum Outcome {
    SignedIn(Result<(Arc<User>, Identity), AuthError>),
    Completed(RequestId, Result<Done, Refusal>),
    Begun(SubIndex, RequestId, Result<Begin, Refusal>),
    Pulled(SubIndex, Result<Batch, Refusal>),
    /// A subscription to signals may begin, or not.
    Granted(SubIndex, RequestId, Result<(), Refusal>),
    /// A subscription to a list may begin.
    Lists(SubIndex, RequestId),
    /// A subscription to signals has begun, or not.
    Listens(SubIndex, Result<(), Refusal>),
    /// What was seen is marked, but for these.
    Marked(Unmarked),
    Produced {
        request: RequestId,
        key: RoomKey,
        id: MessageId,
        sent_ms: u64,
        outcome: Result<(), Refusal>,
    },
    Checked {
        ask: Ask,
        checked: Result<Vec<Checked>, Refusal>,
    },
}

/// What asked for checks.
#[derive(Clone, Copy, Debug)]
enum Ask {
    /// One SEND.
    Send(RequestId),
    /// A transaction, which has a request of its own.
    Commit(RequestId),
}

/// What wakes a connection.
enum Event {
    Input(Input),
    Taken(Taken, VecDeque<Delivery>),
    /// Everything has left.
    Written,
    WriteFailed,
    Outcome(Outcome),
    Timer,
    Drain,
}

// === impl Connection ===

impl Connection {
    pub(crate) fn new(gateway: Arc<Gateway>, socket: WebSocket, upgraded: Upgraded) -> Self {
        let session_id = uuid::Uuid::new_v4().to_string();
        let config = Arc::clone(&gateway.session);
        let now_ms = clock::monotonic_ms();
        let limits = &gateway.limits;
        let frames_at_once = limits
            .frames_per_second
            .saturating_mul(Limits::FRAMES_BURST_S);
        let frames = per_second(limits.frames_per_second, frames_at_once);
        let subscriptions_max = u32::try_from(limits.subscriptions_max).unwrap_or(u32::MAX);
        let subscribes = per_second(limits.subscribes_per_second, subscriptions_max);
        let silence = Silence::new(gateway.config.gateway.silence.as_millis(), now_ms);
        Self {
            id: gateway.connection_id(),
            session: Session::new(config, &session_id, upgraded.version, now_ms),
            gateway,
            upgraded,
            wire: Wire::new(socket),
            outbox: Arc::default(),
            member: None,
            subscriptions: HashMap::new(),
            listening: HashMap::new(),
            listings: HashMap::new(),
            typing: TypingPace::default(),
            looking: Looking::default(),
            frames: Bucket::new(Limit::Frames, frames),
            subscribes: Bucket::new(Limit::Subscribes, subscribes),
            paused_ms: None,
            ending: Ending::Lost,
            doing: FuturesUnordered::new(),
            starting: Vec::new(),
            deferred: Deferred::default(),
            is_checking: false,
            resends: Resends::default(),
            closing: None,
            lagging: HashSet::new(),
            behind_ms: None,
            stalled_ms: None,
            silence,
            pings: (0, 0),
            drain_ms: None,
        }
    }

    /// Serves the client until it leaves or is sent away.
    pub(crate) async fn run(mut self) {
        metrics::connection_opened();
        let drain = self.gateway.drain.clone();
        let mut drain_begun = Box::pin(async move { drain.begun().await });
        let mut timer = Box::pin(sleep_until(Instant::now()));
        let mut is_gone = false;
        while self.closing.is_none() && !is_gone {
            self.set_timer(timer.as_mut());
            match self.next_event(timer.as_mut(), drain_begun.as_mut()).await {
                Event::Input(Input::Closed) => {
                    self.ending = Ending::Explicit;
                    is_gone = true;
                }
                Event::Input(Input::Gone) | Event::WriteFailed => is_gone = true,
                event => self.apply(event),
            }
            self.pull_those_behind();
        }
        self.leave(is_gone).await;
        metrics::connection_closed();
    }

    async fn next_event(
        &mut self,
        mut timer: Pin<&mut Sleep>,
        mut drain_begun: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Event {
        poll_fn(|cx| {
            let had_output = !self.wire.is_idle();
            match self.wire.poll_write(cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(Event::WriteFailed),
                Poll::Ready(Ok(())) if had_output && self.is_any_behind() => {
                    return Poll::Ready(Event::Written);
                }
                Poll::Ready(Ok(())) => {
                    self.stalled_ms = None;
                    // Only an idle socket takes more: what waits in the outbox stays bounded there.
                    let mut deliveries = VecDeque::new();
                    if let Poll::Ready(taken) = self.outbox.poll_take(cx, &mut deliveries) {
                        return Poll::Ready(Event::Taken(taken, deliveries));
                    }
                }
                Poll::Pending => {
                    if self.wire.take_moved() || self.stalled_ms.is_none() {
                        self.stalled_ms = Some(clock::monotonic_ms());
                    }
                }
            }
            if let Poll::Ready(Some(outcome)) = self.doing.poll_next_unpin(cx) {
                return Poll::Ready(Event::Outcome(outcome));
            }
            if self.is_reading()
                && let Poll::Ready(input) = self.wire.poll_read(cx)
            {
                return Poll::Ready(Event::Input(input));
            }
            if timer.poll_unpin(cx).is_ready() {
                return Poll::Ready(Event::Timer);
            }
            if self.drain_ms.is_none() && drain_begun.poll_unpin(cx).is_ready() {
                return Poll::Ready(Event::Drain);
            }
            Poll::Pending
        })
        .await
    }

    fn apply(&mut self, event: Event) {
        let now_ms = clock::monotonic_ms();
        if matches!(event, Event::Input(_)) {
            self.silence.heard(now_ms);
        }
        match event {
            Event::Input(Input::Bytes(bytes)) => {
                let actions = self.session.receive(&bytes, now_ms);
                // About one action a frame, and never none: also what comes to nothing is work.
                let frames = u32::try_from(actions.len().max(1)).unwrap_or(u32::MAX);
                self.perform(actions);
                if let Err(empty) = self.frames.take(frames) {
                    metrics::limited(Limit::Frames);
                    self.paused_ms = Some(now_ms + empty.wait_ms.min(PAUSE_MAX_MS));
                }
            }
            Event::Input(Input::Ping) => self.note_ping(now_ms),
            Event::Input(Input::TooLarge) => self.send_away(&Refusal::new(
                Code::FrameTooLarge,
                "a WebSocket message beyond the limit",
            )),
            Event::Input(Input::Broken(code)) => {
                let said = "this is no WebSocket as RFC 6455 has it";
                self.send_away_with(code, &Refusal::new(Code::BadFrame, said));
            }
            Event::Taken(Taken::Deliveries, deliveries) => self.deliver(deliveries, now_ms),
            Event::Taken(Taken::Overflow, _) => self.fall_behind(now_ms),
            Event::Taken(Taken::Lapse, _) => {
                self.begin_anew();
                self.list_anew();
            }
            Event::Taken(Taken::SignedOut, _) => self.send_away(&AuthError::SignedOut.refusal()),
            Event::Written => self.stalled_ms = None,
            Event::Outcome(outcome) => self.conclude(outcome, now_ms),
            Event::Timer => self.on_timer(now_ms),
            Event::Drain => self.begin_drain(now_ms),
            Event::Input(Input::Gone | Input::Closed) | Event::WriteFailed => {}
        }
    }

    fn note_ping(&mut self, now_ms: u64) {
        let second = now_ms / 1_000;
        let (counted, pings) = self.pings;
        self.pings = (second, if counted == second { pings + 1 } else { 1 });
        if self.pings.1 > PINGS_PER_SECOND_MAX {
            return self.send_away(&Refusal::new(Code::TooMany, "too many pings"));
        }
        // Any sign of life counts, and an empty input is one.
        let actions = self.session.receive(&[], now_ms);
        self.perform(actions);
    }

    /// Ends the session for a reason of the server's.
    fn send_away(&mut self, refusal: &Refusal) {
        metrics::refusal(refusal.code);
        let actions = self.session.refuse(refusal);
        self.perform(actions);
    }

    /// The same where WebSocket has its own word for what is wrong.
    fn send_away_with(&mut self, close_code: u16, refusal: &Refusal) {
        self.send_away(refusal);
        self.closing = self.closing.map(|(_, reason)| (close_code, reason));
    }

    fn complete(&mut self, request: RequestId, outcome: Result<Done, Refusal>, now_ms: u64) {
        if let Err(refusal) = &outcome {
            metrics::refusal(refusal.code);
        }
        let actions = self.session.completed(request, outcome, now_ms);
        self.perform(actions);
    }

    /// Says goodbye and sees through what was begun.
    async fn leave(mut self, is_gone: bool) {
        self.outbox.close();
        self.mark_all_seen();
        let events = self.subscriptions.drain();
        let events = events.map(|(index, it)| (index, it.key, it.envelope));
        let signals = self.listening.drain();
        let signals = signals.map(|(index, it)| (index, it.key, it.envelope));
        for (index, key, envelope) in events.chain(signals) {
            self.gateway.hub.leave(key, self.id, index, envelope).await;
        }
        if let Some(member) = &self.member {
            let user = &member.user.id;
            self.gateway.presence.close(user, self.id, self.ending);
        }
        // The user's next connection does not have to wait for this one's aftermath.
        self.member = None;
        let closed = async {
            match self.closing {
                Some((code, reason)) => self.wire.close(code, reason).await,
                None if is_gone => self.wire.linger().await,
                None => {}
            }
        };
        let aftermath = timeout(AFTERMATH_MAX, async {
            while self.doing.next().await.is_some() {}
        });
        // Whether all of it ended in time makes no difference to a client that is gone.
        let _ = tokio::join!(closed, aftermath);
    }

    fn write(&mut self, frame: bytes::Bytes) {
        self.wire.push(text(frame));
    }
}
