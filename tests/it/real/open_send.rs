//! The log does not answer: what waits for it is neither acknowledged nor in anybody's way.

use crate::harness::{
    Frame, Shape, Stack, StompClient, System,
    proxy::Mode,
    socket::{FINAL, Socket, TEXT},
    stomp::Door,
    wait::SOON,
};

/// The log gives up on a record after this long, and its client is told: long against two heart-beats of 1 s, and against
/// all that is asked while the log is away, on two busy cores.
const GIVEN_UP_AFTER: &str = "15s";

// req: 62, 70, 97, 112
#[tokio::test(flavor = "multi_thread")]
async fn an_open_send_is_not_receipted_and_holds_nothing_up() {
    let shape = Shape {
        linked: true,
        ..Shape::single(Stack::Real { brokers: 1 })
    };
    let patience = [("ROOMLOG_KAFKA_MESSAGE_TIMEOUT", GIVEN_UP_AFTER)];
    let mut system = System::start_with(shape, &patience).await;
    let alice = system.user("alice");
    let room = alice.opens_room().await;
    let mut client = StompClient::knock(&alice.http, Door::default())
        .await
        .expect("an upgrade");
    let connect = Frame::new("CONNECT")
        .with("accept-version", "1.2")
        .with("Authorization", format!("Bearer {}", alice.token))
        .with("heart-beat", "0,1000");
    client.send(&connect).await;
    client
        .frame("CONNECTED", |frame| frame.command == "CONNECTED")
        .await;
    // The first one opens every connection there has to be.
    client.request(Frame::send(&room, "before")).await;
    let mut leaving = Socket::signed_in(&alice.http, &alice.token, &[]).await;
    let mut refused = alice.connects().await;

    system.servers().kafka.link(0).set(Mode::BlackHole);
    client
        .send(&Frame::send(&room, "open").with("receipt", "open"))
        .await;
    client.beat(SOON).await;
    client.beat(SOON).await;
    assert_eq!(client.all_kept("RECEIPT"), [], "nobody has it yet");
    refused
        .send(&Frame::send(&room, "given up").with("receipt", "r"))
        .await;
    let (error, close) = refused.error().await;
    assert_eq!(
        (error.header("code"), error.header("receipt-id")),
        ("log-unavailable", "r")
    );
    assert_eq!(close, Some(1013));

    // DISCONNECT waits for what is open, and both are receipted once the log answers again.
    system.servers().kafka.link(0).set(Mode::Open);
    let mut ready = alice.connects().await;
    ready.request(Frame::send(&room, "again")).await;
    system.servers().kafka.link(0).set(Mode::BlackHole);
    let post = Frame::send(&room, "last").with("receipt", "last");
    let bye = Frame::new("DISCONNECT").with("receipt", "bye");
    let octets = [post.encode(), bye.encode()].concat();
    leaving.send(FINAL | TEXT, &octets).await;
    ready
        .request(Frame::new("BEGIN").with("transaction", "t"))
        .await;
    system.servers().kafka.link(0).set(Mode::Open);
    let (frames, close) = leaving.rest().await;
    let told: Vec<&str> = frames
        .iter()
        .map(|frame| frame.header("receipt-id"))
        .collect();
    assert_eq!((told, close), (vec!["last", "bye"], Some(1000)));
}
