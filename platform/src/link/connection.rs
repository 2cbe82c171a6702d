//! One address of a fanout: connect, attach, pass on what comes, and try again when it ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Streaming,
    transport::{Channel, Endpoint},
};

use super::{
    EncodedEvent, EncodedSignal, Identity, LinkEvent, LinkId, MESSAGE_BYTES_MAX, RoomHead, Said,
    WireError,
    pending::{Pending, Saying},
    proto::{self, from_fanout, from_gateway, link_client::LinkClient},
    registry::Registry,
    server::{PING_INTERVAL, PING_TIMEOUT, WINDOW_BYTES},
};
use crate::{backoff::Backoff, shutdown::Shutdown};

/// How long a connection and the first answer on it may take. Instances are near; longer means there is none.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits between attempts: short at first, as a restarted instance is back in a moment; never a storm.
const RETRY_FLOOR: Duration = Duration::from_millis(50);
/// The longest wait: a new instance at a known address is found within it.
const RETRY_CEILING: Duration = Duration::from_secs(2);

/// How long an attempt with its link must have lasted for the next failure to count as a first one.
const STABLE_AFTER: Duration = Duration::from_secs(5);
/// The wait where the instance is linked by another of its addresses: it is only needed if that one goes.
const KNOWN_WAIT: Duration = Duration::from_secs(5);

/// Messages that wait to be sent to the fanout; when full, more waits where only the latest per room or subject is kept.
const OUTBOUND_MESSAGES_MAX: usize = 2;

/// One address, for as long as it is wanted.
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    pub(super) gateway: Arc<str>,
    pub(super) registry: Arc<Registry>,
    pub(super) events: mpsc::Sender<LinkEvent>,
    pub(super) shutdown: Shutdown,
}

