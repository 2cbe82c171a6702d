//! What operators see of a running system: traces across its processes, figures, and logs that tell nothing they must
//! not.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{
    Frame, Role, Shape, Stack, System,
    collector::{Collector, Station},
    user::SECRET,
    wait::{SOON, until},
};

const CLIENTS_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENTS_SPAN: &str = "00f067aa0ba902b7";

/// What only its sender and its readers may see, in places where a client can put it.
const CONFIDED: [&str; 6] = [
    "confided-in-a-message",
    "confided-in-an-edit",
    "confided-in-a-password",
    "confided-in-a-header",
    "confided-in-a-wrong-body",
    "confided-in-a-name",
];

async fn traced(collector: &Collector) -> System {
    System::start_with(
        Shape::single(Stack::Real { brokers: 1 }),
        &[
            ("ROOMLOG_OTLP_ENDPOINT", collector.address()),
            ("ROOMLOG_TRACE_RATIO", "1"),
            // How long spans may wait to be sent together, in milliseconds.
            ("OTEL_BSP_SCHEDULE_DELAY", "200"),
            ("ROOMLOG_LOG_FORMAT", "json"),
            (
                "ROOMLOG_LOG",
                "info,roomlog=trace,roomlog_core=trace,roomlog_platform=trace,roomlog_gateway=trace,roomlog_fanout=trace,roomlog_persister=trace",
            ),
        ],
    )
    .await
}

#[tokio::test]
async fn one_messages_trace_leads_through_three_processes() {
    let collector = Collector::start().await;
    let system = traced(&collector).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;

    let traceparent = format!("00-{CLIENTS_TRACE}-{CLIENTS_SPAN}-01");
    let frame = Frame::send(&room, "followed").with("traceparent", &traceparent);
    client.request(frame).await;
    client.message(&room).await;
    leads_through_all(&collector.trace(CLIENTS_TRACE, 4, SOON).await, CLIENTS_SPAN);

    // Without a client's trace the gateway begins one.
    client.request(Frame::send(&room, "followed as well")).await;
    client.message(&room).await;
    let begun = until("a trace of the gateway's", SOON, async || {
        let stations = collector.stations();
        let fresh = |station: &&Station| station.parent.is_empty() && station.name == "publish";
        // The latest: opening the room had one too.
        stations
            .iter()
            .filter(fresh)
            .max_by_key(|station| station.began_ns)
            .cloned()
            .filter(|latest| {
                stations
                    .iter()
                    .any(|station| station.trace == latest.trace && station.name == "deliver")
            })
    })
    .await;
    leads_through_all(&collector.trace(&begun.trace, 4, SOON).await, "");
}

/// From the SEND to the log's acknowledgement, and from there to each station that took it from the log.
fn leads_through_all(stations: &[Station], first_parent: &str) {
    let told: Vec<_> = stations
        .iter()
        .map(|station| (station.name.as_str(), station.service.as_str()))
        .collect();
    let expected = [
        ("deliver", "roomlog-gateway"),
        ("fan out", "roomlog-fanout"),
        ("persist", "roomlog-persister"),
        ("publish", "roomlog-gateway"),
    ];
    assert_eq!(told, expected, "{stations:?}");
    let publish = &stations[3];
    assert_eq!(publish.parent, first_parent);
    for later in &stations[..3] {
        assert_eq!(later.parent, publish.span, "{later:?}");
        assert!(later.began_ns <= later.ended_ns, "{later:?}");
    }
}

#[tokio::test]
async fn logs_traces_and_figures_hold_no_content_and_no_secret() {
    let collector = Collector::start().await;
    let system = traced(&collector).await;
    let mut secrets = Vec::from(CONFIDED.map(String::from));
    secrets.push(SECRET.into());
    secrets.extend(use_with_confidence(&system).await);

    let of = |(role, index)| system.admin(role, index);
    let roles = [(Role::Gateway, 0), (Role::Fanout, 0), (Role::Persister, 0)];
    let mut told = system.logs();
    for line in told.iter().flat_map(|log| log.lines()) {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(
            parsed.is_ok_and(|line| line["level"].is_string()),
            "no JSON: {line}"
        );
    }
    assert!(told.iter().all(|log| !log.is_empty()), "every service logs");
    for place in roles {
        let figures = of(place).get("/metrics").await.ok();
        told.push(figures.as_str().expect("text").to_owned());
    }
    told.push(format!("{:?}", collector.stations()));
    for (secret, text) in secrets
        .iter()
        .flat_map(|secret| told.iter().map(move |text| (secret, text)))
    {
        let found = text.lines().find(|line| line.contains(secret.as_str()));
        assert!(found.is_none(), "{secret} is in {found:?}");
    }
}

