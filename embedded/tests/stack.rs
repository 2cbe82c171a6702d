//! The stack as a whole: starting, keeping, slowing down and stopping.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use roomlog_embedded::{Stack, StackConfig, StackError};

fn dynamodb(stack: &Stack) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(stack.dynamodb_endpoint())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .build();
    Client::from_conf(config)
}

fn in_dir(dir: &tempfile::TempDir) -> StackConfig {
    StackConfig {
        data_dir: Some(dir.path().into()),
        ..StackConfig::default()
    }
}

#[tokio::test]
async fn a_data_directory_has_one_stack_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = Stack::start(in_dir(&dir)).await.unwrap();
    let refused = Stack::start(in_dir(&dir)).await.err().unwrap();
    assert!(matches!(refused, StackError::InUse { .. }), "{refused}");
    first.shutdown().await;
    Stack::start(in_dir(&dir)).await.unwrap().shutdown().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Stack::start(StackConfig::default()).await.unwrap();
    let config = StackConfig {
        kafka_listen: first.kafka_addr(),
        ..StackConfig::default()
    };
    let refused = Stack::start(config).await.err().unwrap();
    assert_eq!(
        refused.to_string(),
        format!("cannot listen on {}", first.kafka_addr())
    );
}

#[tokio::test]
async fn a_slow_store_is_slow_from_when_it_is_told_to_be() {
    let delay = Duration::from_millis(300);
    let stack = Stack::start(StackConfig::default()).await.unwrap();
    let client = dynamodb(&stack);
    client.list_tables().send().await.unwrap();
    stack.set_slow_store(delay);
    let start = Instant::now();
    client.list_tables().send().await.unwrap();
    assert!(start.elapsed() >= delay, "{:?}", start.elapsed());
    stack.set_slow_store(Duration::ZERO);
    client.list_tables().send().await.unwrap();
    stack.shutdown().await;
}

#[tokio::test]
async fn slow_requests_wait_side_by_side() {
    let delay = Duration::from_millis(500);
    let config = StackConfig {
        slow_store: delay,
        ..StackConfig::default()
    };
    let stack = Stack::start(config).await.unwrap();
    let client = dynamodb(&stack);
    let start = Instant::now();
    let requests = (0..10).map(|_| client.list_tables().send());
    futures_util::future::try_join_all(requests).await.unwrap();
    assert!(start.elapsed() < delay * 8, "{:?}", start.elapsed());
}
