//! What we use of Kafka, Redis and DynamoDB, as checks against any server by its address.
//!
//! They hold the embedded stand-ins to the real servers: both must pass the same checks, and a difference is a bug of the stand-in.

pub mod dynamo;
pub mod kafka;
pub mod redis;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long one check may take before it counts as failed: rebalances on a busy machine are the slowest.
const DEADLINE: Duration = Duration::from_secs(60);

/// Why a check failed.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a check gives.
pub type Outcome = Result<(), Failure>;

/// The checks that were made, and what came of them.
#[derive(Default)]
pub struct Report {
    checks: Vec<(&'static str, Result<(), String>)>,
}

impl Report {
    /// Makes one check and takes note of its outcome.
    pub async fn check(&mut self, name: &'static str, check: impl Future<Output = Outcome>) {
        let outcome = match tokio::time::timeout(DEADLINE, check).await {
            Ok(outcome) => outcome.map_err(|failure| failure.to_string()),
            Err(_) => Err("not done within the deadline".into()),
        };
        self.checks.push((name, outcome));
    }

    /// Panics with all failures, if there are any.
    #[track_caller]
    pub fn assert_passed(&self) {
        let passed = self.checks.iter().all(|(_, outcome)| outcome.is_ok());
        assert!(passed && !self.checks.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, outcome) in &self.checks {
            match outcome {
                Ok(()) => writeln!(f, "ok      {name}")?,
                Err(failure) => writeln!(f, "FAILED  {name}: {failure}")?,
            }
        }
        Ok(())
    }
}

/// A name that nothing on the server has yet, so that checks can be repeated against the same one.
fn fresh(kind: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("probe-{kind}-{}-{number}", since.as_nanos())
}

/// Fails unless both are the same.
fn same<T: PartialEq + fmt::Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}: found {found:?}, expected {expected:?}").into())
}

/// Fails unless the condition holds.
fn ensure(condition: bool, what: impl fmt::Display) -> Outcome {
    if condition {
        Ok(())
    } else {
        Err(what.to_string().into())
    }
}
