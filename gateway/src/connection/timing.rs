//! What time brings to a connection: the session's deadlines, silence, a client that takes too little, and the drain.

use std::pin::Pin;

use axum::extract::ws::close_code;
use roomlog_core::{
    code::{Code, Refusal},
    silence::Due,
};
use tokio::time::Sleep;

use super::Connection;
use crate::clock;

/// How long a client whose outbox was full may take to get back in step. After it, it can't keep up and is disconnected;
/// it comes back with `since`. A burst that a healthy client takes is over long before.
const BEHIND_MAX_MS: u64 = 20_000;
/// How long nothing may leave while something waits. After it the client is disconnected in the same way.
const STALL_MAX_MS: u64 = 20_000;
/// How far ahead the timer is set where nothing is due.
const IDLE_WAIT_MS: u64 = 60_000;

impl Connection {
    /// Arms the timer for the next thing that is due. A timer that fires too early does no harm, so it is only moved
    /// when something is due before it.
    pub(super) fn set_timer(&self, mut timer: Pin<&mut Sleep>) {
        let due = [
            self.session.next_deadline(),
            self.drain_ms,
            self.paused_ms,
            Some(self.silence.next_deadline_ms()),
            self.stalled_ms.map(|at_ms| at_ms + STALL_MAX_MS),
            self.behind_ms.map(|at_ms| at_ms + BEHIND_MAX_MS),
        ];
        let idle_ms = clock::monotonic_ms() + IDLE_WAIT_MS;
        let at_ms = due
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(idle_ms)
            .min(idle_ms);
        let at = clock::instant_of(at_ms);
        if timer.is_elapsed() || at < timer.deadline() {
            timer.as_mut().reset(at);
        }
    }

    pub(super) fn on_timer(&mut self, now_ms: u64) {
        let is_pause_over = self.paused_ms.is_some_and(|until_ms| until_ms <= now_ms);
        if is_pause_over {
            self.paused_ms = None;
        }
        if is_pause_over || self.deferred.is_full() {
            // What came meanwhile was not read; that is no silence of the client's.
            let actions = self.session.receive(&[], now_ms);
            self.perform(actions);
        }
        let actions = self.session.on_deadline(now_ms);
        self.perform(actions);
        self.mind_silence(now_ms);
        let is_over =
            |since_ms: Option<u64>, max_ms| since_ms.is_some_and(|at_ms| at_ms + max_ms <= now_ms);
        if is_over(self.stalled_ms, STALL_MAX_MS) || is_over(self.behind_ms, BEHIND_MAX_MS) {
            self.send_away(&Refusal::retry_after(
                Code::Overloaded,
                "too slow to follow; come back with since",
                1_000,
            ));
        }
        if self.drain_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            // Once is enough; the session closes by its own deadline.
            self.drain_ms = Some(u64::MAX);
            let retry_after_ms = self.spread_ms();
            let actions = self.session.drain(Some(retry_after_ms), now_ms);
            self.perform(actions);
        }
    }

    /// Asks a silent client for a sign of life, or gives it up: not every one has agreed on heart-beats, and a lost one
    /// would count as online for as long as TCP takes to notice.
    fn mind_silence(&mut self, now_ms: u64) {
        if !self.is_reading() {
            // What it may have said meanwhile is not read; a client that takes nothing is found by the stall.
            self.silence.heard(now_ms);
        }
        match self.silence.on_deadline(now_ms) {
            Some(Due::Question) => self.wire.ping(),
            Some(Due::End) => {
                let refusal = Refusal::new(Code::BadRequest, "no answer to a WebSocket ping");
                self.send_away_with(close_code::PROTOCOL, &refusal);
            }
            None => {}
        }
    }

    /// Whether what the client says is read at once.
    pub(super) fn is_reading(&self) -> bool {
        self.paused_ms.is_none()
            && !self.deferred.is_full()
            && self.session.wants_input()
            && !self.wire.holds_back()
    }

    /// The server goes away; the session is told at a moment of its own.
    pub(super) fn begin_drain(&mut self, now_ms: u64) {
        self.drain_ms = Some(now_ms + self.spread_ms());
    }

    /// A random part of the drain, so that clients that are told the same don't all come at once.
    fn spread_ms(&self) -> u64 {
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        random % self.gateway.config.gateway.drain.as_millis().max(1)
    }
}
