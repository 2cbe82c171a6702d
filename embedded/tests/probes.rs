//! The stand-ins pass the checks that the real servers pass.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

#[path = "../../tests/it/probe/mod.rs"]
mod probe;

use roomlog_embedded::{Stack, StackConfig};

#[tokio::test(flavor = "multi_thread")]
async fn kafka_in_memory() {
    let stack = Stack::start(StackConfig::default()).await.unwrap();
    probe::kafka::run(&stack.kafka_addr().to_string())
        .await
        .assert_passed();
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_in_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let config = StackConfig {
        data_dir: Some(dir.path().into()),
        ..StackConfig::default()
    };
    let stack = Stack::start(config).await.unwrap();
    probe::kafka::run(&stack.kafka_addr().to_string())
        .await
        .assert_passed();
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    let stack = Stack::start(StackConfig::default()).await.unwrap();
    probe::redis::run(&stack.redis_addr().to_string())
        .await
        .assert_passed();
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamo_in_memory() {
    let stack = Stack::start(StackConfig::default()).await.unwrap();
    probe::dynamo::run(&stack.dynamodb_endpoint())
        .await
        .assert_passed();
    stack.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamo_in_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let config = StackConfig {
        data_dir: Some(dir.path().into()),
        ..StackConfig::default()
    };
    let stack = Stack::start(config).await.unwrap();
    probe::dynamo::run(&stack.dynamodb_endpoint())
        .await
        .assert_passed();
    stack.shutdown().await;
}
