//! Where a subscription goes on that names the last event its client has.
//!
//! Either every event after that one is shown, or the client is told that this can't be done and why. Never silence,
//! never a replay with a hole.

use crate::ids::Seq;

/// What the client has.
#[derive(Clone, Copy, Debug)]
pub struct Since<'a> {
    /// The last event it has.
    pub seq: Seq,
    /// The tables' life in which that event got its seq, where the client knows.
    pub epoch: Option<&'a str>,
}

/// Where to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// With this event.
    At(Seq),
    /// Not where the client wanted: it is told so, and what follows is what happens next.
    Reset(Reset),
    /// It may have heard of an event before we did: ask how far the room is now, then [`Since::against_fresh`].
    AskHowFar,
}

/// Why a subscription can't go on where its client wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The seq belongs to other tables.
    Epoch,
    /// More events lie between than are replayed.
    TooFar,
    /// There is no such event.
    Ahead,
    /// The next event was stored once and is not kept any more, neither there nor in the log.
    Trimmed,
}

// === impl Since ===

impl Since<'_> {
    /// Decides by a head that may be older than the client's: `behind_max` is how many events are replayed at most.
    pub fn against(self, head: Seq, epoch: &str, behind_max: u64) -> Resume {
        if self.epoch.is_some_and(|told| told != epoch) {
            return Resume::Reset(Reset::Epoch);
        }
        match head.0.checked_sub(self.seq.0) {
            None => Resume::AskHowFar,
            Some(behind) if behind > behind_max => Resume::Reset(Reset::TooFar),
            Some(_) => Resume::At(self.seq.next()),
        }
    }

    /// Decides by a head that was asked for after the client came. What it does not reach does not exist.
    pub fn against_fresh(self, head: Seq) -> Resume {
        if self.seq <= head {
            Resume::At(self.seq.next())
        } else {
            Resume::Reset(Reset::Ahead)
        }
    }
}

// === impl Reset ===

impl Reset {
    /// The spelling in the `reset` MESSAGE.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "epoch",
            Self::TooFar => "too-far",
            Self::Ahead => "ahead",
            Self::Trimmed => "trimmed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(seq: u64, epoch: Option<&str>) -> Since<'_> {
        let seq = Seq(seq);
        Since { seq, epoch }
    }

    #[test]
    fn goes_on_behind_the_last_event_the_client_has() {
        assert_eq!(since(3, None).against(Seq(5), "e", 10), Resume::At(Seq(4)));
        assert_eq!(
            since(5, Some("e")).against(Seq(5), "e", 0),
            Resume::At(Seq(6))
        );
        assert_eq!(since(0, None).against(Seq(10), "e", 10), Resume::At(Seq(1)));
    }

    #[test]
    fn what_cannot_be_continued_is_said_to_be_so() {
        let too_far = since(0, None).against(Seq(11), "e", 10);
        assert_eq!(too_far, Resume::Reset(Reset::TooFar));
        let epoch = since(5, Some("other")).against(Seq(5), "e", 10);
        assert_eq!(epoch, Resume::Reset(Reset::Epoch));
    }

    #[test]
    fn an_event_we_have_not_heard_of_is_asked_about_before_it_is_denied() {
        assert_eq!(since(6, None).against(Seq(5), "e", 10), Resume::AskHowFar);
        assert_eq!(since(6, None).against_fresh(Seq(7)), Resume::At(Seq(7)));
        assert_eq!(
            since(6, None).against_fresh(Seq(5)),
            Resume::Reset(Reset::Ahead)
        );
    }
}
