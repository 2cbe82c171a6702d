//! A gateway's links against fanouts in this process.

#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, pin::Pin, time::Duration};

use futures_util::{Future, Stream, StreamExt as _, stream};
use roomlog_core::{
    event::Kind,
    ids::{Count, RoomKey, Seq, UserId},
    signal::Signal,
};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    proto::{
        EventsReply, EventsRequest, Forward, FromFanout, FromGateway, HeadRequest, Owned, Welcome,
        from_fanout, from_gateway,
    },
    *,
};
use crate::{shutdown::Shutdown, stored_event::StoredEvent};

/// Longer than anything here may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// A fanout that says what it is told to and notes what it hears.
struct Fake {
    instance: String,
    /// The streams that were opened: what to send on each, once.
    streams: tokio::sync::Mutex<mpsc::Receiver<mpsc::Receiver<Result<FromFanout, Status>>>>,
    heard: mpsc::Sender<FromGateway>,
}

/// The test's end of a [`Fake`].
struct Fanout {
    address: SocketAddr,
    streams: mpsc::Sender<mpsc::Receiver<Result<FromFanout, Status>>>,
    heard: mpsc::Receiver<FromGateway>,
    stop: Shutdown,
}

#[tonic::async_trait]
impl proto::link_server::Link for Fake {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<FromFanout, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<FromGateway>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let mut inbound = request.into_inner();
        let heard = self.heard.clone();
        tokio::spawn(async move {
            while let Ok(Some(message)) = inbound.message().await {
                let _ = heard.send(message).await;
            }
        });
        let stream = self
            .streams
            .lock()
            .await
            .recv()
            .await
            .ok_or_else(|| Status::unavailable("over"))?;
        let welcome = said(from_fanout::Kind::Welcome(Welcome {
            instance: self.instance.clone(),
            group: "a".into(),
            epoch: "e1".into(),
            partition_count: 1,
        }));
        let outbound = stream::iter([welcome]).chain(ReceiverStream::new(stream));
        Ok(Response::new(Box::pin(outbound)))
    }

    async fn events(
        &self,
        request: Request<EventsRequest>,
    ) -> Result<Response<EventsReply>, Status> {
        let from = request.into_inner().from;
        // A hole after two events.
        let events = [from, from + 1, from + 3].map(|seq| EncodedEvent::encode(&event(seq)).record);
        Ok(Response::new(EventsReply {
            events: events.into(),
        }))
    }

    async fn presence(
        &self,
        _: Request<proto::PresenceRequest>,
    ) -> Result<Response<proto::Presences>, Status> {
        Ok(Response::new(proto::Presences::default()))
    }

    async fn head(
        &self,
        request: Request<HeadRequest>,
    ) -> Result<Response<proto::RoomHead>, Status> {
        let room = request.into_inner().room;
        Ok(Response::new(proto::RoomHead {
            room,
            seq: 9,
            count: 8,
        }))
    }
}

fn said(kind: from_fanout::Kind) -> Result<FromFanout, Status> {
    Ok(FromFanout { kind: Some(kind) })
}

fn key() -> RoomKey {
    RoomKey::parse("room").unwrap()
}

fn event(seq: u64) -> StoredEvent {
    StoredEvent {
        key: key(),
        seq: Seq(seq),
        count: Count(seq),
        at_ms: 1,
        partition: 0,
        offset: 5,
        id: "id".into(),
        sender: "alice".into(),
        kind: Kind::Message,
        traceparent: None,
        value: bytes::Bytes::from_static(b"value"),
    }
}

async fn fanout(instance: &str) -> Fanout {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (streams, opened) = mpsc::channel(8);
    let (heard, hears) = mpsc::channel(64);
    let fake = Fake {
        instance: instance.into(),
        streams: tokio::sync::Mutex::new(opened),
        heard,
    };
    let stop = Shutdown::default();
    let stopping = stop.clone();
    tokio::spawn(async move {
        server::serve(listener, fake, async move { stopping.begun().await }).await
    });
    Fanout {
        address,
        streams,
        heard: hears,
        stop,
    }
}

impl Fanout {
    /// Accepts the next stream.
    async fn accept(&self) -> mpsc::Sender<Result<FromFanout, Status>> {
        let (say, says) = mpsc::channel(8);
        self.streams.send(says).await.unwrap();
        say
    }

    async fn hears(&mut self) -> from_gateway::Kind {
        within(self.heard.recv()).await.unwrap().kind.unwrap()
    }
}

async fn within<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, wait)
        .await
        .expect("it happens before the deadline")
}

fn start(targets: &[SocketAddr], shutdown: &Shutdown) -> (Links, mpsc::Receiver<LinkEvent>) {
    let targets = Targets::parse(targets.iter().map(SocketAddr::to_string)).unwrap();
    Links::start(targets, "gateway-1", shutdown)
}

async fn up(events: &mut mpsc::Receiver<LinkEvent>) -> (LinkId, Identity) {
    match within(events.recv()).await {
        Some(LinkEvent::Up { link, fanout }) => (link, fanout),
        other => panic!("not up: {other:?}"),
    }
}

