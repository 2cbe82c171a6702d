//! Signals: what is live in a room and in no log, such as who is typing and how far members have read.
//!
//! A signal may be lost, and a later one about the same thing replaces an earlier one wherever either waits. It goes
//! from its gateway to every owner of the room and from each of them to the gateways that want signals, so it arrives
//! once per owner: its [`Stamp`] tells repeats apart.

mod counts;
mod latest;
mod live;
mod owed;
mod typing;

pub use counts::{COUNTED_MAX, Counts, Question};
pub use latest::Latest;
pub use live::{Change, Live, TYPING_TTL_MS};
pub use owed::Owed;
pub use typing::TypingPace;

use crate::ids::{Count, RoomKey, Seq, UserId};

/// Something live in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Somebody types, or stopped.
    Typing {
        /// Who.
        user: UserId,
        /// Whether they type.
        on: bool,
    },
    /// Somebody has read up to here.
    Read {
        /// Who.
        user: UserId,
        /// The last event read.
        seq: Seq,
        /// Messages and notices up to there.
        count: Count,
    },
}

/// Names a signal: who sent it, and its rank there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// One run of one gateway.
    pub source: u64,
    /// Grows with every signal of that run.
    pub counter: u64,
}

/// A signal on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The room.
    pub key: RoomKey,
    /// Its name.
    pub stamp: Stamp,
    /// The signal.
    pub signal: Signal,
}

/// What a signal is about. Of two signals with equal subjects only the one of the higher rank matters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    key: RoomKey,
    /// Typing is per gateway as well: who stopped on one device may type on another.
    typing_at: Option<u64>,
    user: UserId,
}

// === impl Stamped ===

impl Stamped {
    /// What it is about.
    pub fn subject(&self) -> Subject {
        let (typing_at, user) = match &self.signal {
            Signal::Typing { user, .. } => (Some(self.stamp.source), user),
            Signal::Read { user, .. } => (None, user),
        };
        Subject {
            key: self.key.clone(),
            typing_at,
            user: user.clone(),
        }
    }

    /// How it stands to others about the same: read marks of several devices and gateways come in any order, and the
    /// furthest counts; of what a gateway says of somebody's typing, the last.
    pub fn rank(&self) -> u64 {
        match &self.signal {
            Signal::Typing { .. } => self.stamp.counter,
            Signal::Read { seq, .. } => seq.0,
        }
    }
}
