//! Reads the configuration from its layers and names, for a wrong value, the key, the value and what was expected.

use std::{collections::BTreeMap, path::Path};

use confique::{
    Config as _, Layer as _,
    meta::{FieldKind, Meta},
};
use serde::Deserialize as _;
use thiserror::Error;

use super::Config;

type ConfigLayer = <Config as confique::Config>::Layer;

/// Every variable of this program begins with it; an unknown one is refused, so that a typing error does not pass in silence.
pub const VARIABLE_PREFIX: &str = "ROOMLOG_";

/// Variables with this prefix belong to the tests.
const TEST_VARIABLE_PREFIX: &str = "ROOMLOG_TEST_";

/// Variables of the command line that are no keys: the configuration file, and the gateway the tools talk to.
const COMMAND_LINE_VARIABLES: &[&str] = &["ROOMLOG_CONFIG", "ROOMLOG_URL"];

/// Fields whose value no message shows.
const SECRET_FIELDS: &[&str] = &["secret", "password", "url"];

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A `ROOMLOG_*` variable.
    Variable,
    /// A `--flag`.
    Flag,
}

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

/// One key: where it stands in the file, and its variable.
struct Key {
    section: &'static str,
    field: &'static str,
    variable: &'static str,
    summary: String,
}

/// Every flag with its one-line help, in the order of the file.
pub fn flags() -> Vec<(String, String)> {
    keys()
        .into_iter()
        .map(|key| (flag_of(key.variable), key.summary))
        .collect()
}

/// The documented configuration file, every key at its default.
pub fn template() -> String {
    confique::toml::template::<Config>(confique::toml::FormatOptions::default())
}

/// Joins defaults, file, variables and flags (`kafka-brokers` → value).
///
/// # Errors
/// The first value, key or file that can't be used.
pub fn load(
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let keys = keys();
    let mut layer = ConfigLayer::empty();
    for (flag, value) in flags {
        let key = keys
            .iter()
            .find(|key| flag_of(key.variable) == *flag)
            .ok_or_else(|| ConfigError::Unknown {
                key: format!("--{flag}"),
            })?;
        layer = layer.with_fallback(leaf(key, Source::Flag, value)?);
    }
    for (variable, value) in variables {
        if !is_ours(&variable) || value.is_empty() {
            continue;
        }
        let key = keys
            .iter()
            .find(|key| key.variable == variable)
            .ok_or(ConfigError::Unknown { key: variable })?;
        layer = layer.with_fallback(leaf(key, Source::Variable, &value)?);
    }
    if let Some(path) = file {
        layer = layer.with_fallback(from_file(path)?);
    }
    let layer = layer.with_fallback(ConfigLayer::default_values());
    let config =
        Config::from_layer(layer).map_err(|error| ConfigError::Together(error.to_string()))?;
    check(&config)?;
    Ok(config)
}

fn is_ours(variable: &str) -> bool {
    variable.starts_with(VARIABLE_PREFIX)
        && !variable.starts_with(TEST_VARIABLE_PREFIX)
        && !COMMAND_LINE_VARIABLES.contains(&variable)
}

fn flag_of(variable: &str) -> String {
    variable
        .trim_start_matches(VARIABLE_PREFIX)
        .to_ascii_lowercase()
        .replace('_', "-")
}

fn keys() -> Vec<Key> {
    let sections = Config::META.fields.iter().filter_map(|section| {
        let FieldKind::Nested { meta } = section.kind else {
            return None;
        };
        Some((section.name, meta))
    });
    sections
        .flat_map(|(name, meta)| section_keys(name, meta))
        .collect()
}

fn section_keys(section: &'static str, meta: &'static Meta) -> impl Iterator<Item = Key> {
    meta.fields
        .iter()
        .filter_map(move |field| match field.kind {
            FieldKind::Leaf {
                env: Some(variable),
                ..
            } => Some(Key {
                section,
                field: field.name,
                variable,
                summary: field.doc.join(" ").trim().to_owned(),
            }),
            _ => None,
        })
}

/// A layer that holds one value. A text is tried as it is, then as a TOML value, then as a list joined by commas,
/// as only the key knows its type.
fn leaf(key: &Key, source: Source, text: &str) -> Result<ConfigLayer, ConfigError> {
    let list = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(|item| toml::Value::String(item.to_owned()))
        .collect();
    let scalar = text
        .parse::<i64>()
        .map(toml::Value::Integer)
        .or_else(|_| text.parse::<bool>().map(toml::Value::Boolean))
        .ok();
    let as_text = single(key, toml::Value::String(text.to_owned()));
    let error = match as_text {
        Ok(layer) => return Ok(layer),
        Err(error) => error,
    };
    for value in scalar.into_iter().chain([toml::Value::Array(list)]) {
        if let Ok(layer) = single(key, value) {
            return Ok(layer);
        }
    }
    let name = match source {
        Source::Variable => key.variable.to_owned(),
        Source::Flag => format!("--{}", flag_of(key.variable)),
    };
    let hidden = SECRET_FIELDS.contains(&key.field);
    Err(ConfigError::Value {
        key: name,
        value: if hidden { "(hidden)" } else { text }.to_owned(),
        expected: error.message().trim().to_owned(),
    })
}

