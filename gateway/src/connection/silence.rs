//! What a connection does about a client that says nothing: not every one has agreed on heart-beats, and a lost one
//! would count as online for as long as TCP takes to notice.

use axum::extract::ws::close_code;
use roomlog_core::{
    code::{Code, Refusal},
    silence::Due,
};

use super::Connection;

impl Connection {
    /// Asks a silent client for a sign of life, or gives it up.
    pub(super) fn mind_silence(&mut self, now_ms: u64) {
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
}
