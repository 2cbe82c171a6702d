//! A connection's subscriptions to rooms: where each stands, and how it catches up.

use std::sync::Arc;

use roomlog_core::{
    code::{Code, Refusal},
    ids::{Count, RoomKey, Seq},
    resume::{Reset, Resume, Since},
    session::{AckMode, Start},
    stomp::Envelope,
};
use roomlog_platform::{backoff::Backoff, link::RoomHead};
use tokio::time::{Duration, Instant};

use crate::{
    gateway::Gateway,
    hub::{
        Caller, PAGE_EVENTS_MAX, Pulled, Purpose, Shown, Subscriber, fresh_head, is_gone,
        page_of_shown, seq_of_message,
    },
};

/// How long a replay waits for events that no source has at the moment. After it the session ends with
/// `store-unavailable` and can come back.
const EVENTS_WAIT: Duration = Duration::from_secs(20);
const RETRY_FLOOR: Duration = Duration::from_millis(50);
const RETRY_CEILING: Duration = Duration::from_secs(1);

/// Bytes of a replay that are written before the next events are asked for: a client that stalls in the middle of a
/// replay holds about this much.
pub(super) const REPLAY_BYTES_MAX: usize = 64 << 10;
/// Events asked for at first, before their size is known.
const PAGE_FIRST: u64 = 64;
/// Events asked for at once, at least and at most.
const PAGE_EVENTS: std::ops::RangeInclusive<u64> = 8..=PAGE_EVENTS_MAX;

/// One subscription that was granted.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) key: RoomKey,
    pub(super) envelope: Envelope,
    pub(super) ack: AckMode,
    /// The first event not written yet. What comes before is a repeat, what comes after must wait.
    pub(super) next: Seq,
    pub(super) state: State,
    /// How many events to ask for, going by the size of the last ones.
    pub(super) page_events: u64,
}

/// Where a subscription's events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nowhere yet: it is being granted.
    Starting,
    /// They are asked for once what was written has left.
    Behind,
    /// They were asked for.
    Pulling,
    /// They were asked for, and the outbox was dropped since: an answer that they come by themselves is out of date.
    PullingStale,
    /// They come by themselves.
    Live,
    /// There are no more: the user's membership is over.
    Ended,
}

/// A subscription that was granted: what its RECEIPT says and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Begin {
    pub(super) head: Seq,
    pub(super) count: Count,
    /// The first event to show.
    pub(super) next: Seq,
    /// Why it can't go on where the client wanted.
    pub(super) reset: Option<&'static str>,
}

/// What a pull brought.
#[derive(Debug)]
pub(super) enum Batch {
    Events(Vec<Arc<Shown>>),
    Live,
    Ended,
    /// The next event is kept nowhere any more: go on behind the head, and say so.
    Trimmed(RoomHead),
}

// === impl Subscription ===

impl Subscription {
    /// A subscription that is being granted.
    pub(super) fn starting(key: RoomKey, envelope: Envelope, ack: AckMode) -> Self {
        Self {
            key,
            envelope,
            ack,
            next: Seq::ZERO,
            state: State::Starting,
            page_events: PAGE_FIRST,
        }
    }

    /// Learns from the events just got how many to ask for.
    pub(super) fn learn_size(&mut self, events: &[Arc<Shown>]) {
        let bytes: usize = events.iter().map(|shown| shown.bytes()).sum();
        let each = bytes / events.len().max(1);
        let fitting = (REPLAY_BYTES_MAX / each.max(1)) as u64;
        self.page_events = fitting.clamp(*PAGE_EVENTS.start(), *PAGE_EVENTS.end());
    }

    /// The outbox was dropped, and perhaps events of this subscription with it. `true` if it was in step before.
    pub(super) fn fall_behind(&mut self) -> bool {
        let was_live = self.state == State::Live;
        self.state = match self.state {
            State::Live => State::Behind,
            State::Pulling => State::PullingStale,
            other => other,
        };
        was_live
    }

