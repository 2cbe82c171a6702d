//! A gateway's side: a link to every fanout instance, and questions to the owners of a room.

use std::{collections::HashMap, ops::RangeInclusive, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use roomlog_core::{
    ids::{RoomKey, Seq},
    presence::{Declaration, View},
    signal::{Signal, Stamp, Stamped},
};
use tokio::sync::mpsc;

use super::{
    EncodedEvent, LinkError, LinkEvent, LinkId, RoomHead, RoomInterest, Said, Targets,
    connection::Connection, proto, registry::Registry,
};
use crate::{shutdown::Shutdown, stored_event::StoredEvent};

/// How often names are resolved again: a new instance serves within this time.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(3);

/// Events of all links that wait for the gateway. When full, links are not read: the flow control of HTTP/2 then fills
/// the fanout's queue for this gateway, which turns events into heads.
const LINK_EVENTS_MAX: usize = 256;

/// How long an owner may take to answer from memory. It has no I/O to do, so more means it is stuck.
const EVENTS_DEADLINE: Duration = Duration::from_millis(500);

/// How long an owner may take to read the log again: its own bound of 5 s, and the way there and back.
const LOG_DEADLINE: Duration = Duration::from_millis(5_500);

/// How long a fresh head may take: the owner's own bound of 1 s, and the way there and back.
const HEAD_DEADLINE: Duration = Duration::from_millis(1_250);

/// The links of one gateway; a clone is the same set.
#[derive(Clone)]
pub struct Links {
    registry: Arc<Registry>,
    /// Names this run in its signals.
    source: u64,
}

// === impl Links ===

impl Links {
    /// Begins linking to every instance the targets stand for, until the shutdown.
    ///
    /// Events of one link come in order: `Up`, then `Owned` and `Forward`, then `Down`. Links that are lost are made
    /// again by themselves.
    pub fn start(
        targets: Targets,
        gateway: &str,
        shutdown: &Shutdown,
    ) -> (Self, mpsc::Receiver<LinkEvent>) {
        let registry = Arc::<Registry>::default();
        let (events, received) = mpsc::channel(LINK_EVENTS_MAX);
        let links = Self {
            registry: Arc::clone(&registry),
            source: uuid::Uuid::new_v4().as_u64_pair().0,
        };
        shutdown.spawn(find(
            targets,
            gateway.into(),
            registry,
            events,
            shutdown.clone(),
        ));
        (links, received)
    }

    /// Declares interest on a link; what was declared before stands for the rooms not named. Never waits: only the
    /// latest wish per room is kept until it is sent. On a link that is down it does nothing.
    pub fn set_interest(&self, link: LinkId, interest: impl IntoIterator<Item = RoomInterest>) {
        if let Some(pending) = self.registry.pending(link) {
            pending.declare(interest);
        }
    }

    /// Tells the owners of their rooms how users stand there. Never waits: only the latest per user and room is kept
    /// until it is sent. An owner that is found later is to be told by [`Self::declare_to`].
    pub fn declare(&self, declarations: impl IntoIterator<Item = Declaration>) {
        for declaration in declarations {
            for pending in self.registry.pending_of_owners(&declaration.key) {
                pending.place([declaration.clone()]);
            }
        }
    }

    /// Tells one fanout how users stand in rooms.
    pub fn declare_to(&self, link: LinkId, declarations: impl IntoIterator<Item = Declaration>) {
        if let Some(pending) = self.registry.pending(link) {
            pending.place(declarations);
        }
    }

    /// Who is in these rooms, from the memory of their owners; a room no owner of which answered is left out. With
    /// `totals_only` the sets of names are empty.
    pub async fn presence(&self, keys: &[RoomKey], totals_only: bool) -> HashMap<RoomKey, View> {
        let mut views = HashMap::new();
        for (mut client, rooms) in self.registry.rooms_by_owner(keys) {
            let rooms: Vec<String> = rooms
                .into_iter()
                .filter(|key| !views.contains_key(key))
                .map(|key| key.as_str().to_owned())
                .collect();
            if rooms.is_empty() {
                continue;
            }
            let request = proto::PresenceRequest { rooms, totals_only };
            let Ok(Ok(reply)) =
                tokio::time::timeout(EVENTS_DEADLINE, client.presence(request)).await
            else {
                continue;
            };
            let said = reply.into_inner().rooms;
            let said = said.iter().filter_map(|record| Said::decode(record).ok());
            views.extend(said.filter_map(|said| match said {
                Said::Whole(key, view) => Some((key, view)),
                Said::Change(_) => None,
            }));
        }
        views
    }

    /// Sends a signal to every owner of the room. Never waits: where too many wait already, it is lost on that way, and
    /// a later one about the same subject replaces it. How far somebody has read is said again to an owner that is found
    /// within a minute.
    pub fn signal(&self, key: &RoomKey, signal: Signal) {
        let stamp = Stamp {
            source: self.source,
            counter: self.registry.next_signal(),
        };
        self.registry.tell(Stamped {
            key: key.clone(),
            stamp,
            signal,
        });
    }

    /// The links whose fanouts own a room's partition at present.
    pub fn owners(&self, key: &RoomKey) -> Vec<LinkId> {
        self.registry
            .owners(key)
            .into_iter()
            .map(|(link, _)| link)
            .collect()
    }

    /// Recent events of a room from an owner's memory: dense and beginning exactly at the start of the range, possibly
    /// ending before its end; empty where no owner has the first one any more.
    ///
    /// # Errors
    /// When no owner could be asked.
    pub async fn events(
        &self,
        key: &RoomKey,
        range: RangeInclusive<Seq>,
    ) -> Result<Vec<StoredEvent>, LinkError> {
        self.ask_for_events(key, range, false, EVENTS_DEADLINE)
            .await
    }

    /// Events of a room that an owner reads from the log once more, as [`Self::events`] otherwise. It costs the fanout
    /// seconds and is answered for one question at a time: the last source, for what no other one has.
    ///
    /// # Errors
    /// When no owner could answer.
    pub async fn events_from_log(
        &self,
        key: &RoomKey,
        range: RangeInclusive<Seq>,
    ) -> Result<Vec<StoredEvent>, LinkError> {
        self.ask_for_events(key, range, true, LOG_DEADLINE).await
    }

    async fn ask_for_events(
        &self,
        key: &RoomKey,
        range: RangeInclusive<Seq>,
        from_log: bool,
        deadline: Duration,
    ) -> Result<Vec<StoredEvent>, LinkError> {
        let mut failed = LinkError::NoOwner;
        let mut answered = false;
        for (_, mut client) in self.registry.owners(key) {
            let request = proto::EventsRequest {
                room: key.as_str().to_owned(),
                from: range.start().0,
                to: range.end().0,
                from_log,
            };
            match tokio::time::timeout(deadline, client.events(request)).await {
                Ok(Ok(reply)) => {
                    let events = dense(key, *range.start(), &reply.into_inner());
                    if !events.is_empty() {
                        return Ok(events);
                    }
                    answered = true;
                }
                Ok(Err(status)) => failed = LinkError::Unavailable(status.message().to_owned()),
                Err(_) => failed = LinkError::Unavailable("timed out".into()),
            }
        }
        if answered { Ok(vec![]) } else { Err(failed) }
    }

    /// A room's head as of now: an owner answers once it has passed the end its partition had at the request. All
    /// owners are asked at once and the first answer wins, as each is enough.
    ///
    /// # Errors
    /// When no owner could answer in time.
    pub async fn head(&self, key: &RoomKey) -> Result<RoomHead, LinkError> {
        let owners = self.registry.owners(key);
        let mut answers: FuturesUnordered<_> = owners
            .into_iter()
            .map(|(_, client)| fresh_head(client, key))
            .collect();
        let mut failed = LinkError::NoOwner;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(head) => return Ok(head),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

async fn fresh_head(
    mut client: proto::link_client::LinkClient<tonic::transport::Channel>,
    key: &RoomKey,
) -> Result<RoomHead, LinkError> {
    let request = proto::HeadRequest {
        room: key.as_str().to_owned(),
    };
    match tokio::time::timeout(HEAD_DEADLINE, client.head(request)).await {
        Ok(Ok(reply)) => RoomHead::try_from(reply.into_inner())
            .map_err(|error| LinkError::Unavailable(error.to_string())),
        Ok(Err(status)) => Err(LinkError::Unavailable(status.message().to_owned())),
        Err(_) => Err(LinkError::Unavailable("timed out".into())),
    }
}

/// The part of a reply that is this room's, dense and from the seq asked for: nothing else is ever used.
fn dense(key: &RoomKey, from: Seq, reply: &proto::EventsReply) -> Vec<StoredEvent> {
    let decoded = reply
        .events
        .iter()
        .map_while(|record| EncodedEvent::decode(record).ok());
    (from.0..)
        .zip(decoded)
        .take_while(|(seq, event)| event.seq.0 == *seq && event.key == *key)
        .map(|(_, event)| event)
        .collect()
}

/// Finds instances and starts a connection to each new address.
async fn find(
    targets: Targets,
    gateway: Arc<str>,
    registry: Arc<Registry>,
    events: mpsc::Sender<LinkEvent>,
    shutdown: Shutdown,
) {
    loop {
        let found = targets.resolve().await;
        // Finding nothing is more likely a failure of the name service than the end of all fanouts.
        if !found.is_empty() {
            for address in registry.want(found) {
                let connection = Connection {
                    address,
                    gateway: Arc::clone(&gateway),
                    registry: Arc::clone(&registry),
                    events: events.clone(),
                    shutdown: shutdown.clone(),
                };
                shutdown.spawn(connection.run());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RESOLVE_INTERVAL) => {}
            () = shutdown.begun() => return,
        }
    }
}
