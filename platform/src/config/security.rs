//! What the keys of TLS and sign-in must be together.

use super::{Config, ConfigError, SaslMechanism};

/// What every PEM file has (RFC 7468, section 2).
const PEM_BEGINS: &str = "-----BEGIN ";

/// Refuses what brokers or the client library would refuse later, and less clearly.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let kafka = &config.kafka;
    let (protocol, mechanism) = (kafka.security_protocol, kafka.sasl_mechanism);
    let together = |text: &str| Err(ConfigError::Together(text.to_owned()));
    if protocol.is_tls() && !cfg!(feature = "kafka-tls") {
        return wrong(
            "ROOMLOG_KAFKA_SECURITY_PROTOCOL",
            protocol.as_str(),
            "this program was built without the feature kafka-tls",
        );
    }
    if protocol.is_sasl() != mechanism.is_some() {
        return together(
            "ROOMLOG_KAFKA_SASL_MECHANISM is given exactly where ROOMLOG_KAFKA_SECURITY_PROTOCOL is SASL_SSL or SASL_PLAINTEXT",
        );
    }
    if kafka.certificate_file.is_some() != kafka.key_file.is_some() {
        return together("ROOMLOG_KAFKA_CERTIFICATE_FILE and ROOMLOG_KAFKA_KEY_FILE go together");
    }
    for (key, path) in [
        ("ROOMLOG_KAFKA_CA_FILE", &kafka.ca_file),
        ("ROOMLOG_KAFKA_CERTIFICATE_FILE", &kafka.certificate_file),
        ("ROOMLOG_KAFKA_KEY_FILE", &kafka.key_file),
        ("ROOMLOG_REDIS_CA_FILE", &config.redis.ca_file),
    ] {
        let Some(path) = path else { continue };
        match std::fs::read_to_string(path) {
            Ok(text) if text.contains(PEM_BEGINS) => {}
            Ok(_) => return wrong(key, path, "expected a PEM file"),
            Err(error) => return wrong(key, path, &format!("expected a PEM file: {error}")),
        }
    }
    let Some(mechanism) = mechanism else {
        return Ok(());
    };
    let has_user = kafka.username.is_some() && kafka.password.is_some();
    match mechanism {
        _ if mechanism.has_password() && !has_user => together(
            "ROOMLOG_KAFKA_USERNAME and ROOMLOG_KAFKA_PASSWORD are needed by PLAIN and SCRAM",
        ),
        SaslMechanism::Plain => Ok(()),
        // The client library takes its hashes from the same place as TLS.
        _ if !cfg!(feature = "kafka-tls") => wrong(
            "ROOMLOG_KAFKA_SASL_MECHANISM",
            mechanism.as_str(),
            "this program was built without the feature kafka-tls",
        ),
        SaslMechanism::AwsMskIam if !cfg!(feature = "msk-iam") => wrong(
            "ROOMLOG_KAFKA_SASL_MECHANISM",
            "AWS_MSK_IAM",
            "this program was built without the feature msk-iam",
        ),
        SaslMechanism::AwsMskIam if !protocol.is_tls() => {
            together("AWS_MSK_IAM needs ROOMLOG_KAFKA_SECURITY_PROTOCOL=SASL_SSL")
        }
        _ => Ok(()),
    }
}

fn wrong(key: &str, value: &str, expected: &str) -> Result<(), ConfigError> {
    Err(ConfigError::value(key, value, expected))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    fn outcome(pairs: &[(&str, &str)]) -> Result<(), String> {
        let variables = pairs
            .iter()
            .map(|(name, value)| (format!("ROOMLOG_KAFKA_{name}"), (*value).to_owned()));
        super::super::load(None, variables, &BTreeMap::new())
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn sign_in_needs_all_of_its_keys() {
        let incomplete = [("SECURITY_PROTOCOL", "SASL_PLAINTEXT")];
        assert!(
            outcome(&incomplete)
                .expect_err("no mechanism")
                .contains("SASL_MECHANISM")
        );
        let nobody = [incomplete[0], ("SASL_MECHANISM", "PLAIN")];
        assert!(outcome(&nobody).expect_err("no user").contains("USERNAME"));
        let complete = [nobody[0], nobody[1], ("USERNAME", "u"), ("PASSWORD", "p")];
        assert_eq!(outcome(&complete), Ok(()));
        assert!(outcome(&complete[1..]).is_err(), "a mechanism without SASL");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let told = outcome(&[("CA_FILE", "/nowhere.pem")]).expect_err("no such file");
        assert!(
            told.contains("ROOMLOG_KAFKA_CA_FILE") && told.contains("/nowhere.pem"),
            "{told}"
        );
    }

    #[test]
    fn a_file_of_something_else_is_named() {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let told = outcome(&[("CA_FILE", manifest)]).expect_err("no PEM");
        assert!(told.contains("CA_FILE") && told.contains("PEM"), "{told}");
    }

    #[test]
    fn a_certificate_needs_its_key() {
        assert!(outcome(&[("CERTIFICATE_FILE", "c.pem")]).is_err());
    }

    #[test]
    fn tls_is_refused_where_it_was_not_built_in() {
        let tls = outcome(&[("SECURITY_PROTOCOL", "SSL")]);
        assert_eq!(tls.is_ok(), cfg!(feature = "kafka-tls"), "{tls:?}");
        if let Err(told) = tls {
            assert!(
                told.contains("built without the feature kafka-tls"),
                "{told}"
            );
        }
    }

    #[test]
    fn an_unknown_mechanism_is_answered_with_those_there_are() {
        let told = outcome(&[("SASL_MECHANISM", "GSSAPI")]).expect_err("unknown");
        assert!(
            told.contains("SCRAM-SHA-512") && told.contains("AWS_MSK_IAM"),
            "{told}"
        );
    }
}
