//! Why a configuration is refused: the key, the value and what was expected, and never a secret.

use thiserror::Error;

/// What is shown in place of a secret.
pub(super) const HIDDEN: &str = "(hidden)";

/// Why the configuration can't be used. The process ends with exit code 64.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A value does not fit its key.
    #[error("{key}: the value {value:?} can't be used: {expected}")]
    Value {
        /// The variable, flag or file key.
        key: String,
        /// What was given; hidden for secrets.
        value: String,
        /// What would fit.
        expected: String,
    },
    /// No key has this name.
    #[error("{key}: no such configuration key; `roomlog config init` lists them all")]
    Unknown {
        /// The variable or flag.
        key: String,
    },
    /// The file can't be read or is not valid.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it, with the place in it.
        reason: String,
    },
    /// Keys that are wrong together.
    #[error("{0}")]
    Together(String),
}

// === impl ConfigError ===

impl ConfigError {
    /// A value that does not fit its key.
    pub fn value(key: &str, value: impl ToString, expected: &str) -> Self {
        Self::Value {
            key: key.to_owned(),
            value: value.to_string(),
            expected: expected.to_owned(),
        }
    }

    /// A secret that does not fit its key.
    pub fn secret(key: &str, expected: &str) -> Self {
        Self::value(key, HIDDEN, expected)
    }
}
