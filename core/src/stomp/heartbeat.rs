//! Heart-beats: what each side can do and what the two agree on.

use thiserror::Error;

/// What one side says about heart-beats, in milliseconds; 0 stands for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeartBeat {
    /// The side can send something this often.
    pub send_ms: u32,
    /// The side wants to hear something this often.
    pub receive_ms: u32,
}

/// What both sides agreed on, seen from this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cadence {
    /// This side sends something at least this often, in milliseconds.
    pub send_every_ms: Option<u32>,
    /// The other side does so.
    pub expect_every_ms: Option<u32>,
}

/// A `heart-beat` header that is not two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("heart-beat is not two numbers of milliseconds with a comma between them")]
pub struct HeartBeatError;

// === impl HeartBeat ===

impl HeartBeat {
    /// The server beats and asks for beats no faster than this, so that beats cost next to nothing.
    pub const FLOOR_MS: u32 = 1_000;

    /// Reads the value of a `heart-beat` header: digits, a comma, digits.
    pub fn parse(text: &str) -> Result<Self, HeartBeatError> {
        let number = |text: &str| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        text.split_once(',')
            .and_then(|(send, receive)| {
                Some(Self {
                    send_ms: number(send)?,
                    receive_ms: number(receive)?,
                })
            })
            .ok_or(HeartBeatError)
    }

    /// The same with every value but 0 raised to the floor.
    #[must_use]
    pub fn at_least_floor(self) -> Self {
        let raised = |ms: u32| if ms == 0 { 0 } else { ms.max(Self::FLOOR_MS) };
        Self {
            send_ms: raised(self.send_ms),
            receive_ms: raised(self.receive_ms),
        }
    }

    /// What this side and the other agree on: in each direction the slower of both, and nothing where either can't
    /// or won't.
    pub fn agree(self, other: Self) -> Cadence {
        let slower = |can: u32, wants: u32| (can != 0 && wants != 0).then(|| can.max(wants));
        Cadence {
            send_every_ms: slower(self.send_ms, other.receive_ms),
            expect_every_ms: slower(other.send_ms, self.receive_ms),
        }
    }
}
