//! A system of servers and a process for each service: how they start, and the links between them.

use serde_json::Value;

use super::{
    super::{dynamo::DynamoLocal, files, kafka::Cluster, port, proxy::Proxy, redis::Redis},
    READY_LIMIT, Role, Service, Shape, System, program, ready,
};

/// How often tables and topics are asked for: a request to a cold server on two busy cores may take longer than the
/// program waits for one.
const SET_UP_ATTEMPTS: usize = 3;

/// The servers of a real stack.
pub(crate) struct Servers {
    pub(crate) kafka: Cluster,
    pub(crate) dynamodb: DynamoLocal,
    pub(crate) redis: Redis,
    /// Those of a linked system; Kafka has its own.
    pub(crate) links: Option<Links>,
}

/// The links of a linked system beside Kafka's.
pub(crate) struct Links {
    pub(crate) dynamodb: Proxy,
    pub(crate) redis: Proxy,
    /// From gateways to each fanout.
    pub(crate) fanouts: Vec<Proxy>,
    /// From clients to each gateway.
    pub(crate) gateways: Vec<Proxy>,
}

// === impl System ===

impl System {
    /// Kafka, DynamoDB Local and Redis, and the services on them.
    pub(super) async fn real(
        shape: Shape,
        brokers: usize,
        mut variables: Vec<(String, String)>,
    ) -> Self {
        let (kafka, dynamodb, redis) = tokio::join!(
            Cluster::start_linked(brokers, shape.linked),
            DynamoLocal::start(),
            Redis::start()
        );
        let fanout_ports: Vec<u16> = (0..shape.fanouts).map(|_| port::free()).collect();
        let gateway_ports: Vec<u16> = (0..shape.gateways).map(|_| port::free()).collect();
        let links = match shape.linked {
            true => Some(Links {
                dynamodb: Proxy::to(dynamodb.port()).await,
                redis: Proxy::to(redis.port()).await,
                fanouts: proxies(&fanout_ports).await,
                gateways: proxies(&gateway_ports).await,
            }),
            false => None,
        };
        let reached = |port: u16, link: Option<&Proxy>| link.map_or(port, Proxy::port);
        let link = |of: fn(&Links) -> &Proxy| links.as_ref().map(of);
        let fanouts: Vec<String> = fanout_ports
            .iter()
            .enumerate()
            .map(|(index, port)| {
                let link = links.as_ref().map(|links| &links.fanouts[index]);
                format!("127.0.0.1:{}", reached(*port, link))
            })
            .collect();
        let dynamodb_port = reached(dynamodb.port(), link(|links| &links.dynamodb));
        let redis_port = reached(redis.port(), link(|links| &links.redis));
        let servers = Servers {
            kafka,
            dynamodb,
            redis,
            links,
        };
        let settings = [
            ("ROOMLOG_KAFKA_BROKERS", servers.kafka.brokers()),
            (
                "ROOMLOG_DYNAMODB_ENDPOINT",
                format!("http://127.0.0.1:{dynamodb_port}"),
            ),
            (
                "ROOMLOG_REDIS_URL",
                format!("redis://127.0.0.1:{redis_port}/"),
            ),
            ("ROOMLOG_TOPICS_REPLICATION", brokers.to_string()),
            (
                "ROOMLOG_TOPICS_MIN_INSYNC",
                if brokers > 1 { "2" } else { "1" }.into(),
            ),
            ("ROOMLOG_FANOUT", fanouts.join(",")),
        ];
        variables.extend(settings.map(|(name, value)| (name.into(), value)));
        let files = files::settings().await;
        variables.extend(files.map(|(name, value)| (name.into(), value)));
        let system = Self {
            kafka: servers.kafka.brokers(),
            dynamodb: servers.dynamodb.endpoint(),
            redis: servers.redis.url(),
            servers: Some(servers),
            services: Vec::new(),
            variables,
        };
        system
            .with_services(shape, &fanout_ports, &gateway_ports)
            .await
    }

    /// Makes tables and topics, starts the services and waits until all are ready.
    pub(super) async fn with_services(
        mut self,
        shape: Shape,
        fanout_ports: &[u16],
        gateway_ports: &[u16],
    ) -> Self {
        for arguments in [["tables", "create"], ["topics", "create"]] {
            self.sets_up(&arguments).await;
        }
        for (index, port) in fanout_ports.iter().enumerate() {
            let group = ["a", "b"][index % shape.groups];
            self.spawn(
                Role::Fanout,
                index,
                &[
                    ("ROOMLOG_FANOUT_LISTEN", &format!("127.0.0.1:{port}")),
                    ("ROOMLOG_FANOUT_GROUP", group),
                ],
            );
        }
        for index in 0..shape.persisters {
            self.spawn(Role::Persister, index, &[]);
        }
        for (index, port) in gateway_ports.iter().enumerate() {
            let listen = format!("127.0.0.1:{port}");
            self.spawn(Role::Gateway, index, &[("ROOMLOG_LISTEN", &listen)]);
        }
        for service in &mut self.services {
            service.ready = ready(&mut service.process).await;
        }
        self
    }

    /// Runs a tool that makes what is missing, and once more where servers just born were too slow for it, as a job does.
    async fn sets_up(&self, arguments: &[&str]) {
        for attempt in 1..=SET_UP_ATTEMPTS {
            // What started after the brokers may have kept one from being heard of, and there must be one for each copy.
            if let Some(servers) = &self.servers {
                servers.kafka.complete().await;
            }
            let (code, output) = self.tool(arguments).run_to_exit(READY_LIMIT).await;
            if code == Some(0) {
                return;
            }
            assert!(
                attempt < SET_UP_ATTEMPTS,
                "{arguments:?}: exit code {code:?}; it printed:\n{output}"
            );
        }
    }

    /// Starts a service; that it is ready is waited for later, as services wait for one another.
    fn spawn(&mut self, role: Role, index: usize, settings: &[(&str, &str)]) {
        let mut variables = self.variables.clone();
        variables.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into())),
        );
        let name = role.command();
        // A setting for all: each gets an id of its own from it.
        for (variable, value) in &mut variables {
            if variable == "ROOMLOG_INSTANCE_ID" {
                *value = format!("{value}-{name}-{index}");
            }
        }
        let process = program(&format!("{name}-{}", index + 1), &[name], variables).start();
        self.services.push(Service {
            role,
            process,
            ready: Value::Null,
        });
    }
}

async fn proxies(ports: &[u16]) -> Vec<Proxy> {
    let mut proxies = Vec::new();
    for port in ports {
        proxies.push(Proxy::to(*port).await);
    }
    proxies
}
