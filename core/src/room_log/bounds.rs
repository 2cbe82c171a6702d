//! What a stored position is held to before anybody goes on from it.

use thiserror::Error;

/// The offsets a partition's log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The first one it still has.
    pub low: i64,
    /// The one its next record gets.
    pub high: i64,
}

/// Why a numbering must not go on at a stored offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// The log is not the one the offset is of: it was recreated, or lost its end.
    #[error("the stored position {offset} is past the log's end {high}")]
    PastEnd {
        /// The stored offset.
        offset: i64,
        /// The log's end.
        high: i64,
    },
    /// Records that were never numbered are gone.
    #[error("the log begins at {low}, behind the stored position {offset}")]
    Trimmed {
        /// The stored offset.
        offset: i64,
        /// The log's beginning.
        low: i64,
    },
}

// === impl Bounds ===

impl Bounds {
    /// Whether a numbering may go on at this offset. The bounds must have been asked for after the offset was read:
    /// others move it all the time, and an honest one then lies within them.
    pub fn admit(self, offset: i64) -> Result<(), Unfit> {
        let Self { low, high } = self;
        if offset > high {
            return Err(Unfit::PastEnd { offset, high });
        }
        if offset < low {
            return Err(Unfit::Trimmed { offset, low });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_log_still_holds_or_will_hold_next_is_admitted() {
        let bounds = Bounds { low: 5, high: 10 };
        assert_eq!((bounds.admit(5), bounds.admit(10)), (Ok(()), Ok(())));
        let past = Unfit::PastEnd {
            offset: 11,
            high: 10,
        };
        assert_eq!(bounds.admit(11), Err(past));
        let trimmed = Unfit::Trimmed { offset: 4, low: 5 };
        assert_eq!(bounds.admit(4), Err(trimmed));
    }
}
