//! Partitions added to the topic behind our back: nobody starts, as rooms would be somewhere else from then on.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
};

use crate::harness::{Role, Shape, Stack, System};

const TOPIC: &str = "chat.events.v1";
const MORE_PARTITIONS: usize = 8;
/// A service that is refused says so as soon as it has asked the log.
const REFUSAL_LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn no_service_starts_on_a_topic_whose_partition_count_was_changed() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    for role in [Role::Gateway, Role::Fanout, Role::Persister] {
        system.stop_gracefully(role, 0).await;
    }
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", &system.kafka)
        .create()
        .expect("an admin client");
    let more = NewPartitions::new(TOPIC, MORE_PARTITIONS);
    let added = admin.create_partitions([&more], &AdminOptions::new()).await;
    added.expect("an answer")[0]
        .as_ref()
        .expect("partitions added");
    for role in [Role::Gateway, Role::Fanout, Role::Persister] {
        let process = system.process(role, 0);
        process.start_again();
        let status = process.exited(REFUSAL_LIMIT).await;
        assert!(!status.success(), "{role:?} must not serve this topic");
        assert!(
            process
                .errors()
                .contains("more partitions need a new topic"),
            "{role:?} says what is wrong"
        );
    }
}
