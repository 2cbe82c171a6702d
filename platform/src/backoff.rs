//! How long to wait before trying again.

use std::time::Duration;

/// Exponential waits with full jitter between a floor and a ceiling.
///
/// Full jitter spreads clients that failed together over the whole wait, so that they do not return together.
#[derive(Clone, Debug)]
pub struct Backoff {
    floor: Duration,
    ceiling: Duration,
    attempts: u32,
}

// === impl Backoff ===

impl Backoff {
    /// Waits at least `floor` and at most `ceiling`.
    pub fn between(floor: Duration, ceiling: Duration) -> Self {
        Self {
            floor,
            ceiling,
            attempts: 0,
        }
    }

    /// The next wait; each may be up to twice as long as the one before.
    pub fn next_wait(&mut self) -> Duration {
        let doubled = self.floor.saturating_mul(1_u32 << self.attempts.min(20));
        self.attempts = self.attempts.saturating_add(1);
        let span = doubled.min(self.ceiling).saturating_sub(self.floor);
        self.floor + span.mul_f64(unit_random())
    }

    /// Waits for [`Self::next_wait`].
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }

    /// How often it was asked since the last success.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Starts again from the floor, after a success.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// Uniform in 0..1; a random UUID is the source of randomness the process already has.
fn unit_random() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    f64::from((high >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_between_floor_and_ceiling_and_starts_again() {
        let (floor, ceiling) = (Duration::from_millis(10), Duration::from_millis(500));
        let mut backoff = Backoff::between(floor, ceiling);
        assert_eq!(backoff.next_wait(), floor);
        for _ in 0..100 {
            let wait = backoff.next_wait();
            assert!((floor..=ceiling).contains(&wait), "{wait:?}");
        }
        backoff.reset();
        assert_eq!(backoff.next_wait(), floor);
    }
}
