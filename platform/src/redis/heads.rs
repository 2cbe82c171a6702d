//! `{p:<generation>:<partition>}:heads`: the numbering of a partition, written behind by its owners.
//!
//! Scores are doubles, so every number here must stay below 2^53; at a million records a second one partition gets
//! there in 285 years. What can't be told exactly is refused, both ways.

use std::collections::HashMap;

use roomlog_core::{
    ids::{Count, RoomKey, Seq},
    room_log::{Changes, Position, Snapshot},
};

use super::{Cache, CacheError};

/// The next offset to be numbered.
const OFFSET: &str = "@offset";
/// Records accepted before it: what the heads must add up to.
const ACCEPTED: &str = "@accepted";
/// Before a room's name: its head.
const SEQ_MARK: &str = "s:";
/// Before a room's name: its count.
const COUNT_MARK: &str = "c:";

/// Rooms one atomic write may hold: about 5 MB and a tenth of a second of the server. A larger change replaces the set.
pub const CHANGED_ROOMS_MAX: usize = 50_000;

/// Members read, or written to a draft, by one command: about 1 MB, a few milliseconds of the server.
const CHUNK_MEMBERS_MAX: usize = 10_000;

/// How often a set that changes while it is read is read again. A large and busy one takes a few.
const READ_ATTEMPTS_MAX: u32 = 5;

/// How long a draft that was never finished stays.
const DRAFT_TTL_S: u64 = 60;

/// The first number a double can't tell from its neighbour.
const EXACT_END: u64 = 1 << 53;

/// Names one partition's set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadsKey {
    /// The topic's generation.
    pub generation: u32,
    /// The partition.
    pub partition: u32,
}

/// What is read of one room.
#[derive(Default)]
struct Row {
    seq: Option<u64>,
    count: Option<u64>,
}

/// Scores and members, in the order ZADD takes them.
type Members = Vec<(u64, String)>;

// === impl HeadsKey ===

impl HeadsKey {
    fn text(self) -> String {
        format!("{{p:{}:{}}}:heads", self.generation, self.partition)
    }

    /// Where a new set is put together before it takes the old one's place. Each writer has its own, so that no two mix.
    fn draft(self, writer: &str) -> String {
        format!("{}:draft:{writer}", self.text())
    }
}

// === impl Cache ===

impl Cache {
    /// Moves a set forward to a later position: one command, so it happens whole or not at all, and each number only
    /// grows, so an owner that lags behind another one undoes nothing.
    ///
    /// It must stay one command. Who reads the set trusts it where the heads add up to `@accepted`, and that shows rooms
    /// that are missing from a write, yet neither a count without its seq nor a position without its total: with a new
    /// `@offset` beside an old `@accepted` the old heads add up, and records between the two would get no seq.
    ///
    /// # Errors
    /// When the cache did not answer; whether the write happened is unknown.
    pub async fn advance_heads(&self, key: HeadsKey, changes: &Changes) -> Result<(), CacheError> {
        let members = members(key, changes.position, changes.accepted, &changes.heads)?;
        self.add(&key.text(), &members).await
    }

    /// Puts a whole set in the place of the one that is there, unless that one is of a later position. It is put
    /// together under a name of the writer's own, so readers see the old one or the new one.
    ///
    /// # Errors
    /// When the cache did not answer; the old set then most likely stands.
    pub async fn replace_heads(
        &self,
        key: HeadsKey,
        writer: &str,
        snapshot: &Snapshot,
    ) -> Result<(), CacheError> {
        let members = members(key, snapshot.position, snapshot.accepted, &snapshot.heads)?;
        if self
            .totals(key)
            .await?
            .0
            .is_some_and(|offset| offset > snapshot.position.offset as f64)
        {
            return Ok(());
        }
        let draft = key.draft(writer);
        let mut connection = self.connection.clone();
        let _: () = redis::cmd("DEL")
            .arg(&draft)
            .query_async(&mut connection)
            .await?;
        for (chunk, first) in members
            .chunks(CHUNK_MEMBERS_MAX)
            .zip(std::iter::once(true).chain(std::iter::repeat(false)))
        {
            self.add(&draft, chunk).await?;
            if first {
                let mut expire = redis::cmd("EXPIRE");
                let _: () = expire
                    .arg(&draft)
                    .arg(DRAFT_TTL_S)
                    .query_async(&mut connection)
                    .await?;
            }
        }
        let mut swap = redis::pipe();
        swap.atomic();
        swap.cmd("RENAME").arg(&draft).arg(key.text()).ignore();
        // The draft's time to live came along with it.
        swap.cmd("PERSIST").arg(key.text()).ignore();
        let _: () = swap.query_async(&mut connection).await?;
        Ok(())
    }

