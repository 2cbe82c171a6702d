//! What gateways ask: the link's server side.

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt as _, stream};
use roomlog_core::{
    ids::{RoomKey, Seq},
    interest::GatewayId,
    presence::Declaration,
};
use roomlog_platform::link::{
    EncodedSignal, Identity, RoomInterest, WireError,
    proto::{self, from_fanout, from_gateway},
};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    directory::Directory,
    metrics,
    outbox::{Outbox, Sendable},
    owner::{Command, RECALL_TIMEOUT},
};

/// How long a gateway may take to say Hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a fresh head may take to become known.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long an owner may take to look into its memory.
const EVENTS_TIMEOUT: Duration = Duration::from_millis(500);

/// The link's service.
pub(crate) struct Attach {
    pub(crate) identity: Identity,
    pub(crate) directory: Arc<Directory>,
}

/// A gateway's place in the directory, for as long as its stream lives.
struct Place {
    id: GatewayId,
    outbox: Arc<Outbox>,
    directory: Arc<Directory>,
}

type Outbound = Pin<Box<dyn Stream<Item = Result<proto::FromFanout, Status>> + Send>>;

#[tonic::async_trait]
impl proto::link_server::Link for Attach {
    type AttachStream = Outbound;

    async fn attach(
        &self,
        request: Request<Streaming<proto::FromGateway>>,
    ) -> Result<Response<Outbound>, Status> {
        let mut inbound = request.into_inner();
        let first = tokio::time::timeout(HELLO_TIMEOUT, inbound.message())
            .await
            .map_err(|_| Status::deadline_exceeded("no hello came in time"))??;
        let Some(from_gateway::Kind::Hello(hello)) = first.and_then(|first| first.kind) else {
            return Err(Status::invalid_argument("a stream begins with hello"));
        };
        let (id, outbox) = self
            .directory
            .attach()
            .ok_or_else(|| Status::unavailable("this fanout is stopping"))?;
        tracing::info!(gateway = %hello.gateway, stream = id.0, "gateway attached");
        let place = Place {
            id,
            outbox,
            directory: Arc::clone(&self.directory),
        };
        tokio::spawn(listen(
            inbound,
            Arc::clone(&place.outbox),
            id,
            Arc::clone(&self.directory),
        ));
        let welcome = stream::iter([from_fanout::Kind::Welcome(self.welcome())]);
        let batches = stream::unfold(place, |place| async {
            let next = place.outbox.next().await?;
            Some((stream::iter(messages(next)), place))
        });
        let outbound = welcome
            .chain(batches.flatten())
            .map(|kind| Ok(proto::FromFanout { kind: Some(kind) }));
        Ok(Response::new(Box::pin(outbound)))
    }

    async fn events(
        &self,
        request: Request<proto::EventsRequest>,
    ) -> Result<Response<proto::EventsReply>, Status> {
        let request = request.into_inner();
        let key = parse_key(&request.room)?;
        let range = Seq(request.from)..=Seq(request.to);
        let events = if request.from_log {
            let command = |reply| Command::Recall {
                key: key.clone(),
                range,
                reply,
            };
            self.ask(key.clone(), RECALL_TIMEOUT, command).await?
        } else {
            let command = |reply| Command::Events {
                key: key.clone(),
                range,
                reply,
            };
            self.ask(key.clone(), EVENTS_TIMEOUT, command).await?
        };
        Ok(Response::new(proto::EventsReply { events }))
    }

    async fn presence(
        &self,
        request: Request<proto::PresenceRequest>,
    ) -> Result<Response<proto::Presences>, Status> {
        let proto::PresenceRequest {
            rooms: wanted,
            totals_only,
        } = request.into_inner();
        let mut split = BTreeMap::<u32, Vec<RoomKey>>::new();
        for room in wanted {
            let key = parse_key(&room)?;
            let partition = self.directory.partition_of(&key);
            split.entry(partition).or_default().push(key);
        }
        let mut rooms = Vec::new();
        for keys in split.into_values() {
            let Some(first) = keys.first().cloned() else {
                continue;
            };
            let answer = self.ask(first, EVENTS_TIMEOUT, |reply| Command::Presence {
                keys,
                totals_only,
                reply,
            });
            // Rooms that are not owned here are left out.
            rooms.extend(answer.await.unwrap_or_default());
        }
        Ok(Response::new(proto::Presences { rooms }))
    }

    async fn head(
        &self,
        request: Request<proto::HeadRequest>,
    ) -> Result<Response<proto::RoomHead>, Status> {
        let key = parse_key(&request.into_inner().room)?;
        let head = self
            .ask(key.clone(), HEAD_TIMEOUT, |reply| Command::Head {
                key,
                reply,
            })
            .await?;
        Ok(Response::new(head.into()))
    }
}

// === impl Attach ===

impl Attach {
    fn welcome(&self) -> proto::Welcome {
        proto::Welcome {
            instance: self.identity.instance.to_string(),
            group: self.identity.group.to_string(),
            epoch: self.identity.epoch.to_string(),
            partition_count: self.identity.partition_count,
        }
    }

