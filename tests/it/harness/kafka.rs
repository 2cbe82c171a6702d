//! Apache Kafka in KRaft mode: one node for speed, three for replication and faults.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use super::{
    disk::{self, Disk},
    port,
    process::{Process, Program},
    proxy::Proxy,
    scratch, tools, wait,
};

/// A cold Java machine on two busy cores, three times over.
pub(super) const START_LIMIT: Duration = Duration::from_secs(240);
/// How long one look at the cluster may take.
const METADATA_LIMIT: Duration = Duration::from_secs(2);

/// A running cluster. Dropped, its nodes are killed.
pub(crate) struct Cluster {
    nodes: Vec<Node>,
}

struct Node {
    port: u16,
    /// What its log is on, where that is a disk of its own.
    disk: Option<Disk>,
    /// The link on which everybody reaches it, where there is one between.
    link: Option<Proxy>,
    process: Process,
}

// === impl Cluster ===

impl Cluster {
    /// Starts the nodes and waits until they know each other.
    pub(crate) async fn start(nodes: usize) -> Self {
        Self::start_linked(nodes, false).await
    }

    /// The same; `linked` puts a link that can fail before each node, for clients and other nodes, and the log of the last
    /// of several on a disk that can be full.
    pub(crate) async fn start_linked(nodes: usize, linked: bool) -> Self {
        let ports: Vec<(u16, u16)> = (0..nodes).map(|_| (port::free(), port::free())).collect();
        let voters = |(index, (_, controller)): (usize, &(u16, u16))| {
            format!("{}@127.0.0.1:{controller}", index + 1)
        };
        let voters: Vec<String> = ports.iter().enumerate().map(voters).collect();
        let voters = voters.join(",");
        let mut started = Vec::new();
        for (index, (broker, controller)) in ports.into_iter().enumerate() {
            let id = index + 1;
            let folder = scratch::folder(&format!("kafka-{id}"));
            let link = match linked {
                true => Some(Proxy::to(broker).await),
                false => None,
            };
            let has_disk = linked && nodes > 1 && id == nodes;
            let disk = match has_disk {
                true => Disk::mount(&folder.join("log")),
                false => None,
            };
            let advertised = link.as_ref().map_or(broker, Proxy::port);
            let configure = [
                folder.display().to_string(),
                id.to_string(),
                broker.to_string(),
                controller.to_string(),
            ];
            Program {
                name: "configure".into(),
                path: tools::in_repository("tests/servers/kafka/configure"),
                arguments: configure
                    .into_iter()
                    .chain([voters.clone(), advertised.to_string()])
                    .collect(),
                variables: Vec::new(),
                folder: folder.clone(),
            }
            .run(wait::SOON)
            .await;
            started.push(Node {
                port: advertised,
                disk,
                link,
                process: broker_program(id, folder).start(),
            });
        }
        let mut cluster = Self { nodes: started };
        for node in 0..nodes {
            cluster.nodes[node]
                .process
                .says("Kafka Server started", START_LIMIT)
                .await;
        }
        cluster.complete().await;
        cluster
    }

    /// Bootstrap servers, joined by commas.
    pub(crate) fn brokers(&self) -> String {
        let addresses: Vec<String> = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port))
            .collect();
        addresses.join(",")
    }

    /// The link to one node, from 0.
    pub(crate) fn link(&self, index: usize) -> &Proxy {
        self.nodes[index].link.as_ref().expect("a linked cluster")
    }

    /// One node's process, from 0.
    pub(crate) fn node(&mut self, index: usize) -> &mut Process {
        &mut self.nodes[index].process
    }

    /// Which node leads a partition, from 0; `None` while none does.
    pub(crate) async fn leader(&self, topic: &'static str, partition: u32) -> Option<usize> {
        let brokers = self.brokers();
        let look = move || {
            let client: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", brokers)
                .create()
                .ok()?;
            let metadata = client.fetch_metadata(Some(topic), METADATA_LIMIT).ok()?;
            let partitions = metadata.topics().first()?.partitions();
            let partition = partitions
                .iter()
                .find(|found| u32::try_from(found.id()) == Ok(partition))?;
            usize::try_from(partition.leader()).ok()?.checked_sub(1)
        };
        tokio::task::spawn_blocking(look).await.ok().flatten()
    }

    /// Leaves the last node no space to write to. A broker ends when it can't write its only log.
    pub(crate) async fn fill_disk(&mut self) {
        let node = self.nodes.last_mut().expect("a node");
        match &node.disk {
            Some(disk) => disk.fill(),
            None => disk::forbid_growth(node.process.id()),
        }
        node.process.exited(START_LIMIT).await;
    }

    /// Gives the last node its space back and starts it again.
    pub(crate) async fn free_disk(&mut self) {
        let last = self.nodes.len() - 1;
        if let Some(disk) = &self.nodes[last].disk {
            disk.free();
        }
        self.restart(last).await;
    }

    /// Starts a node again on its port and its log, and waits until the cluster is complete.
    pub(crate) async fn restart(&mut self, index: usize) {
        let process = &mut self.nodes[index].process;
        process.start_again();
        process.says("Kafka Server started", START_LIMIT).await;
        self.complete().await;
    }

    /// Waits until every node is listed as a broker.
    pub(crate) async fn complete(&self) {
        let nodes = self.nodes.len();
        wait::until("all Kafka nodes to be listed", START_LIMIT, async || {
            (self.listed().await == nodes).then_some(())
        })
        .await;
    }

    /// Waits until every partition has all its copies in step, as an operator does before the next broker is touched.
    pub(crate) async fn in_step(&self) {
        wait::until("all copies to be in step", START_LIMIT, async || {
            let brokers = self.brokers();
            let look = move || {
                let client: BaseConsumer = ClientConfig::new()
                    .set("bootstrap.servers", brokers)
                    .create()
                    .ok()?;
                let metadata = client.fetch_metadata(None, METADATA_LIMIT).ok()?;
                let mut partitions = metadata
                    .topics()
                    .iter()
                    .flat_map(|topic| topic.partitions());
                partitions
                    .all(|partition| partition.isr().len() == partition.replicas().len())
                    .then_some(())
            };
            tokio::task::spawn_blocking(look).await.ok().flatten()
        })
        .await;
    }

    /// How many brokers the cluster says it has; none while it does not answer.
    pub(crate) async fn listed(&self) -> usize {
        let brokers = self.brokers();
        let look = move || {
            let client: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", brokers)
                .create()
                .ok()?;
            let metadata = client.fetch_metadata(None, METADATA_LIMIT).ok()?;
            Some(metadata.brokers().len())
        };
        tokio::task::spawn_blocking(look)
            .await
            .ok()
            .flatten()
            .unwrap_or(0)
    }
}

pub(super) fn broker_program(id: usize, folder: std::path::PathBuf) -> Program {
    let kafka = tools::path("kafka");
    let log_settings = tools::in_repository("tests/servers/kafka/log4j2.xml");
    let mut arguments: Vec<String> = [
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
    ]
    .map(String::from)
    .to_vec();
    arguments.extend([
        format!(
            "-XX:SharedArchiveFile={}",
            kafka.join("classes.jsa").display()
        ),
        format!("-Dlog4j2.configurationFile={}", log_settings.display()),
        "-cp".into(),
        format!("{}/*", kafka.join("libs").display()),
        "kafka.Kafka".into(),
        folder.join("server.properties").display().to_string(),
    ]);
    Program {
        name: format!("kafka-{id}"),
        path: "java".into(),
        arguments,
        variables: Vec::new(),
        folder,
    }
}