/// Uses what takes secrets, well and badly; answers those that were given out.
async fn use_with_confidence(system: &System) -> Vec<String> {
    let person = json!({"login": "confiding", "password": CONFIDED[2], "name": CONFIDED[5]});
    let nobody = crate::harness::rest::Rest::new(&system.http(0), None);
    let mut given: Vec<Value> = Vec::new();
    given.push(nobody.post("auth/signup", person.clone()).await.ok());
    given.push(nobody.post("auth/login", person).await.ok());
    let wrong = json!({"login": "confiding", "password": format!("{}-wrongly", CONFIDED[2])});
    nobody.post("auth/login", wrong).await.refusal();
    let refresh = json!({"refresh_token": given[1]["refresh_token"]});
    given.push(nobody.post("auth/refresh", refresh).await.ok());

    let alice = system.user("alice");
    let ticket = alice.rest.post("ws-tickets", json!({})).await.ok();
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    client
        .request(Frame::send(&room, CONFIDED[0]).with("note", CONFIDED[3]))
        .await;
    let shown = client.message(&room).await;
    let edit = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}/edit"))
        .with("content-type", "application/json")
        .body(json!({"target": shown.number("seq"), "text": CONFIDED[1]}).to_string());
    client.request(edit).await;
    client.message(&room).await;
    let stored = |texts: &Value| texts.to_string().contains(CONFIDED[1]);
    until("the edit in history", SOON, async || {
        stored(&alice.reads(&room, "").await).then_some(())
    })
    .await;
    // Refused, and the connection with it: nobody listens to its refusals.
    let wrong = Frame::new("SEND")
        .with("destination", format!("/app/rooms/{room}/edit"))
        .with("content-type", "application/json")
        .body(format!("{{\"{}", CONFIDED[4]));
    client.send(&wrong).await;
    client.error().await;

    let names = ["access_token", "refresh_token"];
    let tokens = given
        .iter()
        .flat_map(|answer| names.map(|name| &answer[name]));
    let tokens = tokens
        .chain([&ticket["ticket"]])
        .map(|token| token.as_str().expect("a token"));
    let mut tokens: BTreeSet<String> = tokens.map(String::from).collect();
    tokens.insert(alice.token);
    tokens.into_iter().collect()
}

#[tokio::test]
async fn figures_tell_of_work_done_and_of_work_that_waits() {
    let system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, _) = alice.watches(&room).await;
    client
        .request(Frame::send(&room, "counted").with("id", "counted"))
        .await;
    client.message(&room).await;
    client
        .request(Frame::send(&room, "counted").with("id", "counted"))
        .await;
    client.send(&Frame::send("nowhere", "refused")).await;
    client.error().await;
    let expected = [
        (Role::Gateway, "roomlog_gateway_connections "),
        (Role::Gateway, "roomlog_gateway_rooms "),
        (Role::Gateway, "roomlog_gateway_deliveries_total 1"),
        (
            Role::Gateway,
            "roomlog_gateway_receipt_delay_seconds_count 2",
        ),
        (
            Role::Gateway,
            "roomlog_gateway_delivery_delay_seconds_count ",
        ),
        (Role::Gateway, "roomlog_gateway_end_to_end_seconds_count 1"),
        (Role::Gateway, "roomlog_gateway_outbox_bytes 0"),
        (
            Role::Gateway,
            "roomlog_gateway_refusals_total{code=\"not-found\"} 1",
        ),
        (
            Role::Fanout,
            "roomlog_fanout_records_total{outcome=\"duplicate\"} 1",
        ),
        (
            Role::Fanout,
            "roomlog_fanout_lag_records{partition=\"0\"} 0",
        ),
        (
            Role::Fanout,
            "roomlog_fanout_lag_seconds{partition=\"0\"} 0",
        ),
        (
            Role::Persister,
            "roomlog_persister_lag_records{topic=\"chat.events.v1\",partition=\"0\"} 0",
        ),
        (
            Role::Persister,
            "roomlog_persister_lag_seconds{topic=\"chat.events.v1\",partition=\"0\"} 0",
        ),
    ];
    for (role, line) in expected {
        until(line, SOON, async || {
            let figures = system.admin(role, 0).get("/metrics").await.ok();
            figures
                .as_str()?
                .lines()
                .any(|told| told.starts_with(line))
                .then_some(())
        })
        .await;
    }
    for role in [Role::Gateway, Role::Fanout, Role::Persister] {
        let figures = system.admin(role, 0).get("/metrics").await.ok();
        explains_each(figures.as_str().expect("text"));
    }
}

/// Every figure has a help text.
fn explains_each(figures: &str) {
    let starting = |mark: &str| -> BTreeSet<String> {
        let lines = figures.lines().filter_map(|line| line.strip_prefix(mark));
        lines
            .filter_map(|rest| rest.split(' ').next())
            .filter(|name| name.starts_with("roomlog_"))
            .map(String::from)
            .collect()
    };
    let (typed, helped) = (starting("# TYPE "), starting("# HELP "));
    assert!(!typed.is_empty());
    assert_eq!(
        typed.difference(&helped).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
}
