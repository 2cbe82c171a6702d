//! What can go wrong with the store, sorted by what a caller can do about it.

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
};
use thiserror::Error;

/// Why the store did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// It did not answer, was too busy, or its answer got lost: whether a write took effect is unknown. Worth
    /// trying again.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// It will refuse this however often it is tried: a missing table, missing rights, a request it does not take.
    #[error("the store refused: {0}")]
    Refused(String),
    /// A row does not hold what it must.
    #[error("the store holds a row that can't be read: {0}")]
    Corrupt(String),
}

/// Why a transaction did not happen.
pub(super) enum Cancelled {
    /// A row was further already.
    Condition,
    /// Trying again can help.
    Busy,
    /// It failed in another way.
    No,
}

/// Error codes that pass by themselves; everything with an HTTP status of 500 and above does, too.
const TRANSIENT_CODES: [&str; 12] = [
    // Credentials are renewed by the process's environment.
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalServerError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "ReplicatedWriteConflictException",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
];

// === impl StoreError ===

impl StoreError {
    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Sorts a failed call.
    pub(super) fn of<E>(error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let answered = match &error {
            SdkError::ServiceError(service) => service,
            SdkError::ConstructionFailure(_) => return Self::Refused(causes(&error)),
            // It was not sent, or nobody knows what became of it.
            _ => return Self::Unavailable(causes(&error)),
        };
        let (code, message) = (answered.err().code(), answered.err().message());
        let text = format!(
            "{}: {}",
            code.unwrap_or("no code"),
            message.unwrap_or("no message")
        );
        let transient = answered.raw().status().is_server_error()
            || code.is_some_and(|code| TRANSIENT_CODES.contains(&code));
        if transient {
            Self::Unavailable(text)
        } else {
            Self::Refused(text)
        }
    }

    /// A request that could not even be put together.
    pub(super) fn built(error: aws_sdk_dynamodb::error::BuildError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Sorts a cancelled transaction.
pub(super) fn cancelled(error: &TransactWriteItemsError) -> Cancelled {
    let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
        return Cancelled::No;
    };
    let has = |wanted: &[&str]| {
        cancelled
            .cancellation_reasons()
            .iter()
            .filter_map(|reason| reason.code())
            .any(|code| wanted.contains(&code))
    };
    if has(&["ConditionalCheckFailed"]) {
        Cancelled::Condition
    } else if has(&[
        "TransactionConflict",
        "ThrottlingError",
        "ProvisionedThroughputExceeded",
    ]) {
        Cancelled::Busy
    } else {
        Cancelled::No
    }
}

/// An error and what caused it, outermost first.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