#[tokio::test]
async fn a_link_carries_ownership_interest_events_and_heads() {
    let mut fanout = fanout("one").await;
    let shutdown = Shutdown::default();
    let (links, mut events) = start(&[fanout.address], &shutdown);
    let say = fanout.accept().await;
    let (link, identity) = up(&mut events).await;
    assert_eq!((&*identity.epoch, identity.partition_count), ("e1", 1));
    assert!(
        matches!(fanout.hears().await, from_gateway::Kind::Hello(hello) if hello.gateway == "gateway-1")
    );
    assert_eq!(links.head(&key()).await, Err(LinkError::NoOwner));

    say.send(said(from_fanout::Kind::Owned(Owned {
        partitions: vec![0],
    })))
    .await
    .unwrap();
    let owned = LinkEvent::Owned {
        link,
        partitions: vec![0],
        gained: vec![0],
    };
    assert_eq!(within(events.recv()).await, Some(owned));
    assert_eq!(links.owners(&key()), [link]);

    let interest = |level, seq| RoomInterest {
        key: key(),
        level,
        seq,
        signals: false,
    };
    links.set_interest(link, [interest(Level::Live, Some(Seq(7)))]);
    let from_gateway::Kind::Interest(change) = fanout.hears().await else {
        panic!("no interest")
    };
    assert_eq!(
        (change.rooms[0].level(), change.rooms[0].seq),
        (proto::Level::Live, Some(7))
    );

    let heads = vec![proto::RoomHead {
        room: "room".into(),
        seq: 9,
        count: 9,
    }];
    let forward = Forward {
        events: vec![EncodedEvent::encode(&event(8)).record],
        heads,
    };
    say.send(said(from_fanout::Kind::Forward(forward)))
        .await
        .unwrap();
    let Some(LinkEvent::Forward {
        events: forwarded,
        heads,
        ..
    }) = within(events.recv()).await
    else {
        panic!("no forward")
    };
    assert_eq!((forwarded, heads[0].seq), (vec![event(8)], Seq(9)));
    shutdown.begin();
    assert!(shutdown.finished(DEADLINE).await);
}

#[tokio::test]
async fn answers_are_used_only_as_far_as_they_are_dense() {
    let fanout = fanout("one").await;
    let shutdown = Shutdown::default();
    let (links, mut events) = start(&[fanout.address], &shutdown);
    let say = fanout.accept().await;
    up(&mut events).await;
    say.send(said(from_fanout::Kind::Owned(Owned {
        partitions: vec![0],
    })))
    .await
    .unwrap();
    within(events.recv()).await.unwrap();
    let answer = links.events(&key(), Seq(4)..=Seq(9)).await.unwrap();
    assert_eq!(
        answer.iter().map(|event| event.seq.0).collect::<Vec<_>>(),
        [4, 5]
    );
    assert_eq!(links.head(&key()).await.unwrap().seq, Seq(9));
    shutdown.begin();
}

#[tokio::test]
async fn a_lost_link_is_made_again_as_a_new_one() {
    let fanout = fanout("one").await;
    let shutdown = Shutdown::default();
    let (links, mut events) = start(&[fanout.address], &shutdown);
    let say = fanout.accept().await;
    let (first, _) = up(&mut events).await;
    say.send(said(from_fanout::Kind::Owned(Owned {
        partitions: vec![0],
    })))
    .await
    .unwrap();
    within(events.recv()).await.unwrap();
    drop(say);
    assert_eq!(
        within(events.recv()).await,
        Some(LinkEvent::Down { link: first })
    );
    assert_eq!(links.owners(&key()), []);
    let _say = fanout.accept().await;
    let (second, _) = up(&mut events).await;
    assert_ne!(first, second);
    shutdown.begin();
}

#[tokio::test]
async fn a_read_mark_is_told_again_to_an_owner_that_is_found_later() {
    let mut fanout = fanout("one").await;
    let shutdown = Shutdown::default();
    let (links, mut events) = start(&[fanout.address], &shutdown);
    let user = UserId::parse("ann").unwrap();
    let (seq, count) = (Seq(7), Count(6));
    let typing = Signal::Typing {
        user: user.clone(),
        on: true,
    };
    // Nobody owns the room yet.
    links.signal(&key(), typing);
    links.signal(&key(), Signal::Read { user, seq, count });
    let say = fanout.accept().await;
    up(&mut events).await;
    assert!(matches!(fanout.hears().await, from_gateway::Kind::Hello(_)));
    say.send(said(from_fanout::Kind::Owned(Owned {
        partitions: vec![0],
    })))
    .await
    .unwrap();
    let from_gateway::Kind::Signals(told) = fanout.hears().await else {
        panic!("no signals")
    };
    let told: Vec<Signal> = told
        .signals
        .into_iter()
        .map(|record| EncodedSignal::decode(record).unwrap().signal.signal)
        .collect();
    let user = UserId::parse("ann").unwrap();
    assert_eq!(told, [Signal::Read { user, seq, count }]);
    shutdown.begin();
}

#[tokio::test]
async fn one_instance_is_linked_once_however_many_addresses_it_has() {
    let (here, there) = (fanout("same").await, fanout("same").await);
    let shutdown = Shutdown::default();
    let (_links, mut events) = start(&[here.address, there.address], &shutdown);
    let (_here, _there) = (here.accept().await, there.accept().await);
    up(&mut events).await;
    // The second address says Hello and is welcomed; what would follow is another Up.
    let (mut here, mut there) = (here, there);
    here.hears().await;
    there.hears().await;
    here.stop.begin();
    there.stop.begin();
    drop((_here, _there));
    assert!(matches!(
        within(events.recv()).await,
        Some(LinkEvent::Down { .. })
    ));
    shutdown.begin();
}
