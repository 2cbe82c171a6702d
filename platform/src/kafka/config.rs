//! What is needed to reach the log.

use std::{collections::BTreeMap, fmt, time::Duration};

use rdkafka::ClientConfig;

use crate::config::SaslMechanism;

/// How long the log may take to acknowledge a record before its fate is called unknown: rides out a leader election.
const MESSAGE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);

/// How often a client looks up which brokers lead which partitions, which it otherwise does on errors only.
const METADATA_INTERVAL_MS: &str = "1000";

const SASL_MECHANISM: &str = "sasl.mechanism";
/// The file of the authorities that are trusted.
pub(super) const AUTHORITIES: &str = "ssl.ca.location";
/// In its place: those where systems keep what they trust.
pub(super) const AUTHORITIES_OF_THE_SYSTEM: &str = "probe";
/// Handed to whoever makes a token: the region, where it is known.
pub(super) const REGION: &str = "sasl.oauthbearer.config";

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

impl KafkaConfig {
    /// Whether clients sign in by tokens that their own poll fetches.
    pub(super) fn signs_in_by_token(&self) -> bool {
        let mechanism = self.properties.get(SASL_MECHANISM);
        mechanism.is_some_and(|name| name == SaslMechanism::AwsMskIam.as_str())
    }
}

impl From<&crate::config::Kafka> for KafkaConfig {
    fn from(config: &crate::config::Kafka) -> Self {
        Self {
            message_timeout: config.message_timeout.0,
            properties: security(config),
            ..Self::new(&config.brokers)
        }
    }
}

/// The client library's properties for TLS and sign-in.
fn security(config: &crate::config::Kafka) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let mut set = |key: &str, value: &str| properties.insert(key.to_owned(), value.to_owned());
    let protocol = config.security_protocol;
    if protocol.is_tls() || protocol.is_sasl() {
        set("security.protocol", protocol.as_str());
    }
    if protocol.is_tls() {
        let file = config.ca_file.as_deref();
        set(AUTHORITIES, file.unwrap_or(AUTHORITIES_OF_THE_SYSTEM));
        if let (Some(certificate), Some(key)) = (&config.certificate_file, &config.key_file) {
            set("ssl.certificate.location", certificate);
            set("ssl.key.location", key);
        }
    }
    if let Some(mechanism) = config.sasl_mechanism {
        set(SASL_MECHANISM, mechanism.as_str());
        if mechanism == SaslMechanism::AwsMskIam {
            if let Some(region) = region_of(&config.brokers) {
                set(REGION, region);
            }
        } else if let (Some(username), Some(password)) = (&config.username, &config.password) {
            set("sasl.username", username);
            set("sasl.password", password.reveal());
        }
    }
    properties
}

/// The region in the name of a broker of Amazon MSK: `b-1.name.id.c2.kafka.<region>.amazonaws.com:9098`, or
/// `kafka-serverless` in its place.
fn region_of(brokers: &str) -> Option<&str> {
    let first = brokers.split(',').next()?;
    let mut labels = first.split('.');
    labels.find(|label| matches!(*label, "kafka" | "kafka-serverless"))?;
    let region = labels.next()?;
    labels
        .next()
        .filter(|label| *label == "amazonaws")
        .and(Some(region))
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

    #[test]
    fn the_region_is_in_the_name_of_a_managed_broker() {
        let provisioned = "b-1.log.a1b2c3.c2.kafka.eu-central-1.amazonaws.com:9098,b-2.x:9098";
        assert_eq!(region_of(provisioned), Some("eu-central-1"));
        let serverless = "boot-x.c1.kafka-serverless.us-west-2.amazonaws.com:9098";
        assert_eq!(region_of(serverless), Some("us-west-2"));
        assert_eq!(region_of("kafka.example.com:9092"), None);
    }
}
