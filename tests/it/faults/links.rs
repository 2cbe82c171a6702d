//! Links are slow, deaf or cut, and a client stops reading.

use std::time::Duration;

use super::{Course, deaf, is_full};
use crate::harness::{System, proxy::Mode, proxy::Proxy};

const LATE: Duration = Duration::from_millis(200);

/// The links of a linked system, by what they join.
#[derive(Clone, Copy, Debug)]
enum Between {
    ClientAndGateway,
    GatewayAndFanout,
    ServicesAndBroker,
    ServicesAndRedis,
    ServicesAndDynamo,
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_is_missed() {
    use Between::*;
    let mut course = Course::of_two().await;
    let every = [
        ClientAndGateway,
        GatewayAndFanout,
        ServicesAndBroker,
        ServicesAndRedis,
        ServicesAndDynamo,
    ];
    let modes = [Mode::Delay(LATE), Mode::Reset, Mode::BlackHole];
    let faults = every
        .into_iter()
        .flat_map(|between| modes.map(|mode| (between, mode)));
    for (between, mode) in faults {
        let fault = format!("{}: {}", mode.name(), between.name());
        course
            .under(&fault, async |system, load| {
                between.link(system).set(mode);
                load.lasts(failing()).await;
                between.link(system).set(Mode::Open);
            })
            .await;
    }
    for between in every {
        let fault = format!("half-open connections: {}", between.name());
        course
            .under(&fault, async |system, load| {
                between.link(system).vanish();
                load.lasts(failing()).await;
            })
            .await;
    }
    course
        .under("a subscriber stops reading", async |system, load| {
            deaf::is_no_burden(system, load.member()).await
        })
        .await;
    course.ends().await;
}

impl Between {
    fn name(self) -> &'static str {
        match self {
            Self::ClientAndGateway => "clients to a gateway",
            Self::GatewayAndFanout => "gateways to a fanout",
            Self::ServicesAndBroker => "everybody to a broker",
            Self::ServicesAndRedis => "services to Redis",
            Self::ServicesAndDynamo => "services to DynamoDB",
        }
    }

    fn link(self, system: &mut System) -> &Proxy {
        let servers = system.servers();
        let links = servers.links.as_ref().expect("a linked system");
        match self {
            Self::ClientAndGateway => &links.gateways[0],
            Self::GatewayAndFanout => &links.fanouts[0],
            Self::ServicesAndBroker => servers.kafka.link(0),
            Self::ServicesAndRedis => &links.redis,
            Self::ServicesAndDynamo => &links.dynamodb,
        }
    }
}

impl Mode {
    fn name(self) -> String {
        let seconds = failing().as_secs();
        match self {
            Self::Open => "open".into(),
            Self::Delay(late) => format!("{} ms late", late.as_millis()),
            Self::BlackHole => format!("black hole for {seconds} s"),
            Self::Reset => format!("reset for {seconds} s"),
            Self::Answer(_) => "refusal".into(),
        }
    }
}

/// How long a link fails.
fn failing() -> Duration {
    Duration::from_secs(if is_full() { 4 } else { 2 })
}
