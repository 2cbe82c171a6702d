//! Links are slow, deaf or cut, and clients stop reading.

use std::time::Duration;

use super::{is_full, system, under};
use crate::harness::{Frame, System, proxy::Mode, proxy::Proxy};

/// How long a link fails.
const FAILING: Duration = Duration::from_secs(4);
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
    let mut system = system().await;
    let short = [
        (ClientAndGateway, Mode::BlackHole),
        (GatewayAndFanout, Mode::BlackHole),
        (GatewayAndFanout, Mode::Reset),
        (ServicesAndBroker, Mode::Reset),
        (ServicesAndRedis, Mode::BlackHole),
    ];
    let every = [
        ClientAndGateway,
        GatewayAndFanout,
        ServicesAndBroker,
        ServicesAndRedis,
        ServicesAndDynamo,
    ];
    let modes = [Mode::Delay(LATE), Mode::Reset, Mode::BlackHole];
    let full = every
        .into_iter()
        .flat_map(|between| modes.map(|mode| (between, mode)));
    let faults: Vec<_> = if is_full() {
        full.collect()
    } else {
        short.to_vec()
    };
    for (between, mode) in faults {
        let fault = format!("{}: {}", mode.name(), between.name());
        under(&mut system, &fault, async |system, load| {
            between.link(system).set(mode);
            load.lasts(FAILING).await;
            between.link(system).set(Mode::Open);
        })
        .await;
    }
    let half_open = if is_full() {
        every.to_vec()
    } else {
        vec![ClientAndGateway, GatewayAndFanout]
    };
    for between in half_open {
        let fault = format!("half-open connections: {}", between.name());
        under(&mut system, &fault, async |system, load| {
            between.link(system).vanish();
            load.lasts(FAILING).await;
        })
        .await;
    }
    under(
        &mut system,
        "a subscriber stops reading",
        async |system, load| {
            let mut deaf = load.member().connects().await;
            for room in load.rooms() {
                deaf.send(
                    &Frame::subscribe(room, &format!("/topic/rooms/{room}")).with("since", 0),
                )
                .await;
            }
            load.lasts(FAILING).await;
            drop(deaf);
            // Its gateway is still there for everybody else.
            system.user("u").connects().await;
        },
    )
    .await;
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
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Delay(_) => "200 ms late",
            Self::BlackHole => "black hole for 4 s",
            Self::Reset => "reset for 4 s",
            Self::Answer(_) => "refusal",
        }
    }
}
