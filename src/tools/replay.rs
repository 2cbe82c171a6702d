//! `roomlog replay`: the log itself as JSON lines, numbered as the services number it.
//!
//! It reads with a consumer of its own, outside every group, and writes nothing.

use std::{io::Write as _, ops::Range};

use anyhow::{Context as _, bail};
use clap::Args;
use roomlog_core::{
    event::Numbered,
    ids::RoomId,
    partition::partition_of,
    room_log::{Outcome, RoomLog, Spec},
};
use roomlog_platform::{
    config::Config,
    kafka::{EVENTS_TOPIC, KafkaConfig, LogRecord, Reader, topics},
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
    let partition_count = topics::describe(&kafka, EVENTS_TOPIC)
        .await?
        .partition_count;
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
    let reader = Reader::new(&kafka, EVENTS_TOPIC, "roomlog-replay")?;
    for partition in partitions {
        let spec = Spec {
            partition,
            partition_count,
            window_offsets: config.topics.window_offsets.into(),
        };
        replay(&reader, spec, &selection).await?;
    }
    Ok(())
}

/// One partition from its beginning, as numbers follow from all that came before, up to its end as of now.
async fn replay(reader: &Reader, spec: Spec, selection: &Selection) -> anyhow::Result<()> {
    let bounds = reader.watermarks(spec.partition).await?;
    let mut numbers = (bounds.low == 0).then(|| RoomLog::empty(spec, GENERATION));
    if numbers.is_none() && bounds.high > bounds.low {
        eprintln!(
            "partition {}: retention has removed the first {} records, so events are shown without numbers",
            spec.partition, bounds.low
        );
    }
    let mut stream = reader.open(spec.partition, bounds.low);
    let mut next = bounds.low;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    while next < bounds.high.min(selection.offsets.end) {
        let batch = stream.next_batch(BATCH_RECORDS_MAX).await?;
        next = batch.next_offset;
        let ours = batch
            .records
            .iter()
            .filter(|record| record.offset < bounds.high);
        for record in ours {
            let place = numbers
                .as_mut()
                .map(|numbers| numbers.apply(&record.as_ref(GENERATION)));
            let unplaced = matches!(place, Some(Outcome::Duplicate { .. } | Outcome::Foreign(_)));
            if unplaced || !selection.holds(record) {
                continue;
            }
            if let Some(line) = line(record, place)? {
                writeln!(out, "{line}")?;
            }
        }
    }
    Ok(out.flush()?)
}

/// An event as clients see it, with its partition and offset, and without numbers where there are none. `None` for a
/// record whose key names neither a room nor an inbox.
fn line(record: &LogRecord, place: Option<Outcome>) -> anyhow::Result<Option<Value>> {
    let (seq, count) = match place {
        Some(Outcome::Accepted { seq, count }) => (seq, count),
        _ => Default::default(),
    };
    let Some(stored) = record.stored(seq, count) else {
        return Ok(None);
    };
    let at_ms = stored.at_ms;
    let body = match stored.event() {
        Ok(event) => json::event_body(
            &Numbered {
                seq,
                count,
                at_ms,
                event,
            },
            false,
        ),
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
