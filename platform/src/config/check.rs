//! What the types of keys don't say: values that make no sense, alone or together.
//!
//! Whatever a service would refuse at its start is refused here, so that `roomlog config check` finds it too, and before
//! anything was touched. Keys that check tokens are the gateway's to look at.

use std::time::Duration;

use roomlog_core::{
    ids::{RoomId, UserId},
    room_log::WINDOW_MS,
};

use super::{
    Config, ConfigError, Files, Gateway, Jwt, Span, Topics, WEB_ADDRESS_EXPECTED, security,
    web_address,
};
use crate::{link::Targets, redis, s3, telemetry};

/// RFC 7518, section 3.2: an HS256 key has at least the size of its hash.
const SECRET_BYTES_MIN: usize = 32;

/// The least of times that would make no sense at once: a token that is over, a lease that is, an acknowledgement that
/// can't come. Heart-beats have it as their floor.
const TIME_MIN: Duration = Duration::from_secs(1);

/// Refuses the first value that can't be used.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    topics(&config.topics)?;
    addresses(config)?;
    tokens(&config.jwt)?;
    files(&config.files)?;
    gateway(&config.gateway, &config.accounts.admins)?;
    fanout(config)?;
    times(config)?;
    config.bounds.check()?;
    process(config)?;
    security::check(config)
}

fn topics(topics: &Topics) -> Result<(), ConfigError> {
    if topics.min_insync == 0 || topics.min_insync > topics.replication {
        return wrong(
            "ROOMLOG_TOPICS_MIN_INSYNC",
            topics.min_insync,
            "expected 1 up to ROOMLOG_TOPICS_REPLICATION",
        );
    }
    for (key, value) in [
        ("ROOMLOG_TOPICS_PARTITIONS", topics.partitions),
        ("ROOMLOG_TOPICS_WINDOW_OFFSETS", topics.window_offsets),
    ] {
        if value == 0 {
            return wrong(key, value, "expected at least 1");
        }
    }
    let kept_ms = i64::try_from(topics.retention.as_millis()).unwrap_or(i64::MAX);
    if kept_ms <= WINDOW_MS {
        return wrong(
            "ROOMLOG_TOPICS_RETENTION",
            topics.retention,
            "expected more than 24h, as retries are found in the log so far back",
        );
    }
    Ok(())
}

fn addresses(config: &Config) -> Result<(), ConfigError> {
    if Targets::parse(config.kafka.brokers.split(',')).is_err() {
        return wrong(
            "ROOMLOG_KAFKA_BROKERS",
            &config.kafka.brokers,
            "expected host:port, joined by commas",
        );
    }
    for (key, address) in [
        ("ROOMLOG_REGISTRY_URL", &config.kafka.registry_url),
        ("ROOMLOG_DYNAMODB_ENDPOINT", &config.dynamodb.endpoint),
        ("ROOMLOG_OTLP_ENDPOINT", &config.process.otlp_endpoint),
        ("ROOMLOG_JWT_JWKS_URL", &config.jwt.jwks_url),
    ] {
        if let Some(address) = address
            .as_ref()
            .filter(|address| web_address(address).is_none())
        {
            return wrong(key, address, WEB_ADDRESS_EXPECTED);
        }
    }
    redis::check(&config.redis)
}

