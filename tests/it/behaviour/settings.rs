//! Settings as an operator meets them: a wrong one ends the start, and says which it is and what was expected.

use crate::{
    behaviour::tools::TOOL_LIMIT,
    harness::{System, process::Program, tools::scratch_folder},
};

/// Settings that can't be used, each with the expectation its refusal names.
const WRONG: [(&str, &str, &str); 26] = [
    ("ROOMLOG_ADMINS", "al ice", "letters"),
    ("ROOMLOG_CONNECT_TIMEOUT", "0s", "1s up to 5m"),
    ("ROOMLOG_DYNAMODB_ENDPOINT", "localhost:8000", "http://"),
    ("ROOMLOG_FANOUT", "nowhere", "host:port"),
    ("ROOMLOG_FANOUT_GROUP", "c", "a or b"),
    ("ROOMLOG_GUEST_ROOM", "no room", "letters"),
    ("ROOMLOG_HEADERS", "2", "16 up to 1000"),
    ("ROOMLOG_HEART_BEAT", "10ms", "at least 1s"),
    ("ROOMLOG_HEART_BEAT", "soon", "like 15s"),
    ("ROOMLOG_JWT_ACCESS_TTL", "0s", "at least 1s"),
    ("ROOMLOG_KAFKA_BROKERS", "localhost", "host:port"),
    ("ROOMLOG_KAFKA_CA_FILE", "/nowhere.pem", "PEM"),
    ("ROOMLOG_KAFKA_MESSAGE_TIMEOUT", "0s", "at least 1s"),
    ("ROOMLOG_KAFKA_SASL_MECHANISM", "GSSAPI", "SCRAM-SHA-512"),
    ("ROOMLOG_LISTEN", "nowhere", "an IP address and a port"),
    ("ROOMLOG_LOG", "loud", "info"),
    ("ROOMLOG_LOG_FORMAT", "xml", "json"),
    ("ROOMLOG_NO_SUCH_KEY", "1", "no such configuration key"),
    ("ROOMLOG_OTLP_ENDPOINT", "collector:4317", "http://"),
    ("ROOMLOG_REDIS_CA_FILE", "/nowhere.pem", "PEM"),
    ("ROOMLOG_REGISTRY_URL", "registry", "http://"),
    ("ROOMLOG_S3_ENDPOINT", "nowhere", "http://"),
    (
        "ROOMLOG_TOPICS_MIN_INSYNC",
        "9",
        "ROOMLOG_TOPICS_REPLICATION",
    ),
    ("ROOMLOG_TOPICS_PARTITIONS", "many", "u32"),
    ("ROOMLOG_TOPICS_RETENTION", "24h", "more than 24h"),
    ("ROOMLOG_TRACE_RATIO", "2", "from 0 to 1"),
];

/// The same for settings that no message shows.
const WRONG_SECRETS: [(&str, &str, &str); 3] = [
    ("ROOMLOG_JWT_SECRET", "hunter2", "32 bytes"),
    ("ROOMLOG_REDIS_URL", "http://:hunter2@cache/", "redis://"),
    ("ROOMLOG_S3_SECRET_KEY", "hunter2", "ROOMLOG_S3_ACCESS_KEY"),
];

/// Where tokens are checked with another key than the harness's.
const WRONG_KEYS: [(&str, &str, &str); 3] = [
    ("ROOMLOG_JWT_PUBLIC_KEY_FILE", "/nowhere.pem", "PEM"),
    (
        "ROOMLOG_JWT_PUBLIC_KEY_FILE",
        "roomlog.pem",
        "RSA, P-256 or Ed25519",
    ),
    ("ROOMLOG_JWT_JWKS_URL", "keys.json", "http://"),
];

/// The program with one setting changed, and what it says on standard error when it refuses to start.
async fn refusal(mut program: Program, key: &str, value: &str) -> String {
    program.variables.retain(|(name, _)| name != key);
    program.variables.push((key.into(), value.into()));
    let errors = program.folder.join(format!("{}.stderr.log", program.name));
    std::fs::write(program.folder.join("roomlog.pem"), "no key").expect("a file");
    let (code, output) = program.run_to_exit(TOOL_LIMIT).await;
    let said = std::fs::read_to_string(errors).expect("its standard error");
    assert_eq!((code, output.as_str()), (Some(64), ""), "{key}: {said}");
    assert!(said.contains(key), "{key} is not in: {said}");
    said
}

