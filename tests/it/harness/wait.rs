//! Waiting on a condition with a deadline: the only place where the tests let time pass.

use std::time::{Duration, Instant};

/// How often a condition is looked at. Short against every deadline, long against the cost of a look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The deadline of whatever should take an instant. Nothing is proved by time: two cores serve everything at once, other
/// work may take most of them, and what is right comes late then.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// Looks at `probe` until it answers, and panics with `what` when it does not within the deadline.
pub(crate) async fn until<T>(
    what: &str,
    within: Duration,
    mut probe: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {within:?} for {what}");
        a_moment().await;
    }
}

/// The pause between two looks at a condition.
pub(crate) async fn a_moment() {
    tokio::time::sleep(LOOK_EVERY).await;
}

/// The future's answer, or a panic with `what` after the deadline.
pub(crate) async fn within<T>(what: &str, limit: Duration, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited {limit:?} for {what}"),
    }
}
