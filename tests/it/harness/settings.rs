//! What every service of a system under test is told.

use super::{dynamo, user};

/// What every service is told, unless a test says otherwise.
pub(super) fn common(table_prefix: &str) -> Vec<(String, String)> {
    let variables = [
        ("ROOMLOG_ADMIN_LISTEN", "127.0.0.1:0"),
        ("ROOMLOG_CONNECTIONS_PER_USER", "0"),
        ("ROOMLOG_CONNECTS_PER_MINUTE", "0"),
        ("ROOMLOG_DRAIN", "2s"),
        ("ROOMLOG_DYNAMODB_REGION", dynamo::REGION),
        ("ROOMLOG_FRAMES_PER_SECOND", "0"),
        ("ROOMLOG_GUESTS", "true"),
        ("ROOMLOG_GUESTS_PER_MINUTE", "0"),
        ("ROOMLOG_HEART_BEAT", "1s"),
        ("ROOMLOG_JWT_SECRET", user::SECRET),
        ("ROOMLOG_LOG_FORMAT", "text"),
        ("ROOMLOG_REQUESTS_PER_SECOND", "0"),
        ("ROOMLOG_SENDS_BURST", "100000"),
        ("ROOMLOG_SENDS_PER_SECOND", "100000"),
        ("ROOMLOG_SIGN_INS_PER_MINUTE", "0"),
        // A client of the harness answers a ping only while it is asked for something.
        ("ROOMLOG_SILENCE", "1h"),
        ("ROOMLOG_SUBSCRIBES_PER_SECOND", "0"),
        ("ROOMLOG_TABLE_PREFIX", table_prefix),
        ("ROOMLOG_TOPICS_PARTITIONS", "6"),
        ("AWS_ACCESS_KEY_ID", dynamo::KEY),
        ("AWS_SECRET_ACCESS_KEY", dynamo::KEY),
        // No question goes to the address where a cloud machine would find its credentials.
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("NO_COLOR", "1"),
        ("RUST_BACKTRACE", "1"),
    ];
    variables
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec()
}
