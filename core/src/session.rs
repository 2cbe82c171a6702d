//! One connection's whole STOMP conversation: bytes, answers and `now` in, actions out.
//!
//! The session owns everything STOMP says about a connection: who is signed in, which subscriptions, transactions,
//! acknowledgements and receipts are open, when a heart-beat is due and how a refusal reaches the client. It does no
//! I/O and looks inside no JSON body: the shell carries out its [`Action`]s and reports what came of each request.

mod ack;
mod action;
mod beats;
mod connect;
mod destination;
mod frames;
mod outcome;
mod refusal;
mod request;
mod send;
mod subscription;
mod transaction;

use std::sync::Arc;

use bytes::Bytes;

pub use ack::AckMode;
pub use action::{
    Action, ContentType, Credential, Done, Publish, RequestId, Secret, Start, SubIndex, Subscribe,
};
pub use destination::{Topic, Verb};

pub use crate::stomp::Mark;
use crate::{
    code::{Code, Refusal},
    ids::UserId,
    limits::Limits,
    stomp::{Bounds, Cadence, Command, Decoder, FrameWriter, HeartBeat, Version},
};
use beats::Beats;
use refusal::{Fatal, close, connect_timeout, silent, token_expired, too_much_before_sign_in};
use request::Requests;
use subscription::Subscriptions;
use transaction::Transactions;

/// What may wait for the answer to [`Action::Authenticate`], in frames of the largest size. A client that doesn't wait
/// for CONNECTED sends a few small frames; beyond it the session ends with `frame-too-large`.
const HELD_FRAMES_MAX: usize = 4;
/// Open requests of a session. Beyond it the shell stops reading, so the socket pushes back and no request is lost.
const REQUESTS_MAX: usize = 1_024;
/// How long DISCONNECT waits for earlier requests: longer than the log may take to answer, so that their receipts still
/// go out. After it the connection closes without DISCONNECT's receipt.
const LEAVE_WAIT_MS: u64 = 35_000;
/// How long a drain waits for open requests. After it their clients don't know and send again.
const DRAIN_WAIT_MS: u64 = 2_000;
/// A lone line end.
const BEAT: &[u8] = b"\n";

/// What all sessions of a server have in common.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The bounds in force.
    pub limits: Limits,
    /// What CONNECTED offers; below [`HeartBeat::FLOOR_MS`] each value is raised to it, 0 switches it off.
    pub heart_beat: HeartBeat,
    /// The `server` header of CONNECTED.
    pub server: String,
}

/// One connection's conversation.
#[derive(Debug)]
pub struct Session {
    config: Arc<SessionConfig>,
    /// The `session` header.
    id: Box<str>,
    /// The version of the WebSocket subprotocol.
    pinned: Option<Version>,
    /// The negotiated version; 1.2 until then.
    version: Version,
    phase: Phase,
    decoder: Decoder,
    beats: Beats,
    /// When the token ends.
    expires_at_ms: Option<u64>,
    subscriptions: Subscriptions,
    transactions: Transactions,
    requests: Requests,
    /// Refusals that were told as MESSAGEs.
    refusals: u64,
}

/// Where the conversation stands.
#[derive(Debug)]
enum Phase {
    /// CONNECT has not come.
    Connecting {
        /// When patience ends.
        deadline_ms: u64,
    },
    /// CONNECT waits for the shell's word.
    Authenticating {
        /// When patience ends.
        deadline_ms: u64,
        /// What CONNECT and the server agreed on.
        cadence: Cadence,
        /// What came after CONNECT.
        held: Vec<u8>,
    },
    /// Signed in.
    Open,
    /// DISCONNECT came and waits for earlier requests.
    Leaving {
        /// When patience ends.
        deadline_ms: u64,
        /// DISCONNECT's receipt.
        receipt: Option<String>,
    },
    /// The server goes away and waits for open requests.
    Draining {
        /// When patience ends.
        deadline_ms: u64,
        /// What the client is told.
        refusal: Refusal,
    },
    /// Nothing more is said or heard.
    Closed,
}

// === impl Session ===

impl Session {
    /// A session on a fresh connection. `id` is the unguessable `session` header, `pinned` the version of the WebSocket
    /// subprotocol that was chosen.
    pub fn new(config: Arc<SessionConfig>, id: &str, pinned: Option<Version>, now_ms: u64) -> Self {
        Self {
            id: id.into(),
            pinned,
            version: Version::V1_2,
            phase: Phase::Connecting {
                deadline_ms: now_ms + config.limits.connect_timeout_ms,
            },
            decoder: Decoder::new(Bounds::before_connect(&config.limits)),
            beats: Beats::default(),
            expires_at_ms: None,
            subscriptions: Subscriptions::default(),
            transactions: Transactions::default(),
            requests: Requests::default(),
            refusals: 0,
            config,
        }
    }

