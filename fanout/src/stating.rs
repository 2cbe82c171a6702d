//! Whether an instance states the heads of what is assigned to it, for readiness.

use std::time::Duration;

use tokio::time::Instant;

/// How long an assigned partition may be without stated heads before the instance is called not ready: longer than a
/// take-over with a cold window and a slow store, shorter than anybody's patience with rooms that stand still.
const UNSTATED_MAX: Duration = Duration::from_secs(30);

/// Remembers since when something is missing.
#[derive(Debug, Default)]
pub(crate) struct Stating {
    unstated_since: Option<Instant>,
}

impl Stating {
    /// Whether the instance is ready, where that is known: a partition just taken over changes nothing yet.
    pub(crate) fn look(&mut self, states_all: bool, now: Instant) -> Option<bool> {
        if states_all {
            self.unstated_since = None;
            return Some(true);
        }
        let since = *self.unstated_since.get_or_insert(now);
        (now.duration_since(since) > UNSTATED_MAX).then_some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_without_heads_for_long_makes_an_instance_not_ready_until_it_has_them() {
        let (mut stating, start) = (Stating::default(), Instant::now());
        assert_eq!(stating.look(false, start), None);
        assert_eq!(stating.look(false, start + UNSTATED_MAX), None);
        let late = start + UNSTATED_MAX + Duration::from_millis(1);
        assert_eq!(stating.look(false, late), Some(false));
        assert_eq!(stating.look(true, late), Some(true));
        assert_eq!(stating.look(false, late), None, "a new wait begins");
    }
}
