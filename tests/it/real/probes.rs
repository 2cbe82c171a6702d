//! What the stand-ins are held to, the real servers do: the very checks that the stand-ins pass in their own crate.

use crate::{
    harness::{dynamo::DynamoLocal, kafka::Cluster, redis::Redis},
    probe,
};

#[tokio::test(flavor = "multi_thread")]
async fn kafka_is_as_its_stand_in() {
    let kafka = Cluster::start(1).await;
    probe::kafka::run(&kafka.brokers()).await.assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn dynamodb_is_as_its_stand_in() {
    let dynamodb = DynamoLocal::start().await;
    probe::dynamo::run(&dynamodb.endpoint())
        .await
        .assert_passed();
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_as_its_stand_in() {
    let redis = Redis::start().await;
    probe::redis::run(&redis.address()).await.assert_passed();
}
