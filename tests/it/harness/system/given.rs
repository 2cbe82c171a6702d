//! Services on servers that the test started itself.

use super::{super::port, Shape, System, TABLE_PREFIX, settings};

// === impl System ===

impl System {
    /// Services alone, whose settings name the test's own servers; an empty setting takes the harness's away.
    pub(crate) async fn on(shape: Shape, dynamodb: &str, settings: &[(&str, &str)]) -> Self {
        let ports = |count: usize| (0..count).map(|_| port::free()).collect::<Vec<u16>>();
        let (fanouts, gateways) = (ports(shape.fanouts), ports(shape.gateways));
        let addresses: Vec<String> = fanouts
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let mut system = Self::prepared(dynamodb, settings);
        let found = ("ROOMLOG_FANOUT".into(), addresses.join(","));
        system.variables.push(found);
        system.with_services(shape, &fanouts, &gateways).await
    }

    /// The same before anything was started: good for its tools.
    pub(crate) fn prepared(dynamodb: &str, settings: &[(&str, &str)]) -> Self {
        let mut variables = settings::common(TABLE_PREFIX);
        variables.retain(|(name, _)| settings.iter().all(|(other, _)| name != other));
        let given = settings.iter().filter(|(_, value)| !value.is_empty());
        variables.extend(given.map(|(name, value)| ((*name).into(), (*value).into())));
        Self {
            kafka: String::new(),
            dynamodb: dynamodb.into(),
            redis: String::new(),
            servers: None,
            services: Vec::new(),
            variables,
        }
    }
}
