//! `roomlog replay`: the log itself as JSON lines, numbered as the services number it.
//!
//! It reads with a consumer of its own, outside every group, and writes nothing. Content that was deleted later is not
//! shown, so each partition is read twice: once for its deletions.

use std::{collections::HashMap, io::Write as _, ops::Range};

use anyhow::{Context as _, bail};
use clap::Args;
use roomlog_core::{
    amendment::{Amendment, Amendments},
    event::{Kind, Numbered},
    ids::{RoomId, RoomKey},
    partition::partition_of,
    room_log::{Outcome, RoomLog, Spec},
};
use roomlog_platform::{
    config::Config,
    dynamo::Store,
    kafka::{EVENTS_TOPIC, KafkaConfig, LogRecord, Reader, topics},
    stored_event::StoredEvent,
};
use roomlog_schemas::json;
use serde_json::Value;

use crate::role::adopt_schema_ids;

/// Records taken at once; a batch is printed before the next is read.
const BATCH_RECORDS_MAX: usize = 1_000;

/// Numbers are the same in every generation; a replay reads one topic.
const GENERATION: u32 = 1;

/// Options of `roomlog replay`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only this room.
    #[arg(long, value_name = "ID")]
    room: Option<String>,
    /// Only this partition.
    #[arg(long, conflicts_with = "room", value_name = "N")]
    partition: Option<u32>,
    /// Only these offsets of the partition, `FROM..TO`, the end excluded.
    #[arg(long, value_parser = offsets, requires = "partition", value_name = "FROM..TO")]
    offsets: Option<Range<i64>>,
    /// Only events appended at or after this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    from: Option<jiff::Timestamp>,
    /// Only events appended before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    to: Option<jiff::Timestamp>,
    /// The topic: another one than the first where that was succeeded.
    #[arg(long, value_name = "NAME", default_value = EVENTS_TOPIC)]
    topic: String,
    /// Show what was deleted, too.
    #[arg(long)]
    raw: bool,
}

/// A partition to be read.
struct Log {
    reader: Reader,
    spec: Spec,
    /// Rooms begin with seq 1 here. In a topic that succeeds another they go on.
    begins_anew: bool,
}

/// What to print of what is read.
struct Selection {
    room: Option<RoomId>,
    offsets: Range<i64>,
    times_ms: Range<i64>,
}

pub(crate) async fn run(options: Options, config: &Config) -> anyhow::Result<()> {
    adopt_schema_ids(config).await?;
    let kafka = KafkaConfig::from(&config.kafka);
    let topic = options.topic;
    let partition_count = topics::describe(&kafka, &topic).await?.partition_count;
    let room = options
        .room
        .as_deref()
        .map(RoomId::parse)
        .transpose()
        .context("--room")?;
    let partitions = match (&room, options.partition) {
        (Some(room), _) => {
            let partition = partition_of(room.as_str().as_bytes(), partition_count);
            partition..partition + 1
        }
        (None, Some(partition)) if partition < partition_count => partition..partition + 1,
        (None, Some(partition)) => {
            bail!("--partition {partition}: the topic has {partition_count}")
        }
        (None, None) => 0..partition_count,
    };
    let selection = Selection {
        room,
        offsets: options.offsets.unwrap_or(0..i64::MAX),
        times_ms: options.from.map_or(i64::MIN, |time| time.as_millisecond())
            ..options.to.map_or(i64::MAX, |time| time.as_millisecond()),
    };
    if options.raw {
        eprintln!("--raw: content that its authors or moderators deleted is shown");
    }
    let mut log = Log {
        reader: Reader::new(&kafka, &topic, "roomlog-replay")?,
        spec: Spec {
            partition: 0,
            partition_count,
            window_offsets: window(config, &topic).await,
        },
        begins_anew: topic == EVENTS_TOPIC,
    };
    for partition in partitions {
        log.spec.partition = partition;
        replay(&log, &selection, options.raw).await?;
    }
    Ok(())
}

