//! Layers over one another, and refusals that name what is wrong.

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

/// What is made of a file with this text, below these variables.
fn from_text(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("roomlog.toml");
    std::fs::write(&path, text).expect("written");
    let variables = variables
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()));
    let defaults = BTreeMap::from([
        ("guest-room".to_owned(), "below".to_owned()),
        ("listen".to_owned(), "127.0.0.1:3".to_owned()),
    ]);
    load_over(&defaults, Some(&path), variables, &BTreeMap::new())
}

#[test]
fn a_file_is_below_variables_and_above_every_default() {
    let text = "[gateway]\nlisten = \"127.0.0.1:1\"\ndrain = \"3s\"\n[fanout]\ninstances = [\"a:1\", \"b:2\"]\n";
    let config = from_text(text, &[("ROOMLOG_DRAIN", "4s")]).expect("valid");
    assert_eq!(config.gateway.listen.to_string(), "127.0.0.1:1");
    assert_eq!(config.gateway.drain.as_millis(), 4_000);
    assert_eq!(config.gateway.guest_room.as_deref(), Some("below"));
    assert_eq!(config.fanout.instances, ["a:1", "b:2"]);
    assert_eq!(config.gateway.heart_beat.as_millis(), 10_000);
}

#[test]
fn a_wrong_line_of_a_file_is_named_and_its_secret_is_not_shown() {
    for (text, told) in [
        ("[gateway]\nlisten = 5", "gateway.listen: the value \"5\""),
        ("[gateway]\nlisten = \"5\"", "expected an IP address"),
        ("[gateway]\nlistens = 5", "gateway.listens: no such"),
        ("[getaway]", "getaway: no such"),
        ("drain = 5", "drain: no such"),
        (
            "[jwt]\nsecret = 20061975",
            "jwt.secret: the value \"(hidden)\"",
        ),
        ("\n[jwt]\nsecret = \"20061975", "roomlog.toml: line 3"),
        (
            "[redis]\nurl = [20061975]",
            "redis.url: the value \"(hidden)\"",
        ),
    ] {
        let error = from_text(text, &[]).expect_err(text).to_string();
        assert!(error.contains(told), "{told} is not in: {error}");
        assert!(!error.contains("20061975"), "{error}");
    }
}

#[test]
fn a_wrong_value_names_key_value_and_expectation() {
    for (key, value, expected) in [
        ("ROOMLOG_LISTEN", "localhost", "IP address and a port"),
        ("ROOMLOG_TOPICS_PARTITIONS", "many", "u32"),
        ("ROOMLOG_DRAIN", "10", "like 15s"),
        ("ROOMLOG_LOG_FORMAT", "xml", "json"),
    ] {
        let error = from_variables(&[(key, value)]).expect_err(key).to_string();
        for part in [key, value, expected] {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
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
