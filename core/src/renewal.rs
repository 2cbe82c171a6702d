//! Whether a refresh token may be exchanged: each once, and its repetition tells a theft.
//!
//! The tokens of one sign-in form a chain, numbered from 0. Only the newest is good. An older one that comes back
//! means that two parties hold the chain, and nobody can tell which of them is the thief (RFC 9700, section 4.14.2),
//! so it ends. The one exception is the token before the newest, shortly after it was exchanged: then an answer got
//! lost, or two tabs asked at once, and the same successor is given again.

/// How long after an exchange its answer is given again.
pub const REPEAT_WITHIN_MS: u64 = 10_000;

/// Where a chain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The newest token's number.
    pub generation: u64,
    /// When it was given, in milliseconds since the Unix epoch.
    pub given_at_ms: u64,
    /// From when on the chain is over, in milliseconds since the Unix epoch.
    pub ends_at_ms: u64,
}

/// What to do with a token of the chain that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Give its successor, unless somebody was faster.
    Exchange,
    /// Give the newest again.
    Repeat,
    /// An old one came back: end the chain.
    Stolen,
    /// The chain's time is over.
    Over,
}

/// Judges the token with this number, whose authenticity was proved before.
pub fn judge(standing: Standing, shown: u64, now_ms: u64) -> Verdict {
    if standing.ends_at_ms <= now_ms {
        return Verdict::Over;
    }
    let is_recent = now_ms <= standing.given_at_ms.saturating_add(REPEAT_WITHIN_MS);
    if shown == standing.generation {
        Verdict::Exchange
    } else if is_recent && standing.generation.checked_sub(1) == Some(shown) {
        Verdict::Repeat
    } else {
        Verdict::Stolen
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STANDING: Standing = Standing {
        generation: 5,
        given_at_ms: 100_000,
        ends_at_ms: 1_000_000,
    };

    #[test]
    fn the_newest_is_exchanged_and_the_one_before_gives_the_same_again_for_a_moment() {
        assert_eq!(judge(STANDING, 5, 100_001), Verdict::Exchange);
        assert_eq!(judge(STANDING, 5, 999_999), Verdict::Exchange);
        assert_eq!(judge(STANDING, 4, 110_000), Verdict::Repeat);
        assert_eq!(judge(STANDING, 4, 110_001), Verdict::Stolen);
        assert_eq!(judge(STANDING, 3, 100_001), Verdict::Stolen);
        assert_eq!(judge(STANDING, 5, 1_000_000), Verdict::Over);
    }

    proptest! {
        #[test]
        fn only_the_newest_is_ever_exchanged(
            generation in 0_u64..1_000, shown in 0_u64..1_000, given_at_ms: u32, now_ms: u32,
        ) {
            let standing = Standing { generation, given_at_ms: given_at_ms.into(), ends_at_ms: u64::MAX };
            let verdict = judge(standing, shown, now_ms.into());
            prop_assert_eq!(verdict == Verdict::Exchange, shown == generation);
            prop_assert!(verdict != Verdict::Repeat || shown + 1 == generation);
        }
    }
}
