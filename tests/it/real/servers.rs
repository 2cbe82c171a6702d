//! The harness itself: its servers start, stand still, die and come back, and nothing outlives them.

use std::time::Duration;

use crate::harness::{
    dynamo::{self, DynamoLocal},
    kafka::Cluster,
    process::Program,
    redis::{Redis, connected},
    tools::scratch_folder,
    wait::{SOON, until},
};

/// Longer than a live server's answer, shorter than anyone's patience.
const STANDSTILL: Duration = Duration::from_secs(1);

#[tokio::test]
async fn one_kafka_node_is_killed_and_comes_back_on_its_port() {
    let mut kafka = Cluster::start(1).await;
    let brokers = kafka.brokers();
    kafka.node(0).kill();
    assert_eq!(kafka.listed().await, 0);
    // It returns once all nodes are listed again.
    kafka.restart(0).await;
    assert_eq!(kafka.brokers(), brokers);
}

#[tokio::test]
async fn three_kafka_nodes_notice_the_loss_of_one() {
    let mut kafka = Cluster::start(3).await;
    kafka.node(2).kill();
    until("two nodes to be left", SOON, async || {
        (kafka.listed().await == 2).then_some(())
    })
    .await;
    kafka.restart(2).await;
}

#[tokio::test]
async fn a_frozen_dynamodb_keeps_its_connections_and_goes_on() {
    let mut dynamodb = DynamoLocal::start().await;
    let client = dynamo::client(&dynamodb.endpoint());
    dynamodb.process().freeze();
    let asked = tokio::spawn(async move { client.list_tables().send().await.map(drop) });
    assert!(
        tokio::time::timeout(STANDSTILL, async {
            while !asked.is_finished() {
                tokio::task::yield_now().await
            }
        })
        .await
        .is_err()
    );
    dynamodb.process().thaw();
    asked
        .await
        .expect("no panic")
        .expect("the very same request is answered");
}

#[tokio::test]
async fn redis_comes_back_empty() {
    let mut redis = Redis::start().await;
    let mut connection = connected(&redis.url()).await;
    redis::cmd("SET")
        .arg("a")
        .arg(1)
        .exec_async(&mut connection)
        .await
        .expect("SET");
    redis.restart().await;
    let mut connection = connected(&redis.url()).await;
    let value: Option<String> = redis::cmd("GET")
        .arg("a")
        .query_async(&mut connection)
        .await
        .expect("GET");
    assert_eq!(value, None);
    redis.process().kill();
    let client = redis::Client::open(redis.url()).expect("a valid address");
    assert!(client.get_multiplexed_async_connection().await.is_err());
}

#[tokio::test]
async fn a_program_says_how_it_ended() {
    let program = Program {
        name: "sh".into(),
        path: "sh".into(),
        arguments: vec!["-c".into(), "echo told; exit 64".into()],
        variables: Vec::new(),
        folder: scratch_folder("sh"),
    };
    let (code, output) = program.run_to_exit(SOON).await;
    assert_eq!((code, output.as_str()), (Some(64), "told\n"));
}
