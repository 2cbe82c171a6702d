//! Exit codes, after sysexits.h: 0 done, 64 wrong usage or configuration, 1 anything else.

use std::{error::Error, process::ExitCode};

use roomlog_gateway::MintError;
use roomlog_platform::config::ConfigError;

/// `EX_USAGE`.
const WRONG_USAGE: u8 = 64;

/// The command line is wrong.
pub(crate) fn usage() -> ExitCode {
    ExitCode::from(WRONG_USAGE)
}

/// Says on stderr what went wrong and chooses the code.
pub(crate) fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("roomlog: {error:#}");
    if error.chain().any(is_a_setting) {
        usage()
    } else {
        ExitCode::FAILURE
    }
}

/// Whether another configuration would help.
fn is_a_setting(cause: &(dyn Error + 'static)) -> bool {
    let mint = cause.downcast_ref::<MintError>();
    cause.is::<ConfigError>() || mint.is_some_and(|mint| matches!(mint, MintError::NoSecret))
}
