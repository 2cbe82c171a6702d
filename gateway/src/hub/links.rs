//! What the links to the fanouts say, on its way to the shards whose rooms it is about.

use std::{collections::BTreeSet, sync::Arc};

use roomlog_platform::{
    link::{LinkEvent, LinkId, RoomHead, Said},
    shutdown::Shutdown,
    stored_event::StoredEvent,
};
use tokio::sync::{mpsc, watch};

use super::{Command, Hub, Source};
use crate::metrics;

// === impl Hub ===

impl Hub {
    /// Passes on what the links say until the shutdown.
    pub(super) async fn route(
        self,
        mut links: mpsc::Receiver<LinkEvent>,
        linked: watch::Sender<bool>,
        Source { ear, traces, .. }: Source,
        shutdown: Shutdown,
    ) {
        let mut partition_count = 1;
        let mut owners: BTreeSet<LinkId> = BTreeSet::new();
        loop {
            let event = tokio::select! {
                event = links.recv() => event,
                () = shutdown.begun() => return,
            };
            match event {
                None => return,
                Some(LinkEvent::Up { fanout, .. }) => {
                    tracing::info!(instance = %fanout.instance, group = %fanout.group, "linked to a fanout");
                    partition_count = fanout.partition_count;
                }
                Some(LinkEvent::Down { link }) => {
                    tracing::warn!(link = link.0, "lost a fanout");
                    owners.remove(&link);
                    let none = Arc::from([]);
                    self.tell_owned(link, Arc::clone(&none), none, partition_count)
                        .await;
                }
                Some(LinkEvent::Owned {
                    link,
                    partitions,
                    gained,
                }) => {
                    match partitions.is_empty() {
                        true => owners.remove(&link),
                        false => owners.insert(link),
                    };
                    if !gained.is_empty() {
                        // Whatever happened while nobody told is read again.
                        ear.note_gap();
                        self.presence.note_gap();
                    }
                    self.presence.declare_to(link, &gained, partition_count);
                    self.tell_owned(link, partitions.into(), gained.into(), partition_count)
                        .await;
                }
                Some(LinkEvent::Presences { link, rooms }) => {
                    self.tell_presences(link, rooms).await;
                    continue;
                }
                Some(LinkEvent::Lapsed { link }) => {
                    for shard in self.shards.iter() {
                        // Only fails while the process stops.
                        let _ = shard.send(Command::Lapsed(link)).await;
                    }
                    continue;
                }
                Some(LinkEvent::Signals { signals }) => {
                    for signal in signals {
                        let shard = self.index_of(&signal.key);
                        if self.signals[shard].try_send(signal).is_err() {
                            metrics::signal_lost();
                            // It may have been how far somebody has read, which lists count on.
                            ear.note_gap();
                        }
                    }
                    continue;
                }
                Some(LinkEvent::Forward { events, heads, .. }) => {
                    traces.arrived(&events);
                    self.forward(events, heads).await;
                    continue;
                }
            }
            linked.send_replace(!owners.is_empty());
        }
    }

    async fn tell_owned(
        &self,
        link: LinkId,
        partitions: Arc<[u32]>,
        gained: Arc<[u32]>,
        partition_count: u32,
    ) {
        for shard in self.shards.iter() {
            let command = Command::Owned {
                link,
                partitions: Arc::clone(&partitions),
                gained: Arc::clone(&gained),
                partition_count,
            };
            // Only fails while the process stops.
            let _ = shard.send(command).await;
        }
    }

    async fn tell_presences(&self, link: LinkId, rooms: Vec<Said>) {
        let mut rooms_of: Vec<Vec<Said>> = vec![Vec::new(); self.shards.len()];
        for said in rooms {
            rooms_of[self.index_of(said.key())].push(said);
        }
        for (shard, rooms) in self.shards.iter().zip(rooms_of) {
            if !rooms.is_empty() {
                // Only fails while the process stops.
                let _ = shard.send(Command::Presences(link, rooms)).await;
            }
        }
    }

    async fn forward(&self, events: Vec<StoredEvent>, heads: Vec<RoomHead>) {
        let mut events_of: Vec<Vec<StoredEvent>> = vec![Vec::new(); self.shards.len()];
        for event in events {
            events_of[self.index_of(&event.key)].push(event);
        }
        let mut heads_of: Vec<Vec<RoomHead>> = vec![Vec::new(); self.shards.len()];
        for head in heads {
            heads_of[self.index_of(&head.key)].push(head);
        }
        // Sending only fails while the process stops.
        for (shard, (events, heads)) in self.shards.iter().zip(events_of.into_iter().zip(heads_of))
        {
            if !events.is_empty() {
                let _ = shard.send(Command::Events(events)).await;
            }
            if !heads.is_empty() {
                let _ = shard.send(Command::Heads(heads)).await;
            }
        }
    }
}