/// The duplicate window recorded when the topic was made, which the services number by. A store that does not tell it
/// keeps nobody from reading the log: the configured one is taken, and the reader told.
async fn window(config: &Config, topic: &str) -> i64 {
    let configured = i64::from(config.topics.window_offsets);
    let reason = match Store::connect(&config.dynamodb).await.topic(topic).await {
        Ok(Some(recorded)) => return recorded.window_offsets,
        Ok(None) => "no row of it".to_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!(
        "the duplicate window of {topic} can't be learned from the store ({reason}); {configured} offsets are taken \
         (ROOMLOG_TOPICS_WINDOW_OFFSETS), and where that is not what was recorded, numbers may differ from the services'"
    );
    configured
}

/// What is known of deleted content of one partition.
#[derive(Default)]
struct Deleted {
    rooms: HashMap<RoomKey, Amendments>,
    /// Where retention has taken the numbers, it can't be told which message a deletion is about: everything said in
    /// the room before its last one, at this offset, is held back.
    unnumbered: HashMap<RoomKey, i64>,
}

/// One partition from its beginning, as numbers follow from all that came before, up to its end as of now.
async fn replay(log: &Log, selection: &Selection, raw: bool) -> anyhow::Result<()> {
    let partition = log.spec.partition;
    let bounds = log.reader.watermarks(partition).await?;
    let bounds = bounds.low..bounds.high;
    if !log.begins_anew && !bounds.is_empty() {
        eprintln!(
            "partition {partition}: the topic succeeds another one, so events are shown without numbers"
        );
    } else if bounds.start > 0 && !bounds.is_empty() {
        eprintln!(
            "partition {partition}: retention has removed the first {} records, so events are shown without numbers",
            bounds.start
        );
    }
    let mut deleted = Deleted::default();
    if !raw {
        read(log, bounds.clone(), |record, place| {
            deleted.note(record, place);
            Ok(())
        })
        .await?;
    }
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let wanted = bounds.start..bounds.end.min(selection.offsets.end);
    read(log, wanted, |record, place| {
        if selection.holds(record)
            && let Some(line) = line(record, place, &deleted)?
        {
            writeln!(out, "{line}")?;
        }
        Ok(())
    })
    .await?;
    Ok(out.flush()?)
}

/// Visits every event of some offsets, with its place where the log begins with the first of them.
async fn read(
    log: &Log,
    offsets: Range<i64>,
    mut visit: impl FnMut(&LogRecord, Option<Outcome>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // Numbers are right only from a log's first record on. What is a retry follows from the records just before it.
    let is_whole = log.begins_anew && offsets.start == 0;
    let mut numbers = RoomLog::empty(log.spec, GENERATION);
    let mut stream = log.reader.open(log.spec.partition, offsets.start);
    let mut next = offsets.start;
    while next < offsets.end {
        let batch = stream.next_batch(BATCH_RECORDS_MAX).await?;
        next = batch.next_offset;
        let ours = batch
            .records
            .iter()
            .filter(|record| record.offset < offsets.end);
        for record in ours {
            let place = numbers.apply(&record.as_ref(GENERATION));
            let is_again = matches!(place, Outcome::Duplicate { .. } | Outcome::Foreign(_));
            if !is_again && !record.is_carried() {
                visit(record, is_whole.then_some(place))?;
            }
        }
    }
    Ok(())
}

/// The record as an event with the numbers it has; `None` where its key names neither a room nor an inbox.
fn stored(record: &LogRecord, place: Option<Outcome>) -> Option<StoredEvent> {
    let (seq, count) = match place {
        Some(Outcome::Accepted { seq, count }) => (seq, count),
        _ => Default::default(),
    };
    record.stored(seq, count)
}

/// An event as clients see it, with its partition and offset, and without numbers where there are none. `None` for a
/// record whose key names neither a room nor an inbox.
fn line(
    record: &LogRecord,
    place: Option<Outcome>,
    deleted: &Deleted,
) -> anyhow::Result<Option<Value>> {
    let Some(stored) = stored(record, place) else {
        return Ok(None);
    };
    let (seq, count, at_ms) = (stored.seq, stored.count, stored.at_ms);
    let body = match stored.event() {
        Ok(event) => {
            let numbered = Numbered {
                seq,
                count,
                at_ms,
                event,
            };
            if deleted.hides(&numbered, record.offset) {
                json::deleted_body(&numbered)
            } else {
                json::event_body(&numbered, false)
            }
        }
        Err(_) => json::unreadable_body(json::Place {
            key: &stored.key,
            seq,
            count,
            at_ms,
            id: &stored.id,
            sender: &stored.sender,
        }),
    };
    let mut line: Value = serde_json::from_slice(&body)?;
    if place.is_none() {
        line["seq"] = Value::Null;
        line["count"] = Value::Null;
    }
    line["partition"] = record.partition.into();
    line["offset"] = record.offset.into();
    Ok(Some(line))
}

fn offsets(text: &str) -> Result<Range<i64>, String> {
    let parsed = text
        .split_once("..")
        .and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    parsed
        .filter(|range: &Range<i64>| range.start >= 0 && range.start < range.end)
        .ok_or_else(|| {
            "expected FROM..TO, two offsets, the first one smaller, like 1000..2000".to_owned()
        })
}

// === impl Deleted ===

impl Deleted {
    fn note(&mut self, record: &LogRecord, place: Option<Outcome>) {
        let Some(stored) = stored(record, place).filter(|stored| stored.kind == Kind::Delete)
        else {
            return;
        };
        let Ok(event) = stored.event() else {
            return;
        };
        match place {
            None => drop(self.unnumbered.insert(stored.key, record.offset)),
            Some(_) => {
                let deletion = Amendment::of(&event, stored.seq, stored.at_ms);
                self.rooms.entry(stored.key).or_default().extend(deletion);
            }
        }
    }

    fn hides(&self, numbered: &Numbered, offset: i64) -> bool {
        let (event, kind) = (&numbered.event, numbered.event.body.kind());
        let last = self.unnumbered.get(&event.key);
        let held_back =
            (kind.is_amendable() || kind == Kind::Edit) && last.is_some_and(|last| offset < *last);
        let known = self.rooms.get(&event.key);
        held_back || known.is_some_and(|known| known.hides(event, numbered.seq))
    }
}

// === impl Selection ===

impl Selection {
    fn holds(&self, record: &LogRecord) -> bool {
        let in_room = self
            .room
            .as_ref()
            .is_none_or(|room| record.key == room.as_str());
        in_room
            && self.offsets.contains(&record.offset)
            && self.times_ms.contains(&record.append_time_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_offsets_goes_up() {
        assert_eq!(offsets("10..20"), Ok(10..20));
        for bad in ["", "5", "20..10", "10..10", "-1..5", "a..b", "1..=5"] {
            assert!(offsets(bad).is_err(), "{bad:?}");
        }
    }
}
