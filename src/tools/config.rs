//! `roomlog config`: print a file with every key, check a configuration, or show what is in force.

use std::slice::from_ref;

use clap::{Args, Subcommand, ValueEnum as _};
use roomlog_platform::config;
use serde_json::json;

use crate::{
    cli::{Output, Settings},
    role::Role,
};

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
    Check {
        /// Only for this service; without it, for each of them.
        #[arg(value_enum)]
        role: Option<Role>,
    },
    /// Print the configuration in force, secrets hidden.
    Show,
}

pub(crate) fn run(options: &Options, settings: &Settings) -> anyhow::Result<()> {
    match &options.action {
        Action::Init if settings.output == Output::Programs => {
            for key in config::described() {
                println!("{}", json!(key));
            }
        }
        Action::Init => print!("{}", config::template()),
        Action::Check { role } => {
            let config = settings.load()?;
            let roles = role.as_ref().map_or(Role::value_variants(), from_ref);
            roles.iter().try_for_each(|role| role.check(&config))?;
            let line = json!({ "usable": true });
            settings
                .output
                .print("the configuration can be used", &line);
        }
        Action::Show => {
            let config = settings.load()?;
            settings
                .output
                .print(format_args!("{config:#?}"), &json!(config));
        }
    }
    Ok(())
}