/// Of the three keys one is given at most; whether one is needed is the gateway's to say.
fn tokens(jwt: &Jwt) -> Result<(), ConfigError> {
    let secret_bytes = jwt.secret.as_ref().map(|secret| secret.reveal().len());
    if secret_bytes.is_some_and(|bytes| bytes < SECRET_BYTES_MIN) {
        return Err(ConfigError::secret(
            "ROOMLOG_JWT_SECRET",
            "expected at least 32 bytes, as HS256 asks for (RFC 7518, section 3.2)",
        ));
    }
    let given = [
        jwt.secret.is_some(),
        jwt.public_key_file.is_some(),
        jwt.jwks_url.is_some(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        return Err(ConfigError::Together(
            "ROOMLOG_JWT_SECRET, ROOMLOG_JWT_PUBLIC_KEY_FILE, ROOMLOG_JWT_JWKS_URL: several are given, expected one of them"
                .to_owned(),
        ));
    }
    Ok(())
}

fn files(files: &Files) -> Result<(), ConfigError> {
    if files.access_key.is_some() != files.secret.is_some() {
        return Err(ConfigError::secret(
            "ROOMLOG_S3_SECRET_KEY",
            "expected exactly where ROOMLOG_S3_ACCESS_KEY is given",
        ));
    }
    s3::check(files)
}

fn gateway(gateway: &Gateway, admins: &[String]) -> Result<(), ConfigError> {
    const AN_ID: &str = "expected 1 to 64 letters, digits, hyphens and underscores";
    let room = gateway.guest_room.as_deref();
    if let Some(room) = room.filter(|room| RoomId::parse(room).is_err()) {
        return wrong("ROOMLOG_GUEST_ROOM", room, AN_ID);
    }
    match admins.iter().find(|admin| UserId::parse(admin).is_err()) {
        Some(admin) => wrong("ROOMLOG_ADMINS", admin, AN_ID),
        None => Ok(()),
    }
}

fn fanout(config: &Config) -> Result<(), ConfigError> {
    if !matches!(config.fanout.group.as_str(), "a" | "b") {
        return wrong(
            "ROOMLOG_FANOUT_GROUP",
            &config.fanout.group,
            "expected a or b",
        );
    }
    match Targets::parse(&config.fanout.instances) {
        Ok(_) => Ok(()),
        Err(_) => wrong(
            "ROOMLOG_FANOUT",
            config.fanout.instances.join(","),
            "expected host:port, joined by commas",
        ),
    }
}

fn times(config: &Config) -> Result<(), ConfigError> {
    for (key, time) in [
        (
            "ROOMLOG_KAFKA_MESSAGE_TIMEOUT",
            config.kafka.message_timeout,
        ),
        ("ROOMLOG_JWT_ACCESS_TTL", config.jwt.access_ttl),
        ("ROOMLOG_SESSION_IDLE_TTL", config.accounts.session_idle_ttl),
        ("ROOMLOG_SESSION_TTL", config.accounts.session_ttl),
        ("ROOMLOG_HEART_BEAT", config.gateway.heart_beat),
        ("ROOMLOG_SILENCE", config.gateway.silence),
        ("ROOMLOG_PRESENCE_LEASE", config.presence.lease),
    ] {
        let Span(span) = time;
        if span < TIME_MIN {
            return wrong(key, time, "expected at least 1s");
        }
    }
    Ok(())
}

fn process(config: &Config) -> Result<(), ConfigError> {
    match telemetry::filter(&config.process.log) {
        Some(_) => Ok(()),
        None => wrong(
            "ROOMLOG_LOG",
            &config.process.log,
            "expected error, warn, info, debug, trace or off, or target=level, joined by commas",
        ),
    }
}

fn wrong(key: &str, value: impl ToString, expected: &str) -> Result<(), ConfigError> {
    Err(ConfigError::value(key, value, expected))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    fn outcome(pairs: &[(&str, &str)]) -> Result<(), String> {
        let variables = pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        super::super::load(None, variables, &BTreeMap::new())
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_by_key_value_and_expectation() {
        for (key, value, expected) in [
            ("ROOMLOG_KAFKA_BROKERS", "localhost", "host:port"),
            ("ROOMLOG_KAFKA_MESSAGE_TIMEOUT", "0s", "at least 1s"),
            ("ROOMLOG_REGISTRY_URL", "registry:8081", "http://"),
            ("ROOMLOG_TOPICS_PARTITIONS", "0", "at least 1"),
            ("ROOMLOG_TOPICS_MIN_INSYNC", "4", "REPLICATION"),
            ("ROOMLOG_TOPICS_RETENTION", "24h", "more than 24h"),
            ("ROOMLOG_TOPICS_WINDOW_OFFSETS", "0", "at least 1"),
            ("ROOMLOG_DYNAMODB_ENDPOINT", "localhost:8000", "http://"),
            ("ROOMLOG_DYNAMODB_ENDPOINT", "ftp://localhost", "http://"),
            ("ROOMLOG_JWT_JWKS_URL", "keys.json", "http://"),
            ("ROOMLOG_JWT_ACCESS_TTL", "10ms", "at least 1s"),
            ("ROOMLOG_FANOUT", "nowhere", "host:port"),
            ("ROOMLOG_FANOUT_GROUP", "c", "a or b"),
            ("ROOMLOG_GUEST_ROOM", "no room", "letters"),
            ("ROOMLOG_ADMINS", "al ice", "letters"),
            ("ROOMLOG_HEART_BEAT", "999ms", "at least 1s"),
            ("ROOMLOG_LOG", "loud", "warn"),
            ("ROOMLOG_LOG", "roomlog=loud", "warn"),
            ("ROOMLOG_OTLP_ENDPOINT", "collector:4317", "http://"),
        ] {
            let error = outcome(&[(key, value)]).expect_err(key);
            for part in [key, value, expected] {
                assert!(error.contains(part), "{part} is not in: {error}");
            }
        }
    }

    #[test]
    fn a_wrong_secret_is_refused_and_not_shown() {
        for (key, value, expected) in [
            ("ROOMLOG_JWT_SECRET", "hunter2", "32 bytes"),
            ("ROOMLOG_REDIS_URL", "http://:hunter2@cache/", "redis://"),
            ("ROOMLOG_S3_SECRET_KEY", "hunter2", "ROOMLOG_S3_ACCESS_KEY"),
        ] {
            let error = outcome(&[(key, value)]).expect_err(key);
            assert!(error.contains(key) && error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_bucket_needs_an_address_that_can_be_one() {
        let bucket = ("ROOMLOG_S3_BUCKET", "files");
        for (key, value) in [
            ("ROOMLOG_S3_ENDPOINT", "nowhere"),
            ("ROOMLOG_S3_ENDPOINT", "ftp://nowhere"),
            ("ROOMLOG_S3_REGION", "no region"),
        ] {
            let error = outcome(&[bucket, (key, value)]).expect_err(key);
            assert!(error.contains(key) && error.contains(value), "{error}");
        }
        let endpoint = ("ROOMLOG_S3_ENDPOINT", "http://127.0.0.1:9000");
        assert_eq!(outcome(&[bucket, endpoint]), Ok(()));
        assert_eq!(outcome(&[bucket]), Ok(()));
    }

    #[test]
    fn tokens_are_checked_by_one_kind_of_key() {
        let secret = ("ROOMLOG_JWT_SECRET", "for-this-test-only-and-not-a-secret");
        let address = ("ROOMLOG_JWT_JWKS_URL", "https://id.example/keys");
        assert_eq!(outcome(&[secret]), Ok(()));
        assert_eq!(outcome(&[address]), Ok(()));
        let error = outcome(&[secret, address]).expect_err("two kinds");
        assert!(error.contains("expected one of them"), "{error}");
    }

    #[test]
    fn log_filters_are_levels_and_targets_with_levels() {
        for good in [
            "info",
            "warn,dynoxide=error",
            "off",
            "info, roomlog=debug",
            "WARN",
        ] {
            assert_eq!(outcome(&[("ROOMLOG_LOG", good)]), Ok(()), "{good}");
        }
    }
}
