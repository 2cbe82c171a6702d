//! The settings of a topic: which there are, their defaults, and what the broker reads from them.

use std::collections::BTreeMap;

use super::partition_log::{Retention, TimestampType};

const TIMESTAMP_TYPE: &str = "message.timestamp.type";
const MESSAGE_BYTES_MAX: &str = "max.message.bytes";
const RETENTION_BYTES: &str = "retention.bytes";
const RETENTION_MS: &str = "retention.ms";
const SEGMENT_BYTES: &str = "segment.bytes";

/// Name, default and kind of every setting that is accepted. Some change nothing on a single node, yet tools set them.
const SETTINGS: &[(&str, &str, Kind)] = &[
    ("cleanup.policy", "delete", Kind::OneOf(&["delete"])),
    (
        "compression.type",
        "producer",
        Kind::OneOf(&["producer", "uncompressed", "zstd", "lz4", "snappy", "gzip"]),
    ),
    (
        "flush.messages",
        "9223372036854775807",
        Kind::Integer { min: 1 },
    ),
    ("flush.ms", "9223372036854775807", Kind::Integer { min: 0 }),
    (MESSAGE_BYTES_MAX, "1048588", Kind::Integer { min: 0 }),
    (
        "message.timestamp.after.max.ms",
        "3600000",
        Kind::Integer { min: 0 },
    ),
    (
        "message.timestamp.before.max.ms",
        "9223372036854775807",
        Kind::Integer { min: 0 },
    ),
    (
        TIMESTAMP_TYPE,
        "CreateTime",
        Kind::OneOf(&["CreateTime", "LogAppendTime"]),
    ),
    ("min.insync.replicas", "1", Kind::Integer { min: 1 }),
    (RETENTION_BYTES, "-1", Kind::Integer { min: -1 }),
    (RETENTION_MS, "604800000", Kind::Integer { min: -1 }),
    (SEGMENT_BYTES, "16777216", Kind::Integer { min: 14 }),
    ("segment.ms", "604800000", Kind::Integer { min: 1 }),
    (
        "unclean.leader.election.enable",
        "false",
        Kind::OneOf(&["true", "false"]),
    ),
];

/// What a setting's value looks like.
#[derive(Clone, Copy)]
enum Kind {
    Integer { min: i64 },
    OneOf(&'static [&'static str]),
}

/// The settings of one topic that differ from the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TopicConfig {
    set: BTreeMap<String, String>,
}

/// Why a setting is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConfigError {
    /// No such setting.
    #[error("unknown topic config name: {0}")]
    Name(String),
    /// Not a value of this setting.
    #[error("invalid value {value} for configuration {name}")]
    Value {
        /// The setting.
        name: String,
        /// The value given.
        value: String,
    },
}

/// One setting as a client is told of it.
pub(super) struct Setting<'a> {
    pub(super) name: &'static str,
    pub(super) value: &'a str,
    pub(super) is_default: bool,
}

// === impl TopicConfig ===

impl TopicConfig {
    /// Sets one setting; `None` takes it back to its default.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), ConfigError> {
        let Some((_, _, kind)) = SETTINGS.iter().find(|(known, _, _)| *known == name) else {
            return Err(ConfigError::Name(name.into()));
        };
        let Some(value) = value else {
            self.set.remove(name);
            return Ok(());
        };
        if !kind.accepts(value) {
            let (name, value) = (name.into(), value.into());
            return Err(ConfigError::Value { name, value });
        }
        self.set.insert(name.into(), value.into());
        Ok(())
    }

    /// All settings, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = Setting<'_>> {
        SETTINGS.iter().map(|(name, default, _)| Setting {
            name,
            value: self.set.get(*name).map_or(default, String::as_str),
            is_default: !self.set.contains_key(*name),
        })
    }

    /// Those that differ from the defaults, as they are stored.
    pub(super) fn stored(&self) -> impl Iterator<Item = (&str, &str)> {
        self.set
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn timestamps(&self) -> TimestampType {
        match self.value(TIMESTAMP_TYPE) {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }

    pub(super) fn message_bytes_max(&self) -> usize {
        usize::try_from(self.integer(MESSAGE_BYTES_MAX)).unwrap_or(0)
    }

    pub(super) fn segment_bytes_max(&self) -> u64 {
        u64::try_from(self.integer(SEGMENT_BYTES)).unwrap_or(0)
    }

    pub(super) fn retention(&self) -> Retention {
        Retention {
            bytes_max: u64::try_from(self.integer(RETENTION_BYTES)).ok(),
            age_ms_max: Some(self.integer(RETENTION_MS)).filter(|age| *age >= 0),
        }
    }

    fn value(&self, name: &str) -> &str {
        let set = self.all().find(|setting| setting.name == name);
        set.map_or("", |setting| setting.value)
    }

    fn integer(&self, name: &str) -> i64 {
        self.value(name).parse().unwrap_or(0)
    }
}

// === impl Kind ===

impl Kind {
    fn accepts(self, value: &str) -> bool {
        match self {
            Kind::Integer { min } => value.parse::<i64>().is_ok_and(|number| number >= min),
            Kind::OneOf(values) => values.contains(&value),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_default_is_a_value_of_its_setting() {
        for (name, default, kind) in SETTINGS {
            assert!(kind.accepts(default), "{name}={default}");
        }
    }

    #[test]
    fn settings_are_checked_and_can_be_taken_back() {
        let mut config = TopicConfig::default();
        assert!(config.set("retention.mss", Some("1")).is_err());
        assert!(config.set(RETENTION_MS, Some("a week")).is_err());
        config.set(RETENTION_MS, Some("-1")).unwrap();
        assert_eq!(config.retention().age_ms_max, None);
        config.set(RETENTION_MS, None).unwrap();
        assert_eq!(config.retention().age_ms_max, Some(604_800_000));
    }
}