fn single(key: &Key, value: toml::Value) -> Result<ConfigLayer, toml::de::Error> {
    let section = toml::Table::from_iter([(key.field.to_owned(), value)]);
    let table = toml::Table::from_iter([(key.section.to_owned(), toml::Value::Table(section))]);
    ConfigLayer::deserialize(table)
}

fn from_file(path: &Path) -> Result<ConfigLayer, ConfigError> {
    let fail = |reason: String| ConfigError::File {
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| fail(error.to_string()))?;
    let keys = keys();
    for (section, fields) in &table {
        for field in fields.as_table().into_iter().flat_map(toml::Table::keys) {
            if !keys
                .iter()
                .any(|key| key.section == section && key.field == field)
            {
                return Err(ConfigError::Unknown {
                    key: format!("{section}.{field}"),
                });
            }
        }
    }
    toml::from_str(&text).map_err(|error: toml::de::Error| fail(error.to_string()))
}

/// What no single key can know.
fn check(config: &Config) -> Result<(), ConfigError> {
    let wrong = |key: &str, value: String, expected: &str| {
        Err(ConfigError::Value {
            key: key.to_owned(),
            value,
            expected: expected.to_owned(),
        })
    };
    if !matches!(config.fanout.group.as_str(), "a" | "b") {
        return wrong(
            "ROOMLOG_FANOUT_GROUP",
            config.fanout.group.clone(),
            "expected a or b",
        );
    }
    if config.topics.min_insync == 0 || config.topics.min_insync > config.topics.replication {
        return wrong(
            "ROOMLOG_TOPICS_MIN_INSYNC",
            config.topics.min_insync.to_string(),
            "expected 1 up to ROOMLOG_TOPICS_REPLICATION",
        );
    }
    if config.topics.partitions == 0 {
        return wrong(
            "ROOMLOG_TOPICS_PARTITIONS",
            "0".into(),
            "expected at least 1",
        );
    }
    let secret = config
        .jwt
        .secret
        .as_ref()
        .map(|secret| secret.reveal().len());
    if secret.is_some_and(|bytes| bytes < SECRET_BYTES_MIN) {
        return wrong(
            "ROOMLOG_JWT_SECRET",
            "(hidden)".into(),
            "expected at least 32 bytes, as HS256 asks for (RFC 7518, section 3.2)",
        );
    }
    super::security::check(config)
}

/// RFC 7518, section 3.2: an HS256 key has at least the size of its hash.
const SECRET_BYTES_MIN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn from_variables(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let variables = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        load(None, variables, &BTreeMap::new())
    }

    #[test]
    fn flags_win_over_variables_and_variables_over_defaults() {
        let flags = BTreeMap::from([("listen".to_owned(), "127.0.0.1:1".to_owned())]);
        let variables = [
            ("ROOMLOG_LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
            ("ROOMLOG_TABLE_PREFIX".to_owned(), "42".to_owned()),
            ("ROOMLOG_FANOUT".to_owned(), "a:1, b:2".to_owned()),
            ("UNRELATED".to_owned(), "x".to_owned()),
        ];
        let config = load(None, variables, &flags).expect("valid");
        assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:1");
        assert_eq!(config.dynamodb.table_prefix, "42");
        assert_eq!(config.fanout.instances, ["a:1", "b:2"]);
        assert_eq!(config.topics.partitions, 12);
    }

    #[test]
    fn a_wrong_value_names_key_value_and_expectation() {
        for (key, value, expected) in [
            ("ROOMLOG_LISTEN", "localhost", "IP address and a port"),
            ("ROOMLOG_TOPICS_PARTITIONS", "many", "u32"),
            ("ROOMLOG_DRAIN", "10", "like 15s"),
            ("ROOMLOG_FANOUT_GROUP", "c", "a or b"),
            ("ROOMLOG_LOG_FORMAT", "xml", "json"),
        ] {
            let error = from_variables(&[(key, value)]).expect_err(key).to_string();
            for part in [key, value, expected] {
                assert!(error.contains(part), "{part} is not in: {error}");
            }
        }
    }

    #[test]
    fn a_short_secret_is_refused_and_not_shown() {
        let error = from_variables(&[("ROOMLOG_JWT_SECRET", "hunter2")]).expect_err("short");
        assert!(error.to_string().contains("32 bytes") && !error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_mistyped_variable_is_refused() {
        let error = from_variables(&[("ROOMLOG_KAFKA_BROKER", "x:1")]).expect_err("unknown");
        assert!(matches!(error, ConfigError::Unknown { .. }));
    }

    #[test]
    fn the_template_is_valid_and_holds_every_variable() {
        let template = template();
        assert!(template.parse::<toml::Table>().is_ok());
        for key in keys() {
            assert!(template.contains(key.variable), "{}", key.variable);
        }
    }
}