/// What takes the setting: the service, and the tool that says beforehand whether it would.
fn takers(system: &System) -> [Program; 2] {
    [&["gateway"][..], &["config", "check"]].map(|arguments| {
        let mut program = system.tool(arguments);
        // Only an embedded system's settings lack them, and a bucket's address is looked at where there is a bucket.
        program
            .variables
            .push(("ROOMLOG_S3_BUCKET".into(), "files".into()));
        program
    })
}

#[tokio::test]
async fn a_wrong_setting_names_key_value_and_expectation_and_exits_64() {
    let system = System::shared().await;
    for (key, value, expected) in WRONG {
        for program in takers(system) {
            let said = refusal(program, key, value).await;
            let shown = said.contains(value) || key == "ROOMLOG_NO_SUCH_KEY";
            assert!(shown, "{value} is not in: {said}");
            assert!(said.contains(expected), "{expected} is not in: {said}");
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_and_not_shown() {
    let system = System::shared().await;
    for (key, value, expected) in WRONG_SECRETS {
        for mut program in takers(system) {
            program
                .variables
                .retain(|(name, _)| name != "ROOMLOG_S3_ACCESS_KEY");
            let said = refusal(program, key, value).await;
            assert!(said.contains(expected), "{expected} is not in: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_gateway_without_a_usable_key_for_tokens_exits_64() {
    let system = System::shared().await;
    for (key, value, expected) in WRONG_KEYS {
        for mut program in takers(system) {
            program
                .variables
                .retain(|(name, _)| name != "ROOMLOG_JWT_SECRET");
            let said = refusal(program, key, value).await;
            assert!(said.contains(value), "{value} is not in: {said}");
            assert!(said.contains(expected), "{expected} is not in: {said}");
        }
    }
    for program in takers(system) {
        let said = refusal(program, "ROOMLOG_JWT_SECRET", "").await;
        assert!(said.contains("none is given, expected one of"), "{said}");
    }
    let both = "http://127.0.0.1:1/keys";
    for program in takers(system) {
        let said = refusal(program, "ROOMLOG_JWT_JWKS_URL", both).await;
        assert!(
            said.contains("several are given, expected one of"),
            "{said}"
        );
    }
    // A service that checks no tokens needs no key.
    let mut check = system.tool(&["config", "check", "fanout"]);
    check
        .variables
        .retain(|(name, _)| name != "ROOMLOG_JWT_SECRET");
    assert!(check.run(TOOL_LIMIT).await.contains("can be used"));
}

#[tokio::test]
async fn a_file_is_read_below_variables_and_flags() {
    let system = System::shared().await;
    let file = scratch_folder("settings").join("roomlog.toml");
    let text = "[gateway]\nlisten = \"127.8.8.1:1\"\nguest_room = \"from-file\"\n[topics]\nretention = \"48h\"\n";
    std::fs::write(&file, text).expect("a file");
    let path = file.to_str().expect("a path in letters");
    let mut show = system.tool(&[
        "config",
        "show",
        "--config",
        path,
        "--listen",
        "127.8.8.3:1",
    ]);
    let variables = [
        ("ROOMLOG_LISTEN", "127.8.8.2:1"),
        ("ROOMLOG_GUEST_ROOM", "from-variable"),
    ];
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    show.variables.extend(variables);
    let shown = show.run(TOOL_LIMIT).await;
    for (holds, text) in [
        (true, "127.8.8.3:1"),
        (false, "127.8.8.2:1"),
        (false, "127.8.8.1:1"),
        (true, "from-variable"),
        (false, "from-file"),
        (true, "172800s"),
    ] {
        assert_eq!(shown.contains(text), holds, "{text} in: {shown}");
    }

    std::fs::write(&file, "[gateway]\nlisten = \"nowhere\"\n").expect("a file");
    let mut check = system.tool(&["config", "check", "--config", path]);
    check.variables.retain(|(name, _)| name != "ROOMLOG_LISTEN");
    let errors = check.folder.join("config.stderr.log");
    let (code, _) = check.run_to_exit(TOOL_LIMIT).await;
    let said = std::fs::read_to_string(errors).expect("its standard error");
    assert_eq!(code, Some(64), "{said}");
    for part in ["gateway.listen", "nowhere", "an IP address and a port"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}
