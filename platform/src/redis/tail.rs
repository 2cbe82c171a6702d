//! `{r:<room>}:tail`: a room's recent events, a stream whose entry ids are `<seq>-0`.

use std::ops::RangeInclusive;

use bytes::Bytes;
use redis::streams::StreamRangeReply;
use roomlog_core::ids::{RoomKey, Seq};

use super::{Cache, CacheError};
use crate::{link::EncodedEvent, stored_event::StoredEvent};

/// About how many events a tail keeps: what most clients miss in a short absence. Older ones come from DynamoDB.
pub const TAIL_EVENTS_MAX: usize = 500;

/// The one field of an entry: the event as the link encodes it.
const FIELD: &str = "e";

fn tail_key(key: &RoomKey) -> String {
    format!("{{r:{key}}}:tail")
}

impl Cache {
    /// Appends events to the tails of their rooms, in one round trip. An event a tail already has or is past of stays
    /// as it is: the same seq always means the same event.
    ///
    /// # Errors
    /// When the cache did not answer; what was appended is unknown and may leave a hole, which readers notice.
    pub async fn append_tails(&self, events: &[EncodedEvent]) -> Result<(), CacheError> {
        if events.is_empty() {
            return Ok(());
        }
        let mut pipe = redis::pipe();
        for event in events {
            pipe.cmd("XADD")
                .arg(tail_key(&event.key))
                .arg(&["MAXLEN", "~"])
                .arg(TAIL_EVENTS_MAX)
                .arg(format!("{}-0", event.seq))
                .arg(FIELD)
                .arg(&event.record[..]);
        }
        let mut connection = self.connection.clone();
        // The answers are not looked at: the only refusal a healthy server has is "not greater than the last id".
        let _: redis::Value = pipe.ignore_errors().query_async(&mut connection).await?;
        Ok(())
    }

    /// Events of a room: dense and beginning exactly at the start of the range, possibly ending before its end; empty
    /// where the tail does not reach back that far.
    ///
    /// # Errors
    /// When the cache did not answer.
    pub async fn tail(
        &self,
        key: &RoomKey,
        range: RangeInclusive<Seq>,
    ) -> Result<Vec<StoredEvent>, CacheError> {
        let mut connection = self.connection.clone();
        let reply: StreamRangeReply = redis::cmd("XRANGE")
            .arg(tail_key(key))
            .arg(format!("{}-0", range.start()))
            .arg(format!("{}-0", range.end()))
            .query_async(&mut connection)
            .await?;
        let entries = reply.ids.iter().map_while(|entry| {
            let record: Bytes = entry.get::<Vec<u8>>(FIELD)?.into();
            EncodedEvent::decode(&record).ok()
        });
        // A hole ends what is used, as does anything that is not this room's.
        let dense = (range.start().0..)
            .zip(entries)
            .take_while(|(seq, event)| event.seq.0 == *seq && event.key == *key);
        Ok(dense.map(|(_, event)| event).collect())
    }
}