/// Why a link ended or was not made.
#[derive(Debug, Error)]
enum Ended {
    #[error("no connection: {0}")]
    Connect(#[from] tonic::transport::Error),
    #[error("the call ended: {}: {}", .0.code(), .0.message())]
    Call(#[from] tonic::Status),
    #[error("timed out")]
    Timeout,
    #[error("no welcome came first")]
    NoWelcome,
    #[error("the same instance is linked by another address")]
    Known,
    #[error("the fanout closed the stream")]
    Closed,
    #[error("the fanout can't be understood: {0}")]
    Wire(#[from] WireError),
    #[error("this gateway is stopping")]
    Stopping,
}

/// What a link waits for.
enum Event {
    Received(Result<Option<proto::FromFanout>, tonic::Status>),
    Changed,
    MaySend(Option<mpsc::OwnedPermit<proto::FromGateway>>),
    Stop,
}

/// A stream whose Hello was answered.
struct Attached {
    fanout: Identity,
    client: LinkClient<Channel>,
    outbound: mpsc::Sender<proto::FromGateway>,
    inbound: Streaming<proto::FromFanout>,
}

// === impl Connection ===

impl Connection {
    pub(super) async fn run(self) {
        let mut backoff = Backoff::between(RETRY_FLOOR, RETRY_CEILING);
        while self.registry.wants(self.address) && !self.shutdown.has_begun() {
            let began = Instant::now();
            let attached = tokio::select! {
                attached = self.attach() => attached,
                () = self.shutdown.begun() => return,
            };
            let ended = match attached {
                Ok(attached) => self.serve(attached).await,
                Err(ended) => ended,
            };
            if began.elapsed() > STABLE_AFTER {
                backoff.reset();
            }
            let wait = self.wait_after(&ended, &mut backoff);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.shutdown.begun() => return,
            }
        }
    }

    /// Says that there is no link, once per row of failures, and how long to leave it so.
    fn wait_after(&self, ended: &Ended, backoff: &mut Backoff) -> Duration {
        let address = self.address;
        if matches!(ended, Ended::Known) {
            tracing::debug!(%address, %ended, "no second link");
            return KNOWN_WAIT;
        }
        if backoff.attempts() == 0 {
            tracing::info!(%address, %ended, "no link to a fanout");
        } else {
            tracing::debug!(%address, %ended, "still no link to a fanout");
        }
        backoff.next_wait()
    }

    async fn attach(&self) -> Result<Attached, Ended> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(WINDOW_BYTES)
            // Forwards the gateway has not read yet must not keep the answers to its questions from arriving.
            .initial_connection_window_size(8 * WINDOW_BYTES)
            .tcp_nodelay(true);
        let mut client = LinkClient::new(endpoint.connect().await?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (outbound, messages) = mpsc::channel(OUTBOUND_MESSAGES_MAX);
        let hello = proto::Hello {
            gateway: self.gateway.to_string(),
        };
        let hello = proto::FromGateway {
            kind: Some(from_gateway::Kind::Hello(hello)),
        };
        outbound.send(hello).await.map_err(|_| Ended::Closed)?;
        let greeted = async {
            let mut inbound = client
                .attach(ReceiverStream::new(messages))
                .await?
                .into_inner();
            let first = inbound.message().await?;
            Ok::<_, Ended>((inbound, first))
        };
        let (inbound, first) = tokio::time::timeout(CONNECT_TIMEOUT, greeted)
            .await
            .map_err(|_| Ended::Timeout)??;
        let Some(from_fanout::Kind::Welcome(welcome)) = first.and_then(|first| first.kind) else {
            return Err(Ended::NoWelcome);
        };
        let fanout = Identity {
            instance: welcome.instance.into(),
            group: welcome.group.into(),
            epoch: welcome.epoch.into(),
            partition_count: welcome.partition_count.max(1),
        };
        Ok(Attached {
            fanout,
            client,
            outbound,
            inbound,
        })
    }

    /// Serves a link until it ends; `Up` and `Down` enclose everything else it says.
    async fn serve(&self, attached: Attached) -> Ended {
        let Attached {
            fanout,
            client,
            outbound,
            inbound,
        } = attached;
        let Some((link, pending)) = self.registry.up(fanout.clone(), client) else {
            return Ended::Known;
        };
        let ended = match self.events.send(LinkEvent::Up { link, fanout }).await {
            Ok(()) => self.pass_on(link, &pending, outbound, inbound).await,
            Err(_) => Ended::Stopping,
        };
        self.registry.down(link);
        // The receiver is gone only when the gateway stops, and then nobody needs to know.
        let _ = self.events.send(LinkEvent::Down { link }).await;
        ended
    }

    async fn pass_on(
        &self,
        link: LinkId,
        pending: &Pending,
        outbound: mpsc::Sender<proto::FromGateway>,
        mut inbound: Streaming<proto::FromFanout>,
    ) -> Ended {
        loop {
            let event = tokio::select! {
                received = inbound.message() => Event::Received(received),
                permit = outbound.clone().reserve_owned(), if !pending.is_empty() => Event::MaySend(permit.ok()),
                () = pending.changed.notified() => Event::Changed,
                () = self.shutdown.begun() => Event::Stop,
            };
            match event {
                Event::Received(Ok(Some(message))) => match self.heard(link, message) {
                    Ok(None) => {}
                    Ok(Some(event)) => {
                        if self.events.send(event).await.is_err() {
                            return Ended::Stopping;
                        }
                    }
                    Err(error) => return Ended::Wire(error),
                },
                Event::Received(Ok(None)) | Event::MaySend(None) => return Ended::Closed,
                Event::Received(Err(status)) => return Ended::Call(status),
                Event::Changed => {}
                Event::MaySend(Some(permit)) => {
                    let kind = pending.take().map(|saying| match saying {
                        Saying::Interest(rooms) => {
                            let rooms = rooms.into_iter().map(Into::into).collect();
                            from_gateway::Kind::Interest(proto::InterestChange { rooms })
                        }
                        Saying::Declarations(places) => {
                            let declarations = places.into_iter().map(Into::into).collect();
                            from_gateway::Kind::Declarations(proto::Declarations { declarations })
                        }
                        Saying::Signals(signals) => {
                            from_gateway::Kind::Signals(proto::Signals { signals })
                        }
                    });
                    permit.send(proto::FromGateway { kind });
                }
                Event::Stop => return Ended::Stopping,
            }
        }
    }

    /// What a message means. Kinds of messages this version does not know are passed over.
    fn heard(
        &self,
        link: LinkId,
        message: proto::FromFanout,
    ) -> Result<Option<LinkEvent>, WireError> {
        Ok(match message.kind {
            None | Some(from_fanout::Kind::Welcome(_)) => None,
            Some(from_fanout::Kind::Owned(owned)) => {
                let gained = self.registry.owned(link, &owned.partitions);
                let partitions = owned.partitions;
                Some(LinkEvent::Owned {
                    link,
                    partitions,
                    gained,
                })
            }
            Some(from_fanout::Kind::Signals(signals)) => {
                let signals = signals.signals.into_iter();
                Some(LinkEvent::Signals {
                    // One that can't be understood is lost, as any may be.
                    signals: signals
                        .filter_map(|record| Some(EncodedSignal::decode(record).ok()?.signal))
                        .collect(),
                })
            }
            Some(from_fanout::Kind::Presences(presences)) => {
                let rooms = presences.rooms.iter().map(|record| Said::decode(record));
                Some(LinkEvent::Presences {
                    link,
                    rooms: rooms.collect::<Result<_, _>>()?,
                })
            }
            Some(from_fanout::Kind::Lapsed(_)) => Some(LinkEvent::Lapsed { link }),
            Some(from_fanout::Kind::Forward(forward)) => {
                let events = forward
                    .events
                    .iter()
                    .map(|record| EncodedEvent::decode(record));
                let heads = forward.heads.into_iter().map(RoomHead::try_from);
                Some(LinkEvent::Forward {
                    link,
                    events: events.collect::<Result<_, _>>()?,
                    heads: heads.collect::<Result<_, _>>()?,
                })
            }
        })
    }
}