    /// Takes bytes from the client, cut anywhere.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64) -> Vec<Action> {
        let mut out = Vec::new();
        self.beats.heard(now_ms);
        self.read(bytes, now_ms, &mut out);
        self.note_writes(out, now_ms)
    }

    /// Answers [`Action::Authenticate`]: CONNECTED goes out and what was held is run. `expires_at_ms` is the token's end
    /// on the session's own clock, `None` for never.
    pub fn authenticated(
        &mut self,
        user: &UserId,
        expires_at_ms: Option<u64>,
        now_ms: u64,
    ) -> Vec<Action> {
        let Phase::Authenticating { cadence, held, .. } = &mut self.phase else {
            return Vec::new();
        };
        let (cadence, held) = (*cadence, std::mem::take(held));
        let mut out = vec![Action::Send(self.connected(user))];
        self.phase = Phase::Open;
        self.beats.start(cadence, now_ms);
        self.decoder
            .switch_bounds(Bounds::signed_in(&self.config.limits));
        self.prolong(expires_at_ms, now_ms, &mut out);
        self.read(&held, now_ms, &mut out);
        self.note_writes(out, now_ms)
    }

    /// Ends the session for a reason of the server's: a bad credential, too many connections, a slow reader.
    pub fn refuse(&mut self, refusal: &Refusal) -> Vec<Action> {
        let mut out = Vec::new();
        self.end(refusal.clone().into(), None, &mut out);
        out
    }

    /// Reports what came of a request. Each is to be completed once; unknown ones are ignored.
    pub fn completed(
        &mut self,
        request: RequestId,
        outcome: Result<Done, Refusal>,
        now_ms: u64,
    ) -> Vec<Action> {
        let mut out = Vec::new();
        self.complete(request, outcome, now_ms, &mut out);
        self.leave_when_idle(&mut out);
        self.note_writes(out, now_ms)
    }

    /// Notes that a MESSAGE of a subscription that acknowledges was queued.
    pub fn delivered(&mut self, index: SubIndex, mark: Mark) {
        self.subscriptions.delivered(index, mark);
    }

    /// Notes that bytes went out, which stands for a heart-beat.
    pub fn wrote(&mut self, now_ms: u64) {
        self.beats.wrote(now_ms);
    }

    /// When [`on_deadline`](Self::on_deadline) wants to be called next; it may move at every call.
    pub fn next_deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Connecting { deadline_ms } | Phase::Authenticating { deadline_ms, .. } => {
                Some(deadline_ms)
            }
            Phase::Open => earliest([
                self.beats.due_ms(),
                self.beats.silent_ms(),
                self.expires_at_ms,
            ]),
            Phase::Leaving { deadline_ms, .. } | Phase::Draining { deadline_ms, .. } => {
                earliest([Some(deadline_ms), self.beats.due_ms(), self.expires_at_ms])
            }
            Phase::Closed => None,
        }
    }

    /// Does what is due: heart-beats, a silent client, time-outs, the token's end. Nothing, if it comes too early.
    pub fn on_deadline(&mut self, now_ms: u64) -> Vec<Action> {
        let mut out = Vec::new();
        let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        if is_due(self.phase_deadline()) {
            self.lose_patience(&mut out);
        }
        if is_due(self.expires_at_ms) {
            self.end(token_expired(), None, &mut out);
        }
        if is_due(self.beats.silent_ms()) && matches!(self.phase, Phase::Open) {
            if self.wants_input() {
                self.end(silent(), None, &mut out);
            } else {
                self.beats.heard(now_ms);
            }
        }
        if is_due(self.beats.due_ms()) && !self.is_closed() {
            out.push(Action::Send(Bytes::from_static(BEAT)));
        }
        self.note_writes(out, now_ms)
    }

    /// The server goes away: takes no new frames, lets open requests finish for a moment, then says ERROR `draining` and
    /// closes with 1012.
    pub fn drain(&mut self, retry_after_ms: Option<u64>, now_ms: u64) -> Vec<Action> {
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Closed) {
            return Vec::new();
        }
        self.phase = Phase::Draining {
            deadline_ms: now_ms + DRAIN_WAIT_MS,
            refusal: Refusal {
                retry_after_ms,
                ..Refusal::new(Code::Draining, "the server goes away, connect again")
            },
        };
        self.transactions.clear();
        let mut out = Vec::new();
        self.leave_when_idle(&mut out);
        self.note_writes(out, now_ms)
    }

    /// Whether the shell should go on reading. False while a CONNECT waits for its answer or too many requests are open:
    /// the socket then pushes back, and silence is not held against the client.
    pub fn wants_input(&self) -> bool {
        match self.phase {
            Phase::Authenticating { .. } => false,
            _ => self.requests.len() < REQUESTS_MAX,
        }
    }

    /// Whether [`Action::Close`] was returned.
    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// The negotiated version; 1.2 before CONNECT is read.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Bytes held for the client's unfinished or waiting frames.
    pub fn buffered_bytes(&self) -> usize {
        let held = match &self.phase {
            Phase::Authenticating { held, .. } => held.len(),
            _ => 0,
        };
        held + self.decoder.buffered_bytes()
    }

    /// Runs the frames in `input` as far as the phase allows.
    fn read(&mut self, mut input: &[u8], now_ms: u64, out: &mut Vec<Action>) {
        while !input.is_empty() {
            match &mut self.phase {
                Phase::Connecting { .. } | Phase::Open => {}
                Phase::Authenticating { held, .. } => {
                    let max = HELD_FRAMES_MAX * self.config.limits.unauthenticated_frame_bytes_max;
                    if held.len() + input.len() > max {
                        return self.end(too_much_before_sign_in(), None, out);
                    }
                    return held.extend_from_slice(input);
                }
                Phase::Leaving { .. } | Phase::Draining { .. } | Phase::Closed => return,
            }
            match self.decoder.decode(&mut input) {
                Ok(None) => {}
                Ok(Some(frame)) => self.take(frame, now_ms, out),
                Err(error) => {
                    let refusal = Refusal::new(error.fault.code(), error.to_string());
                    self.end(refusal.into(), None, out);
                }
            }
        }
    }

    fn connected(&self, user: &UserId) -> Bytes {
        let offer = self.config.heart_beat.at_least_floor();
        let heart_beat = format!("{},{}", offer.send_ms, offer.receive_ms);
        FrameWriter::new(Command::Connected, self.version)
            .header("version", self.version.as_str())
            .header("user-name", user.as_str())
            .header("session", &self.id)
            .header("heart-beat", &heart_beat)
            .header("server", &self.config.server)
            .end()
    }

    /// Takes the end of a token that was just checked.
    fn prolong(&mut self, expires_at_ms: Option<u64>, now_ms: u64, out: &mut Vec<Action>) {
        self.expires_at_ms = expires_at_ms;
        if expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.end(token_expired(), None, out);
        }
    }

    fn phase_deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Connecting { deadline_ms }
            | Phase::Authenticating { deadline_ms, .. }
            | Phase::Leaving { deadline_ms, .. }
            | Phase::Draining { deadline_ms, .. } => Some(deadline_ms),
            Phase::Open | Phase::Closed => None,
        }
    }

    fn lose_patience(&mut self, out: &mut Vec<Action>) {
        match &self.phase {
            Phase::Connecting { .. } | Phase::Authenticating { .. } => {
                self.end(connect_timeout(), None, out);
            }
            Phase::Draining { refusal, .. } => {
                let refusal = refusal.clone();
                self.end(refusal.into(), None, out);
            }
            Phase::Leaving { .. } => self.close(close::NORMAL, "disconnected", out),
            Phase::Open | Phase::Closed => {}
        }
    }

    /// Says ERROR and closes.
    fn end(&mut self, fatal: Fatal, receipt: Option<&str>, out: &mut Vec<Action>) {
        if !self.is_closed() {
            out.push(Action::Send(refusal::error_frame(
                &fatal,
                receipt,
                self.version,
            )));
            self.close(fatal.close_code, fatal.refusal.code.as_str(), out);
        }
    }

    /// Closes and lets go of everything the session holds.
    fn close(&mut self, code: u16, reason: &'static str, out: &mut Vec<Action>) {
        out.push(Action::Close { code, reason });
        self.phase = Phase::Closed;
        self.decoder = Decoder::new(Bounds::before_connect(&self.config.limits));
        self.subscriptions = Subscriptions::default();
        self.transactions.clear();
        self.requests.clear();
        self.expires_at_ms = None;
    }

    fn note_writes(&mut self, out: Vec<Action>, now_ms: u64) -> Vec<Action> {
        if out.iter().any(|action| matches!(action, Action::Send(_))) {
            self.beats.wrote(now_ms);
        }
        out
    }
}

fn earliest<const N: usize>(times_ms: [Option<u64>; N]) -> Option<u64> {
    times_ms.into_iter().flatten().min()
}

#[cfg(test)]
mod tests;
