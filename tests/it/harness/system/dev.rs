//! A system that is one `roomlog dev`: how it starts, and what its READY line tells.

use serde_json::Value;

use super::{Role, Service, System, TABLE_PREFIX, program, ready, settings, with_scheme};

// === impl System ===

impl System {
    /// `roomlog dev` with these options, which makes its tokens itself.
    pub(crate) async fn dev(options: &[&str]) -> Self {
        let mut variables = settings::common(TABLE_PREFIX);
        variables.retain(|(name, _)| name != "ROOMLOG_JWT_SECRET");
        Self::embedded(options, variables).await
    }

    pub(super) async fn embedded(options: &[&str], variables: Vec<(String, String)>) -> Self {
        let arguments = [&["dev", "--listen", "127.0.0.1:0"][..], options].concat();
        let mut process = program("dev", &arguments, variables.clone()).start();
        let ready = ready(&mut process).await;
        let mut system = Self {
            kafka: String::new(),
            dynamodb: String::new(),
            redis: String::new(),
            servers: None,
            services: vec![Service {
                role: Role::Gateway,
                process,
                ready,
            }],
            variables,
        };
        system.find_stand_ins();
        system
    }

    /// Learns from its READY line where the stores of an embedded system are.
    pub(super) fn find_stand_ins(&mut self) {
        let address = |name| self.address(Role::Gateway, 0, name).to_owned();
        let [kafka, dynamodb, redis] = ["kafka", "dynamodb", "redis"].map(address);
        self.kafka = kafka;
        self.dynamodb = with_scheme("http", &dynamodb);
        self.redis = with_scheme("redis", &redis);
    }

    /// The first service's READY line.
    pub(crate) fn ready_line(&self) -> &Value {
        &self.services[0].ready
    }
}
