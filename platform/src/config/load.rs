//! Reads the configuration from its layers and names, for a wrong value, the key, the value and what was expected.

use std::{collections::BTreeMap, path::Path};

use confique::{
    Config as _, Layer as _,
    meta::{FieldKind, Meta},
};
use serde::{Deserialize as _, Serialize};

use super::{Config, ConfigError, check::check};

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

/// One key for programs.
#[derive(Debug, Serialize)]
pub struct Described {
    /// Where it stands in the file: section and field, joined by a dot.
    pub key: String,
    /// Its variable.
    pub variable: &'static str,
    /// Its flag, with the hyphens.
    pub flag: String,
    /// What it is for.
    pub summary: String,
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

/// Every key as programs want to know it, in the order of the file.
pub fn described() -> Vec<Described> {
    let described = |key: Key| Described {
        key: format!("{}.{}", key.section, key.field),
        variable: key.variable,
        flag: format!("--{}", flag_of(key.variable)),
        summary: key.summary,
    };
    keys().into_iter().map(described).collect()
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
    load_over(&BTreeMap::new(), file, variables, flags)
}

/// The same over other defaults for some flags.
///
/// # Errors
/// The first value, key or file that can't be used.
pub fn load_over(
    defaults: &BTreeMap<String, String>,
    file: Option<&Path>,
    variables: impl IntoIterator<Item = (String, String)>,
    flags: &BTreeMap<String, String>,
) -> Result<Config, ConfigError> {
    let keys = keys();
    let mut layer = from_flags(&keys, flags)?;
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
        layer = layer.with_fallback(from_file(&keys, path)?);
    }
    layer = layer.with_fallback(from_flags(&keys, defaults)?);
    let layer = layer.with_fallback(ConfigLayer::default_values());
    let config =
        Config::from_layer(layer).map_err(|error| ConfigError::Together(error.to_string()))?;
    check(&config)?;
    Ok(config)
}

fn from_flags(keys: &[Key], flags: &BTreeMap<String, String>) -> Result<ConfigLayer, ConfigError> {
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
    Ok(layer)
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
        .or_else(|_| text.parse::<f64>().map(toml::Value::Float))
        .ok();
    let mut error = match single(key, toml::Value::String(text.to_owned())) {
        Ok(layer) => return Ok(layer),
        Err(error) => error,
    };
    for value in scalar.into_iter().chain([toml::Value::Array(list)]) {
        match single(key, value) {
            Ok(layer) => return Ok(layer),
            // That it is no text says less than what is wrong with it.
            Err(other) if is_for_type(&error) && !is_for_type(&other) => error = other,
            Err(_) => {}
        }
    }
    let name = match source {
        Source::Variable => key.variable.to_owned(),
        Source::Flag => format!("--{}", flag_of(key.variable)),
    };
    Err(key.refused(name, text, &error))
}

/// Whether a value was refused for its type alone.
fn is_for_type(error: &toml::de::Error) -> bool {
    error.message().starts_with("invalid type")
}

fn single(key: &Key, value: toml::Value) -> Result<ConfigLayer, toml::de::Error> {
    let section = toml::Table::from_iter([(key.field.to_owned(), value)]);
    let table = toml::Table::from_iter([(key.section.to_owned(), toml::Value::Table(section))]);
    ConfigLayer::deserialize(table)
}

/// The file's layer, made of single values, so that a wrong one is named and a secret one never shown with its line.
fn from_file(keys: &[Key], path: &Path) -> Result<ConfigLayer, ConfigError> {
    let fail = |reason: String| ConfigError::File {
        path: path.display().to_string(),
        reason,
    };
    let text = std::fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| fail(in_line(&text, &error)))?;
    let unknown = |key: String| ConfigError::Unknown { key };
    let mut layer = ConfigLayer::empty();
    for (section, fields) in table {
        let known = keys.iter().any(|key| key.section == section);
        let toml::Value::Table(fields) = fields else {
            return Err(unknown(section));
        };
        if !known {
            return Err(unknown(section));
        }
        for (field, value) in fields {
            let name = format!("{section}.{field}");
            let key = keys
                .iter()
                .find(|key| key.section == section && key.field == field)
                .ok_or_else(|| unknown(name.clone()))?;
            let shown = shown(&value);
            let leaf = single(key, value).map_err(|error| key.refused(name, &shown, &error))?;
            layer = layer.with_fallback(leaf);
        }
    }
    Ok(layer)
}

/// What is wrong with a file and in which line, without the line itself: it may hold a secret.
fn in_line(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}

fn shown(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Float(number) => number.to_string(),
        toml::Value::Boolean(value) => value.to_string(),
        toml::Value::Datetime(time) => time.to_string(),
        toml::Value::Array(_) => "[…]".to_owned(),
        toml::Value::Table(_) => "{…}".to_owned(),
    }
}

// === impl Key ===

impl Key {
    /// The refusal of a value that is not of this key's type.
    fn refused(&self, name: String, value: &str, error: &toml::de::Error) -> ConfigError {
        if SECRET_FIELDS.contains(&self.field) {
            // The error would repeat the value.
            return ConfigError::secret(&name, "expected a text");
        }
        ConfigError::value(&name, value, error.message().trim())
    }
}

#[cfg(test)]
mod tests;