    /// Another event came than the next one: a repeat, or something before it was lost on the way.
    pub(super) fn miss(&mut self, came: Seq) {
        if came > self.next && self.state == State::Live {
            self.state = State::Behind;
        }
    }
}

/// Grants a subscription and finds where it begins.
pub(super) async fn begin(
    gateway: &Gateway,
    caller: &Caller,
    key: &RoomKey,
    start: Start,
) -> Result<Begin, Refusal> {
    let history = match start {
        Start::History(messages) => Some(messages),
        _ => None,
    };
    let entered = gateway
        .hub
        .enter(key, caller, Purpose::READ, history)
        .await?;
    let at = |next, reset| Begin {
        head: entered.head,
        count: entered.count,
        next,
        reset,
    };
    let live = entered.head.next();
    match start {
        Start::Live => Ok(at(live, None)),
        Start::History(messages) => {
            let next = match entered.history_start {
                Some(next) => next,
                None => history_start(gateway, key, entered.head, entered.count, messages).await?,
            };
            Ok(at(next, None))
        }
        Start::Since { seq, epoch } => {
            let (since, behind_max) = (
                Since {
                    seq,
                    epoch: epoch.as_deref(),
                },
                gateway.limits.resume_events_max,
            );
            match since.against(entered.head, &gateway.source.epoch, behind_max) {
                Resume::At(next) => Ok(at(next, None)),
                Resume::Reset(reset) => Ok(at(live, Some(reset.as_str()))),
                Resume::AskHowFar => {
                    let head = fresh_head(&gateway.source, key).await?;
                    Ok(match since.against_fresh(head.seq) {
                        Resume::At(next) => at(next, None),
                        _ => Begin {
                            head: head.seq,
                            count: head.count,
                            next: head.seq.next(),
                            reset: Some(Reset::Ahead.as_str()),
                        },
                    })
                }
            }
        }
    }
}

/// The seq of the first of the last `messages` messages.
async fn history_start(
    gateway: &Gateway,
    key: &RoomKey,
    head: Seq,
    count: Count,
    messages: u64,
) -> Result<Seq, Refusal> {
    let before = count.0.saturating_sub(messages);
    if before == count.0 {
        return Ok(head.next());
    }
    // Message n has at least seq n, and those after the one sought have room behind it.
    let bounds = (Seq(before + 1), Seq(head.0 - (count.0 - before - 1)));
    let first = seq_of_message(&gateway.source, key, Count(before + 1), bounds).await;
    let first = first.ok_or_else(store_unavailable)?;
    let oldest = head.0.saturating_sub(gateway.limits.resume_events_max);
    Ok(first.max(Seq(oldest + 1)))
}

/// Gets the next events of a subscription, or makes it live.
pub(super) async fn pull(
    gateway: &Gateway,
    caller: &Caller,
    key: &RoomKey,
    subscriber: Subscriber,
    next: Seq,
    page_events: u64,
) -> Result<Batch, Refusal> {
    let deadline = Instant::now() + EVENTS_WAIT;
    let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
    loop {
        let refusal = match gateway
            .hub
            .pull(key, caller, subscriber.clone(), next)
            .await
        {
            Ok(Pulled::Events(events)) => return Ok(Batch::Events(events)),
            Ok(Pulled::Live) => return Ok(Batch::Live),
            Ok(Pulled::Ended) => return Ok(Batch::Ended),
            Ok(Pulled::Older { to, head }) => {
                let to = to.min(Seq(next.0 + page_events - 1));
                match page_of_shown(&gateway.source, key, next, (to, head)).await {
                    Some(events) => return Ok(Batch::Events(events)),
                    None if is_gone(&gateway.source, key, next).await => {
                        return Ok(Batch::Trimmed(fresh_head(&gateway.source, key).await?));
                    }
                    None => store_unavailable(),
                }
            }
            Err(refusal) => refusal,
        };
        if refusal.retry_after_ms.is_none() || Instant::now() >= deadline {
            return Err(refusal);
        }
        backoff.wait().await;
    }
}

fn store_unavailable() -> Refusal {
    Refusal::retry_after(Code::StoreUnavailable, "the store did not answer", 1_000)
}
