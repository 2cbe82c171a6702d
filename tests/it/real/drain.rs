//! SIGTERM: a service finishes what it began and says goodbye.

use std::collections::BTreeSet;

use tokio::{sync::watch, task::JoinSet};

use super::scale::is_stored;
use crate::harness::{
    Frame, Role, Shape, Stack, StompClient, System,
    stomp::Arrival,
    traffic::{Followers, Post, Senders},
    wait::{SOON, within},
};

const CLIENTS: usize = 20;
/// Over how long a gateway spreads its farewells here.
const DRAIN_MS: u64 = 10_000;
const MESSAGES: usize = 2_000;

// req: 112
#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gateway_receipts_what_it_took_and_sends_its_clients_on() {
    let shape = Shape {
        gateways: 2,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let mut system = System::start_with(shape, &[("ROOMLOG_DRAIN", "10s")]).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (first_has_gone, _) = watch::channel(false);
    let mut leaving = JoinSet::new();
    for number in 0..CLIENTS {
        let (client, _) = alice.watches(&room).await;
        let post = Frame::send(&room, "still here").with("id", format!("m-{number}"));
        leaving.spawn(farewell(client, post, first_has_gone.clone()));
    }
    system.stop_gracefully(Role::Gateway, 0).await;
    let mut farewells = Vec::new();
    while let Some(ended) = leaving.join_next().await {
        farewells.push(ended.expect("a good end"));
    }
    for farewell in &farewells {
        assert_eq!(
            (farewell.code.as_str(), farewell.close),
            ("draining", Some(1012)),
            "{farewell:?}"
        );
        assert!(farewell.retry_after_ms < DRAIN_MS, "{farewell:?}");
    }
    // They neither go nor come back all at once.
    let taken: BTreeSet<_> = farewells.iter().filter_map(|f| f.taken.clone()).collect();
    assert!(!taken.is_empty(), "nobody was served after the first left");
    let returns: BTreeSet<u64> = farewells.iter().map(|f| f.retry_after_ms).collect();
    assert!(returns.len() > CLIENTS / 2, "{returns:?}");

    let elsewhere = alice.at(&system.http(1));
    let mut client = elsewhere.connects().await;
    let last = Frame::send(&room, "the last").with("id", "last");
    client.request(last).await;
    let all = Frame::subscribe("all", &format!("/topic/rooms/{room}"));
    client.request(all.with("since", 0)).await;
    let mut shown: BTreeSet<String> = BTreeSet::new();
    while !shown.contains("last") {
        let message = client.message("all").await.json();
        shown.extend(message["id"].as_str().map(String::from));
    }
    assert!(taken.is_subset(&shown), "{taken:?} in {shown:?}");
}

/// How a client's connection ended.
#[derive(Debug)]
struct Farewell {
    /// Of the ERROR before the close.
    code: String,
    retry_after_ms: u64,
    close: Option<u16>,
    /// What was receipted to it after another one had been closed.
    taken: Option<String>,
}

/// Posts once another client has gone, and stays until it is closed itself.
async fn farewell(mut client: StompClient, post: Frame, gone: watch::Sender<bool>) -> Farewell {
    let id = post.header("id").to_owned();
    let mut others = gone.subscribe();
    let (mut has_posted, mut taken, mut error) = (false, None, None);
    let close = within("the end of the connection", SOON, async {
        loop {
            let arrival = tokio::select! {
                arrival = client.arrival() => arrival,
                () = async { drop(others.wait_for(|gone| *gone).await) }, if !has_posted => {
                    has_posted = true;
                    // It may be closing at this very moment.
                    let _ = client.try_send(&post.clone().with("receipt", &id)).await;
                    continue;
                }
            };
            match arrival {
                Arrival::Frame(frame) if frame.command == "RECEIPT" => taken = Some(id.clone()),
                Arrival::Frame(frame) if frame.command == "ERROR" => error = Some(frame),
                Arrival::Frame(_) | Arrival::Beat => {}
                Arrival::Closed(code) => return code,
            }
        }
    })
    .await;
    gone.send_replace(true);
    let error = error.expect("an ERROR before the close");
    Farewell {
        code: error.header("code").to_owned(),
        retry_after_ms: error.number("retry_after_ms"),
        close,
        taken,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn services_stopped_one_after_the_other_lose_nothing() {
    let mut system = System::start(Shape::of_each(Stack::Real { brokers: 1 }, 2)).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let gateways = system.gateways();
    let posts = (0..MESSAGES).map(|number| Post {
        room: room.clone(),
        id: format!("m-{number}"),
        text: "through all of it".into(),
    });
    let followers = Followers::new(
        &gateways,
        vec![(alice.clone(), vec![room.clone()])],
        MESSAGES as u64,
    );
    let mut senders = Senders::new(&gateways, vec![(alice, posts.collect())]);
    let portion = MESSAGES / 8;
    for role in [Role::Persister, Role::Fanout, Role::Gateway] {
        for index in 0..2 {
            senders.release(portion);
            senders.in_full_flow(portion).await;
            system.stop_gracefully(role, index).await;
            system.restart(role, index).await;
        }
    }
    senders.release(MESSAGES);
    senders.finish().await;
    is_stored(&system, &followers.agreed().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_fanout_hands_its_partitions_over() {
    let mut system = System::start(Shape::single(Stack::Real { brokers: 1 })).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let (mut client, head) = alice.watches(&room).await;
    client.request(Frame::send(&room, "before")).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 1);
    system.stop_gracefully(Role::Fanout, 0).await;
    // The log takes messages while nobody numbers them.
    client.request(Frame::send(&room, "between")).await;
    system.restart(Role::Fanout, 0).await;
    assert_eq!(client.message(&room).await.number("seq"), head + 2);
}
