//! What is needed to reach the log.

use std::{collections::BTreeMap, fmt, time::Duration};

use rdkafka::ClientConfig;

/// How long the log may take to acknowledge a record before its fate is called unknown: rides out a leader election.
const MESSAGE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

/// How often a client looks up which brokers lead which partitions, which it otherwise does on errors only.
const METADATA_INTERVAL_MS: &str = "1000";

/// Where the log is, and anything about it that has no key of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Bootstrap servers, `host:port` joined by commas.
    pub brokers: String,
    /// How long the log may take to acknowledge a record before its fate is called unknown.
    pub message_timeout: Duration,
    /// Further properties of librdkafka, such as those of TLS and SASL; they win over our own settings.
    pub properties: BTreeMap<String, String>,
}

// === impl KafkaConfig ===

impl KafkaConfig {
    /// A plain connection to these bootstrap servers.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            message_timeout: MESSAGE_TIMEOUT_DEFAULT,
            properties: BTreeMap::new(),
        }
    }

    /// The settings every client shares, then `own`, then the configured properties.
    pub(super) fn client(&self, own: &[(&str, &str)]) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "roomlog")
            // The default of 60 s would let a stopped broker stall everything that waits on its socket.
            .set("socket.timeout.ms", "5000")
            .set("socket.connection.setup.timeout.ms", "5000")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            // A broker that restarts is found again within a second.
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "1000")
            // A broker that has just started denies every topic for a moment; until the next look the client believes it.
            .set("topic.metadata.refresh.interval.ms", METADATA_INTERVAL_MS)
            .set("allow.auto.create.topics", "false");
        for (key, value) in own {
            client.set(*key, *value);
        }
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        client
    }
}

impl From<&crate::config::Kafka> for KafkaConfig {
    fn from(config: &crate::config::Kafka) -> Self {
        Self {
            message_timeout: config.message_timeout.0,
            ..Self::new(&config.brokers)
        }
    }
}

impl fmt::Debug for KafkaConfig {
    /// Names the further properties but not their values, which may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaConfig")
            .field("brokers", &self.brokers)
            .field("message_timeout", &self.message_timeout)
            .field("properties", &self.properties.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_properties_win_and_stay_out_of_the_logs() {
        let mut config = KafkaConfig::new("a:1");
        config
            .properties
            .insert("socket.timeout.ms".into(), "4000".into());
        config
            .properties
            .insert("sasl.password".into(), "hush".into());
        let client = config.client(&[("client.id", "x")]);
        assert_eq!(client.get("socket.timeout.ms"), Some("4000"));
        assert_eq!(client.get("client.id"), Some("x"));
        assert!(!format!("{config:?}").contains("hush"));
    }
}