    /// Reads a whole set as of one moment; `None` when there is none.
    ///
    /// A set too large for one scan may be written to meanwhile. A mixture of two moments could add up by accident,
    /// so what was read counts only if the position before and after is the same.
    ///
    /// # Errors
    /// When the cache did not answer, holds something else, or is written to faster than it can be read.
    pub async fn read_heads(&self, key: HeadsKey) -> Result<Option<Snapshot>, CacheError> {
        for _ in 0..READ_ATTEMPTS_MAX {
            let before = self.totals(key).await?;
            let scores = self.scan(key).await?;
            if self.totals(key).await? == before {
                return snapshot(key, scores).transpose();
            }
        }
        Err(CacheError::Busy(key.text()))
    }

    /// The position and the accepted count of a set, where it has them.
    async fn totals(&self, key: HeadsKey) -> Result<(Option<f64>, Option<f64>), CacheError> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("ZMSCORE");
        command.arg(key.text()).arg(OFFSET).arg(ACCEPTED);
        Ok(command.query_async(&mut connection).await?)
    }

    async fn scan(&self, key: HeadsKey) -> Result<HashMap<String, f64>, CacheError> {
        let mut connection = self.connection.clone();
        let mut scores = HashMap::new();
        let mut cursor = 0_u64;
        loop {
            let (next, chunk): (u64, Vec<(String, f64)>) = redis::cmd("ZSCAN")
                .arg(key.text())
                .arg(cursor)
                .arg("COUNT")
                .arg(CHUNK_MEMBERS_MAX)
                .query_async(&mut connection)
                .await?;
            scores.extend(chunk);
            if next == 0 {
                return Ok(scores);
            }
            cursor = next;
        }
    }

    /// Forgets a set, where it contradicts the log.
    ///
    /// # Errors
    /// When the cache did not answer.
    pub async fn delete_heads(&self, key: HeadsKey) -> Result<(), CacheError> {
        let mut connection = self.connection.clone();
        Ok(redis::cmd("DEL")
            .arg(key.text())
            .query_async(&mut connection)
            .await?)
    }

    async fn add(&self, key: &str, members: &[(u64, String)]) -> Result<(), CacheError> {
        let mut connection = self.connection.clone();
        let mut command = redis::cmd("ZADD");
        command.arg(key).arg("GT");
        for (score, member) in members {
            command.arg(*score).arg(member);
        }
        Ok(command.query_async(&mut connection).await?)
    }
}

fn unusable(key: HeadsKey, reason: impl Into<String>) -> CacheError {
    CacheError::Content {
        key: key.text(),
        reason: reason.into(),
    }
}

/// The members that state a numbering, all of them exact.
fn members(
    key: HeadsKey,
    position: Position,
    accepted: u64,
    heads: &[(RoomKey, Seq, Count)],
) -> Result<Members, CacheError> {
    let offset = u64::try_from(position.offset).map_err(|_| unusable(key, "a negative offset"))?;
    let mut members = Vec::with_capacity(2 * heads.len() + 2);
    members.push((offset, OFFSET.to_owned()));
    members.push((accepted, ACCEPTED.to_owned()));
    for (room, seq, count) in heads {
        members.push((seq.0, format!("{SEQ_MARK}{room}")));
        members.push((count.0, format!("{COUNT_MARK}{room}")));
    }
    match members.iter().find(|(score, _)| *score >= EXACT_END) {
        Some((score, member)) => Err(unusable(
            key,
            format!("{member} is {score}, which a score can't hold"),
        )),
        None => Ok(members),
    }
}

