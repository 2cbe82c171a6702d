//! The process's two clocks: one that only goes forward, and the wall's.

use std::{
    sync::LazyLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// When this process first looked at the clock.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds on the clock that sessions use: it starts with the process and never jumps.
pub(crate) fn monotonic_ms() -> u64 {
    u64::try_from(STARTED.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The moment that clock calls `at_ms`, for timers.
pub(crate) fn instant_of(at_ms: u64) -> tokio::time::Instant {
    tokio::time::Instant::from_std(*STARTED + Duration::from_millis(at_ms))
}

/// Milliseconds since the Unix epoch.
pub(crate) fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// The same, in the type rows use.
pub(crate) fn unix_ms_signed() -> i64 {
    i64::try_from(unix_ms()).unwrap_or(i64::MAX)
}

/// What the session clock will show at a moment of the wall clock.
pub(crate) fn monotonic_of_unix_s(at_s: u64) -> u64 {
    let left_ms = at_s.saturating_mul(1_000).saturating_sub(unix_ms());
    monotonic_ms().saturating_add(left_ms)
}
