//! The command line: roles, tools, and a flag for every configuration key.

use std::{collections::BTreeMap, ffi::OsString, fmt::Display, path::PathBuf};

use clap::{Arg, ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use roomlog_platform::config::{self, Config, ConfigError};
use serde_json::Value;

use crate::{role, tools};

/// Kafka-backed event-streaming chat backend.
#[derive(Debug, Parser)]
#[command(name = "roomlog", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Configuration file (TOML); `roomlog config init` prints one with every key.
    #[arg(long, global = true, env = "ROOMLOG_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print results as JSON lines, where they are not so anyway.
    #[arg(long, global = true)]
    json: bool,
}

/// What to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Everything in one process on embedded stand-ins for Kafka, DynamoDB and Redis, to try and to develop.
    #[cfg(feature = "embedded")]
    Dev(crate::dev::Options),
    /// Serve clients over STOMP and REST.
    Gateway,
    /// Number the log's events and forward them to the gateways.
    Fanout,
    /// Store the log's events in DynamoDB.
    Persister,
    /// Send messages to a room; prints the acknowledged position of each.
    Send(tools::send::Options),
    /// Show a room's events as they come.
    Tail(tools::tail::Options),
    /// Show a room's stored messages.
    History(tools::history::Options),
    /// Show when a message was accepted, fanned out, delivered and persisted.
    Trace(tools::trace::Options),
    /// Read the log itself, numbered as the services number it, as JSON lines.
    Replay(tools::replay::Options),
    /// Print a token for a user, and nothing else.
    Token(tools::token::Options),
    /// Make the topics, or say how they are.
    Topics(tools::topics::Options),
    /// Make the tables.
    Tables(tools::tables::Options),
    /// Ask this machine's service whether it is well, for health checks; exit code 0 or 1.
    Health(tools::health::Options),
    /// Print the schemas of the topics' values, or the document of the REST interface.
    Schema(tools::schema::Options),
    /// Print, check or show the configuration.
    Config(tools::config::Options),
}

/// Where the tools that act as a client find a gateway and who they are.
#[derive(Clone, Debug, Args)]
pub(crate) struct Client {
    /// The gateway.
    #[arg(
        long,
        env = "ROOMLOG_URL",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub(crate) url: String,
    /// Token of the user to act as; `roomlog token` makes one.
    #[arg(long, value_name = "JWT", conflicts_with = "user")]
    pub(crate) token: Option<String>,
    /// Make a token for this user from the configured secret.
    #[arg(long, value_name = "ID")]
    pub(crate) user: Option<String>,
}

/// The configuration's layers above the defaults, and whom results are for.
#[derive(Debug)]
pub(crate) struct Settings {
    file: Option<PathBuf>,
    flags: BTreeMap<String, String>,
    pub(crate) output: Output,
}

/// Whom a tool's results are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    People,
    Programs,
}

/// Parses the command line.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Command, Settings), clap::Error> {
    let matches = with_configuration_flags(Cli::command()).try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let mut flags = BTreeMap::new();
    given_flags(&matches, &mut flags);
    let settings = Settings {
        file: cli.config,
        flags,
        output: match cli.json {
            true => Output::Programs,
            false => Output::People,
        },
    };
    Ok((cli.command, settings))
}

/// Runs what was asked for.
pub(crate) async fn dispatch(command: Command, settings: &Settings) -> anyhow::Result<()> {
    match command {
        #[cfg(feature = "embedded")]
        Command::Dev(options) => crate::dev::run(options, settings).await,
        Command::Gateway => role::run(role::Role::Gateway, &settings.load()?).await,
        Command::Fanout => role::run(role::Role::Fanout, &settings.load()?).await,
        Command::Persister => role::run(role::Role::Persister, &settings.load()?).await,
        Command::Send(options) => tools::send::run(options, settings).await,
        Command::Tail(options) => tools::tail::run(options, settings).await,
        Command::History(options) => tools::history::run(options, settings).await,
        Command::Trace(options) => tools::trace::run(options, settings).await,
        Command::Replay(options) => tools::replay::run(options, &settings.load()?).await,
        Command::Token(options) => tools::token::run(&options, settings),
        Command::Topics(options) => tools::topics::run(options, &settings.load()?).await,
        Command::Tables(options) => tools::tables::run(options, &settings.load()?).await,
        Command::Health(options) => tools::health::run(&options, settings).await,
        Command::Schema(options) => tools::schema::run(&options),
        Command::Config(options) => tools::config::run(&options, settings),
    }
}

/// Adds a flag for every configuration key, so that none is declared twice.
fn with_configuration_flags(command: clap::Command) -> clap::Command {
    let arguments = config::flags().into_iter().map(|(flag, help)| {
        Arg::new(flag.clone())
            .long(flag)
            .help(help)
            .global(true)
            .value_name("VALUE")
            .help_heading("Configuration")
            .hide_short_help(true)
    });
    command.args(arguments)
}

fn given_flags(matches: &ArgMatches, flags: &mut BTreeMap<String, String>) {
    for (flag, _) in config::flags() {
        if let Ok(Some(value)) = matches.try_get_one::<String>(&flag) {
            flags.insert(flag, value.clone());
        }
    }
    if let Some((_, below)) = matches.subcommand() {
        given_flags(below, flags);
    }
}

// === impl Settings ===

impl Settings {
    /// The configuration in force.
    pub(crate) fn load(&self) -> Result<Config, ConfigError> {
        config::load(self.file.as_deref(), std::env::vars(), &self.flags)
    }

    /// The configuration over other defaults than its own.
    #[cfg(feature = "embedded")]
    pub(crate) fn load_over(
        &self,
        defaults: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Config, ConfigError> {
        let defaults = defaults.into_iter();
        let defaults = defaults.map(|(flag, value)| (flag.to_owned(), value));
        let file = self.file.as_deref();
        config::load_over(&defaults.collect(), file, std::env::vars(), &self.flags)
    }
}

// === impl Output ===

impl Output {
    /// Prints a result in the form that is asked for.
    pub(crate) fn print(self, text: impl Display, line: &Value) {
        match self {
            Self::People => println!("{text}"),
            Self::Programs => println!("{line}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        with_configuration_flags(Cli::command()).debug_assert();
    }

    #[test]
    fn every_tool_takes_json() {
        let mut tools = 0;
        for tool in with_configuration_flags(Cli::command()).get_subcommands() {
            let given = ["roomlog", tool.get_name(), "--json"].map(OsString::from);
            let refused = parse(given).err().map(|error| error.kind());
            // Some lack further arguments; none may not know the flag.
            assert_ne!(refused, Some(ErrorKind::UnknownArgument), "{tool}");
            tools += 1;
        }
        assert!(tools > 10, "{tools}");
        let (_, settings) =
            parse(["roomlog", "gateway", "--json"].map(OsString::from)).expect("parses");
        assert_eq!(settings.output, Output::Programs);
    }

    #[test]
    fn every_configuration_key_is_a_flag() {
        let arguments = [
            "roomlog",
            "gateway",
            "--listen",
            "127.0.0.1:1",
            "--fanout",
            "a:1,b:2",
        ];
        let (_, settings) = parse(arguments.map(OsString::from)).expect("parses");
        assert_eq!(settings.flags["listen"], "127.0.0.1:1");
        assert_eq!(settings.flags["fanout"], "a:1,b:2");
    }
}