/// What a set states; `None` for one that does not exist.
fn snapshot(
    key: HeadsKey,
    mut scores: HashMap<String, f64>,
) -> Option<Result<Snapshot, CacheError>> {
    if scores.is_empty() {
        return None;
    }
    let mut total = |name| {
        let score = scores
            .remove(name)
            .ok_or_else(|| unusable(key, format!("{name} is missing")))?;
        exact(score).ok_or_else(|| unusable(key, format!("{name} is {score}")))
    };
    let totals = (total(OFFSET), total(ACCEPTED));
    Some((|| {
        let (offset, accepted) = (totals.0?, totals.1?);
        let offset = i64::try_from(offset).map_err(|_| unusable(key, "the offset is too large"))?;
        let mut rows = HashMap::<RoomKey, Row>::new();
        for (member, score) in scores {
            let number =
                exact(score).ok_or_else(|| unusable(key, format!("{member} is {score}")))?;
            let (mark, room) = member.split_at_checked(SEQ_MARK.len()).unwrap_or_default();
            let room =
                RoomKey::parse(room).map_err(|_| unusable(key, format!("no room: {member:?}")))?;
            let row = rows.entry(room).or_default();
            match mark {
                SEQ_MARK => row.seq = Some(number),
                COUNT_MARK => row.count = Some(number),
                _ => return Err(unusable(key, format!("an unknown member {member:?}"))),
            }
        }
        let heads = rows
            .into_iter()
            .map(|(room, row)| match (row.seq, row.count) {
                (Some(seq), Some(count)) => Ok((room, Seq(seq), Count(count))),
                _ => Err(unusable(key, format!("half of {room} is missing"))),
            });
        let heads = heads.collect::<Result<_, _>>()?;
        let position = Position {
            generation: key.generation,
            offset,
        };
        Ok(Snapshot {
            position,
            accepted,
            heads,
        })
    })())
}

fn exact(score: f64) -> Option<u64> {
    let fits = score >= 0.0 && score < EXACT_END as f64 && score.fract() == 0.0;
    fits.then_some(score as u64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: HeadsKey = HeadsKey {
        generation: 2,
        partition: 7,
    };

    fn read(pairs: &[(&str, f64)]) -> Option<Result<Snapshot, CacheError>> {
        let scores = pairs
            .iter()
            .map(|(member, score)| ((*member).to_owned(), *score));
        snapshot(KEY, scores.collect())
    }

    #[test]
    fn a_set_is_read_as_it_was_written() {
        let heads = vec![(RoomKey::parse("a").unwrap(), Seq(3), Count(2))];
        let position = Position {
            generation: 2,
            offset: 9,
        };
        let written = members(KEY, position, 3, &heads).unwrap();
        let scores = written
            .into_iter()
            .map(|(score, member)| (member, score as f64));
        let stored = snapshot(KEY, scores.collect()).unwrap().unwrap();
        assert_eq!(
            stored,
            Snapshot {
                position,
                accepted: 3,
                heads
            }
        );
    }

    #[test]
    fn a_missing_set_is_none_and_a_broken_one_an_error() {
        assert!(read(&[]).is_none());
        let totals = [(OFFSET, 5.0), (ACCEPTED, 1.0)];
        for broken in [
            &[("s:a", 1.0), ("c:a", 1.0)][..],
            &[totals[0], totals[1], ("s:a", 1.0)],
            &[totals[0], totals[1], ("s:a", 1.5), ("c:a", 1.0)],
            &[totals[0], totals[1], ("s:a", -1.0), ("c:a", 1.0)],
            &[totals[0], totals[1], ("x:a", 1.0)],
            &[totals[0], totals[1], ("é", 1.0)],
            &[totals[0], (ACCEPTED, f64::INFINITY)],
        ] {
            assert!(read(broken).unwrap().is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_number_a_score_can_not_hold_is_refused() {
        let position = Position {
            generation: 2,
            offset: 9,
        };
        assert!(members(KEY, position, EXACT_END - 1, &[]).is_ok());
        assert!(members(KEY, position, EXACT_END, &[]).is_err());
        assert_eq!(exact(EXACT_END as f64), None);
    }
}
