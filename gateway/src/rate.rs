//! How fast one user may send: a bucket that fills steadily.

/// A token bucket; tokens are counted in thousandths, so that a slow rate loses nothing to rounding.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: u64,
    burst: u64,
    thousandths: u64,
    filled_ms: u64,
}

// === impl Bucket ===

impl Bucket {
    /// A full bucket.
    pub(crate) fn new(per_second: u32, burst: u32, now_ms: u64) -> Self {
        let burst = u64::from(burst.max(1));
        Self {
            per_second: u64::from(per_second.max(1)),
            burst,
            thousandths: burst * 1_000,
            filled_ms: now_ms,
        }
    }

    /// Takes `count` tokens, or says in how many milliseconds they will be there.
    pub(crate) fn take(&mut self, count: u64, now_ms: u64) -> Result<(), u64> {
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        let filled = passed_ms.saturating_mul(self.per_second);
        self.thousandths = self
            .thousandths
            .saturating_add(filled)
            .min(self.burst * 1_000);
        self.filled_ms = now_ms;
        // More than the bucket holds is let through when it is full, and leaves it empty.
        let wanted = count.min(self.burst) * 1_000;
        match wanted.checked_sub(self.thousandths) {
            None | Some(0) => {
                self.thousandths -= wanted;
                Ok(())
            }
            Some(lacking) => Err(lacking.div_ceil(self.per_second)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_a_burst_through_and_then_the_rate() {
        let mut bucket = Bucket::new(20, 50, 0);
        for _ in 0..50 {
            assert_eq!(bucket.take(1, 0), Ok(()));
        }
        assert_eq!(bucket.take(1, 0), Err(50));
        assert_eq!(bucket.take(1, 49), Err(1));
        assert_eq!(bucket.take(1, 50), Ok(()));
        assert_eq!(bucket.take(1, 50), Err(50));
    }

    #[test]
    fn never_holds_more_than_the_burst() {
        let mut bucket = Bucket::new(1_000, 2, 0);
        assert_eq!(bucket.take(2, 1_000_000), Ok(()));
        assert!(bucket.take(1, 1_000_000).is_err());
    }

    #[test]
    fn a_transaction_beyond_the_burst_passes_a_full_bucket() {
        let mut bucket = Bucket::new(10, 5, 0);
        assert_eq!(bucket.take(8, 0), Ok(()));
        assert_eq!(bucket.take(8, 0), Err(500));
    }
}
