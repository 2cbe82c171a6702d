//! Read marks on their way to the log: the latest of each user and room, in batches.

use std::{collections::HashMap, sync::Arc, time::Duration};

use roomlog_core::{
    code::{Code, Refusal},
    ids::{RoomId, RoomKey, UserId},
    signal::Signal,
    unread::{Positions, ReadPosition},
};
use roomlog_platform::{
    kafka::{Outgoing, Producer, READS_TOPIC},
    link::Links,
    shutdown::Shutdown,
};
use roomlog_schemas::{ReadPositions, encode_reads};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use crate::{
    hub::{Source, unsent},
    readers::Readers,
    room_list::{Ear, Heard},
};

/// How long marks are gathered before they go out: at most the latest of a member per room in this time.
const GATHER: Duration = Duration::from_millis(250);
/// Marks that wait to be gathered. Beyond it a mark is refused `overloaded`; the next one makes up for it.
const MARKS_MAX: usize = 8_192;
/// Positions in one record: some 40 KiB.
const POSITIONS_MAX: usize = 1_000;

/// Where marks go.
#[derive(Clone, Debug)]
pub(crate) struct ReadMarks {
    marks: mpsc::Sender<Mark>,
    ear: Ear,
}

#[derive(Debug)]
struct Mark {
    room: RoomId,
    user: UserId,
    position: ReadPosition,
    done: oneshot::Sender<Result<(), Refusal>>,
}

/// One room's marks of one batch.
#[derive(Debug, Default)]
struct Batch {
    positions: Positions<UserId>,
    done: Vec<oneshot::Sender<Result<(), Refusal>>>,
}

// === impl ReadMarks ===

impl ReadMarks {
    /// Starts gathering.
    pub(crate) fn start(producer: Producer, source: &Source, shutdown: &Shutdown) -> Self {
        let (marks, received) = mpsc::channel(MARKS_MAX);
        let (links, readers) = (Arc::clone(&source.links), source.readers.clone());
        shutdown.spawn(gather(producer, links, readers, received, shutdown.clone()));
        Self {
            marks,
            ear: source.ear.clone(),
        }
    }

    /// Marks read, and waits until the log has it.
    pub(crate) async fn mark(
        &self,
        key: &RoomKey,
        user: &UserId,
        position: ReadPosition,
    ) -> Result<(), Refusal> {
        let overloaded = || Refusal::retry_after(Code::Overloaded, "too many marks wait", 1_000);
        let Some(room) = key.room() else {
            return Ok(());
        };
        let (done, outcome) = oneshot::channel();
        let mark = Mark {
            room,
            user: user.clone(),
            position,
            done,
        };
        self.marks.try_send(mark).map_err(|_| overloaded())?;
        // The user's own devices here need not wait for it to come around.
        self.ear.tell(Heard::Read {
            key: key.clone(),
            user: user.clone(),
            position,
        });
        outcome.await.map_err(|_| overloaded())?
    }
}

async fn gather(
    producer: Producer,
    links: Arc<Links>,
    readers: Readers,
    mut marks: mpsc::Receiver<Mark>,
    shutdown: Shutdown,
) {
    let mut taken = Vec::new();
    loop {
        let first = tokio::select! {
            mark = marks.recv() => mark,
            () = shutdown.begun() => None,
        };
        let Some(first) = first else {
            return;
        };
        sleep(GATHER).await;
        taken.push(first);
        while let Ok(mark) = marks.try_recv() {
            taken.push(mark);
        }
        let rooms = by_room(taken.drain(..));
        readers.read(positions(&rooms));
        for (room, batch) in rooms {
            tell(&links, &room, &batch);
            send(&producer, room, batch);
        }
    }
}

fn positions(rooms: &HashMap<RoomId, Batch>) -> Vec<(RoomKey, UserId, ReadPosition)> {
    let batches = rooms.iter().flat_map(|(room, batch)| {
        let key = RoomKey::from(room);
        let positions = batch.positions.iter();
        positions.map(move |(user, at)| (key.clone(), user.clone(), at))
    });
    batches.collect()
}

/// Tells whoever watches the room, wherever they are. What is lost on the way is read from the store.
fn tell(links: &Links, room: &RoomId, batch: &Batch) {
    let key = RoomKey::from(room);
    for (user, at) in batch.positions.iter() {
        let signal = Signal::Read {
            user: user.clone(),
            seq: at.seq,
            count: at.count,
        };
        links.signal(&key, signal);
    }
}

/// Keeps the furthest mark of each user.
fn by_room(marks: impl Iterator<Item = Mark>) -> HashMap<RoomId, Batch> {
    let mut rooms: HashMap<RoomId, Batch> = HashMap::new();
    for mark in marks {
        let batch = rooms.entry(mark.room).or_default();
        batch.positions.note(mark.user, mark.position);
        batch.done.push(mark.done);
    }
    rooms
}

/// Produces a room's marks and tells who waits once the log has them.
fn send(producer: &Producer, room: RoomId, batch: Batch) {
    let positions: Vec<_> = batch
        .positions
        .into_iter()
        .map(|(user, at)| roomlog_schemas::ReadPosition {
            user,
            seq: at.seq,
            count: at.count,
        })
        .collect();
    let mut sent = Vec::new();
    for positions in positions.chunks(POSITIONS_MAX) {
        let reads = ReadPositions {
            room: room.clone(),
            positions: positions.to_vec(),
        };
        sent.push(producer.send(
            READS_TOPIC,
            Outgoing {
                key: room.as_str().as_bytes(),
                value: &encode_reads(&reads),
                headers: std::iter::empty::<(&str, &[u8])>().collect(),
                partition: None,
            },
        ));
    }
    tokio::spawn(async move {
        let mut outcome = Ok(());
        for delivery in sent {
            let acknowledged = match delivery {
                Ok(delivery) => delivery.await.map(drop),
                Err(error) => Err(error),
            };
            outcome = outcome.and(acknowledged.map_err(|error| unsent(&error)));
        }
        for done in batch.done {
            // Who asked may be gone.
            let _ = done.send(outcome.clone());
        }
    });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use roomlog_core::ids::{Count, Seq};

    use super::*;

    #[test]
    fn only_the_furthest_mark_of_a_user_goes_out() {
        let mark = |user: &str, seq| Mark {
            room: RoomId::parse("r").unwrap(),
            user: UserId::parse(user).unwrap(),
            position: ReadPosition::at(Seq(seq), Count(seq)),
            done: oneshot::channel().0,
        };
        let marks = [mark("a", 3), mark("a", 9), mark("b", 1), mark("a", 5)];
        let rooms = by_room(marks.into_iter());
        let batch = &rooms[&RoomId::parse("r").unwrap()];
        assert_eq!(batch.done.len(), 4);
        let at = |seq| Some(ReadPosition::at(Seq(seq), Count(seq)));
        let of = |user| batch.positions.of(&UserId::parse(user).unwrap());
        assert_eq!((of("a"), of("b")), (at(9), at(1)));
    }
}