    /// Asks the owner of a room. An owner that drops the question, or is none, is not available.
    async fn ask<T>(
        &self,
        key: RoomKey,
        at_most: Duration,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Status> {
        let owner = self.directory.owner(self.directory.partition_of(&key));
        let owner = owner.ok_or_else(|| Status::unavailable("the partition is not owned here"))?;
        let (reply, answer) = oneshot::channel();
        let asked = async {
            owner.send(command(reply)).await.ok()?;
            answer.await.ok()
        };
        match tokio::time::timeout(at_most, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(Status::unavailable("the owner could not answer")),
            Err(_) => Err(Status::unavailable(
                "the owner has not read far enough in time",
            )),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.directory.detach(self.id);
    }
}

fn parse_key(text: &str) -> Result<RoomKey, Status> {
    RoomKey::parse(text).map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The messages that carry what is to be sent, in order.
fn messages(next: Sendable) -> impl Iterator<Item = from_fanout::Kind> {
    let owned = next
        .owned
        .into_iter()
        .map(|partitions| from_fanout::Kind::Owned(proto::Owned { partitions }));
    let heads: Vec<_> = next.heads.into_iter().map(Into::into).collect();
    let forward = proto::Forward {
        events: next.events,
        heads,
    };
    let signals =
        (!next.signals.is_empty()).then_some(from_fanout::Kind::Signals(proto::Signals {
            signals: next.signals,
        }));
    let lapsed = next
        .has_lapsed
        .then_some(from_fanout::Kind::Lapsed(proto::Lapsed {}));
    let presences = proto::Presences {
        rooms: next.presences,
    };
    let presences =
        (!presences.rooms.is_empty()).then_some(from_fanout::Kind::Presences(presences));
    let forward = (!forward.events.is_empty() || !forward.heads.is_empty()).then_some(forward);
    owned
        .chain(forward.map(from_fanout::Kind::Forward))
        .chain(signals)
        .chain(lapsed)
        .chain(presences)
}

/// Hands a gateway's interest to the owners, until its stream ends. An owner that is busy makes only this gateway wait.
async fn listen(
    mut inbound: Streaming<proto::FromGateway>,
    outbox: Arc<Outbox>,
    gateway: GatewayId,
    directory: Arc<Directory>,
) {
    while let Ok(Some(message)) = inbound.message().await {
        match message.kind {
            Some(from_gateway::Kind::Interest(change)) => {
                if let Err(error) = take_interest(change, gateway, &outbox, &directory).await {
                    tracing::warn!(stream = gateway.0, %error, "a gateway can't be understood");
                    break;
                }
            }
            Some(from_gateway::Kind::Declarations(said)) => {
                if let Err(error) = take_declarations(said, gateway, &outbox, &directory).await {
                    tracing::warn!(stream = gateway.0, %error, "a gateway can't be understood");
                    break;
                }
            }
            Some(from_gateway::Kind::Signals(signals)) => take_signals(signals, &directory),
            Some(from_gateway::Kind::Hello(_)) | None => {}
        }
    }
    tracing::info!(stream = gateway.0, "gateway detached");
    directory.detach(gateway);
}

async fn take_interest(
    change: proto::InterestChange,
    gateway: GatewayId,
    outbox: &Arc<Outbox>,
    directory: &Directory,
) -> Result<(), WireError> {
    for (partition, rooms) in by_partition(change, directory)? {
        // Interest in what is not owned is let go: the gateway declares it again where it is owned.
        if let Some(owner) = directory.owner(partition) {
            let outbox = Arc::clone(outbox);
            let _ = owner
                .send(Command::Interest {
                    gateway,
                    outbox,
                    rooms,
                })
                .await;
        }
    }
    Ok(())
}

async fn take_declarations(
    said: proto::Declarations,
    gateway: GatewayId,
    outbox: &Arc<Outbox>,
    directory: &Directory,
) -> Result<(), WireError> {
    let mut split = BTreeMap::<u32, Vec<Declaration>>::new();
    for declaration in said.declarations {
        let declaration = Declaration::try_from(declaration)?;
        let partition = directory.partition_of(&declaration.key);
        split.entry(partition).or_default().push(declaration);
    }
    for (partition, declarations) in split {
        // As with interest: the gateway says it again where the partition is owned.
        if let Some(owner) = directory.owner(partition) {
            let outbox = Arc::clone(outbox);
            let _ = owner
                .send(Command::Declarations {
                    gateway,
                    outbox,
                    declarations,
                })
                .await;
        }
    }
    Ok(())
}

/// Hands signals to the owners of their rooms. Nobody waits for one: it is lost where an owner is busy, is not here or
/// does not understand it.
fn take_signals(signals: proto::Signals, directory: &Directory) {
    let mut split = BTreeMap::<u32, Vec<EncodedSignal>>::new();
    for record in signals.signals {
        if let Ok(signal) = EncodedSignal::decode(record) {
            let partition = directory.partition_of(&signal.signal.key);
            split.entry(partition).or_default().push(signal);
        }
    }
    for (partition, signals) in split {
        let count = signals.len();
        let owner = directory.owner(partition);
        if owner.is_some_and(|owner| owner.try_send(Command::Signals(signals)).is_err()) {
            metrics::signals_lost(count);
        }
    }
}

fn by_partition(
    change: proto::InterestChange,
    directory: &Directory,
) -> Result<BTreeMap<u32, Vec<RoomInterest>>, WireError> {
    let mut split = BTreeMap::<u32, Vec<RoomInterest>>::new();
    for room in change.rooms {
        let room = RoomInterest::try_from(room)?;
        split
            .entry(directory.partition_of(&room.key))
            .or_default()
            .push(room);
    }
    Ok(split)
}
