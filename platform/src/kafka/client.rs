//! What producer and consumers share: where their log lines go, and how a fatal error is told.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    statistics::Statistics,
};
use tokio::sync::watch;

/// How often a client complains of its connections at most; every attempt of every connection would otherwise.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(5);

/// Becomes `Some` once, with the reason a client has failed for good.
pub(super) type Failure = watch::Receiver<Option<String>>;

/// Sends the client's log lines to ours and remembers a fatal error.
pub(super) struct Events {
    failed: watch::Sender<Option<String>>,
    pub(super) lines: Lines,
}

/// One client's log lines, thinned out.
#[derive(Default)]
pub(super) struct Lines {
    complained_at: Mutex<Option<Instant>>,
}

// === impl Events ===

impl Events {
    pub(super) fn new() -> (Self, Failure) {
        let (failed, failure) = watch::channel(None);
        let lines = Lines::default();
        (Self { failed, lines }, failure)
    }
}

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.lines.log(level, facility, message);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        if is_fatal(&error) {
            tracing::error!(reason, "the kafka client failed for good");
            self.failed.send_replace(Some(reason.to_owned()));
        } else {
            self.lines.complain_of(&error, reason);
        }
    }
}

// === impl Lines ===

impl Lines {
    /// A lost broker is an error to the client and a warning to us: it comes back, or readiness says so.
    pub(super) fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Debug => tracing::debug!(facility, detail = message, "kafka client"),
            _ if self.is_due() => tracing::warn!(facility, detail = message, "kafka client"),
            _ => tracing::debug!(facility, detail = message, "kafka client"),
        }
    }

    /// An error that the client gets over by itself.
    pub(super) fn complain(&self, error: &KafkaError) {
        self.complain_of(error, "");
    }

    /// The same with what the client says of it.
    pub(super) fn complain_of(&self, error: &KafkaError, reason: &str) {
        let about_connection = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::Resolve
            )
        );
        if about_connection && !self.is_due() {
            tracing::debug!(%error, reason, "kafka client");
        } else {
            tracing::warn!(%error, reason, "kafka client");
        }
    }

    fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut complained_at = self
            .complained_at
            .lock()
            .expect("no holder of this lock panics");
        let due = complained_at.is_none_or(|last| now.duration_since(last) >= COMPLAINT_INTERVAL);
        if due {
            *complained_at = Some(now);
        }
        due
    }
}

pub(super) fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::MessageConsumptionFatal(_))
        || error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_thinned_out() {
        let lines = Lines::default();
        assert!(lines.is_due());
        assert!(!lines.is_due());
    }
}
