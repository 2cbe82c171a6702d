//! `roomlog config`: print a file with every key, check a configuration, or show what is in force.

use clap::{Args, Subcommand};
use roomlog_platform::config;

use crate::cli::Settings;

/// Options of `roomlog config`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a configuration file with every key, its default, unit and reason.
    Init,
    /// Say whether the configuration can be used; exit code 64 when not.
    Check,
    /// Print the configuration in force, secrets hidden.
    Show,
}

pub(crate) fn run(options: &Options, settings: &Settings) -> anyhow::Result<()> {
    match options.action {
        Action::Init => print!("{}", config::template()),
        Action::Check => {
            settings.load()?;
            println!("the configuration can be used");
        }
        Action::Show => println!("{:#?}", settings.load()?),
    }
    Ok(())
}
