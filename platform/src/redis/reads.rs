//! `{r:<room>}:reads` and `:readc`: how far each member of a room has read, by seq and by count.
//!
//! How many have read a message is one range count. A set holds exactly the members once it is built from the store;
//! from then on every writer moves it along: positions only of those who are in it and only forward, joins and leaves
//! by whoever folds the room's state. Whether a set may be believed is said by a mark in it that names the run of the
//! server and the era: a server that was restarted, perhaps with old contents, is another run, and whoever may have
//! lost writes begins another era. What is not marked so is built again.

use std::time::{SystemTime, UNIX_EPOCH};

use redis::{FromRedisValue, Value};
use roomlog_core::{
    ids::{RoomKey, Seq, UserId},
    unread::ReadPosition,
};

use super::{Cache, CacheError};

/// Changes in one pipeline: some 100 KiB.
const PIPELINE_MAX: usize = 500;
/// How long sets are kept after they were built: rooms nobody asks about take no memory.
const KEPT_S: u64 = 86_400;
/// Counts the eras; see the module.
const ERA: &str = "reads:era";
/// Before what a set's mark names. No user's id begins so, and its score is below every position.
const MARK: &str = "@believed:";
const MARK_SCORE: i64 = -1;

/// What happens to somebody's place in a room's sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderMove {
    /// They have read on, if they are a member.
    Read(ReadPosition),
    /// They are a member now, and have read up to here.
    Joined(ReadPosition),
    /// They are none any more.
    Left,
}

/// What a set must be marked with to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Belief(String);

/// Some of those who have read an event, the furthest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadersPage {
    /// All who have.
    pub total: u64,
    /// The part that was asked for.
    pub readers: Vec<(UserId, Seq)>,
}

fn seqs_key(key: &RoomKey) -> String {
    format!("{{r:{key}}}:reads")
}

fn counts_key(key: &RoomKey) -> String {
    format!("{{r:{key}}}:readc")
}

// === impl ReaderMove ===

impl ReaderMove {
    /// What two moves come to, this one first.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Read(a), Self::Read(b)) => Self::Read(a.max(b)),
            (Self::Joined(a), Self::Read(b) | Self::Joined(b))
            | (Self::Read(a), Self::Joined(b)) => Self::Joined(a.max(b)),
            // Reading does not make a member.
            (Self::Left, Self::Read(_)) | (_, Self::Left) => Self::Left,
            (Self::Left, Self::Joined(b)) => Self::Joined(b),
        }
    }
}

// === impl Cache ===

impl Cache {
    /// Moves places in rooms' sets, each at most once, many in one round trip.
    ///
    /// # Errors
    /// When the cache did not answer; what was moved is unknown, and may be moved again.
    pub async fn move_readers(
        &self,
        moves: &[(RoomKey, UserId, ReaderMove)],
    ) -> Result<(), CacheError> {
        for moves in moves.chunks(PIPELINE_MAX) {
            let mut pipe = redis::pipe();
            for (key, user, change) in moves {
                let (seqs, counts) = (seqs_key(key), counts_key(key));
                match change {
                    ReaderMove::Read(at) => {
                        add(&mut pipe, &seqs, &["XX", "GT"], at.seq.0, user);
                        add(&mut pipe, &counts, &["XX", "GT"], at.count.0, user);
                    }
                    ReaderMove::Joined(at) => {
                        add(&mut pipe, &seqs, &["GT"], at.seq.0, user);
                        add(&mut pipe, &counts, &["GT"], at.count.0, user);
                        // A set that nobody built is not kept for ever.
                        for set in [&seqs, &counts] {
                            pipe.cmd("EXPIRE").arg(set).arg(KEPT_S).arg("NX").ignore();
                        }
                    }
                    ReaderMove::Left => {
                        for set in [&seqs, &counts] {
                            pipe.cmd("ZREM").arg(set).arg(user.as_str()).ignore();
                        }
                    }
                }
            }
            let mut connection = self.connection.clone();
            let _: Value = pipe.query_async(&mut connection).await?;
        }
        Ok(())
    }

    /// Begins a new era: no set is believed until it is built again.
    ///
    /// # Errors
    /// When the cache did not answer.
    pub async fn doubt_readers(&self) -> Result<(), CacheError> {
        let mut connection = self.connection.clone();
        let _: u64 = redis::cmd("INCR")
            .arg(ERA)
            .query_async(&mut connection)
            .await?;
        Ok(())
    }

    /// How many have read each of these events; `None` where the room's set is not to be believed.
    ///
    /// # Errors
    /// When the cache did not answer.
    pub async fn read_counts(
        &self,
        key: &RoomKey,
        seqs: &[Seq],
    ) -> Result<Option<Vec<u64>>, CacheError> {
        let mut pipe = believing(key);
        for seq in seqs {
            pipe.cmd("ZCOUNT").arg(seqs_key(key)).arg(seq.0).arg("+inf");
        }
        let Some(answers) = self.believed(&pipe).await? else {
            return Ok(None);
        };
        let counts = answers.into_iter().map(value);
        counts.collect::<Result<_, _>>().map(Some)
    }

    /// Those who have read an event, the furthest first, after so many of them; `None` where the room's set is not to
    /// be believed.
    ///
    /// # Errors
    /// When the cache did not answer.
    pub async fn readers(
        &self,
        key: &RoomKey,
        seq: Seq,
        (skipped, limit): (u64, u64),
    ) -> Result<Option<ReadersPage>, CacheError> {
        let mut pipe = believing(key);
        let set = seqs_key(key);
        pipe.cmd("ZCOUNT").arg(&set).arg(seq.0).arg("+inf");
        pipe.cmd("ZREVRANGEBYSCORE")
            .arg(&set)
            .arg("+inf")
            .arg(seq.0)
            .arg("WITHSCORES")
            .arg("LIMIT")
            .arg(skipped)
            .arg(limit);
        let Some(answers) = self.believed(&pipe).await? else {
            return Ok(None);
        };
        let mut answers = answers.into_iter();
        let total = value(answers.next().unwrap_or(Value::Nil))?;
        let pairs: Vec<(String, f64)> = value(answers.next().unwrap_or(Value::Nil))?;
        let readers = pairs.into_iter().filter_map(|(user, seq)| {
            // Scores of ours are whole numbers a double can hold.
            Some((UserId::parse(&user).ok()?, Seq(seq as u64)))
        });
        Ok(Some(ReadersPage {
            total,
            readers: readers.collect(),
        }))
    }

    /// What a set that is built from now on is to be marked with.
    ///
    /// A server that lost everything begins with an era of its own, so that a set built across that loss is not taken for
    /// one built after it.
    ///
    /// # Errors
    /// When the cache did not answer.
    pub async fn belief(&self) -> Result<Belief, CacheError> {
        let mut pipe = redis::pipe();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let first_era = now.map_or(1, |now| now.as_secs());
        pipe.cmd("SET").arg(ERA).arg(first_era).arg("NX").ignore();
        pipe.cmd("INFO").arg("server");
        pipe.cmd("GET").arg(ERA);
        let mut connection = self.connection.clone();
        let (info, era): (String, Option<u64>) = pipe.query_async(&mut connection).await?;
        Ok(Belief::of(&info, era))
    }

    /// The first half of building a set: puts in who is a member and takes out who is none.
    ///
    /// # Errors
    /// When the cache did not answer; then the set is built from the beginning.
    pub async fn fill_readers(
        &self,
        key: &RoomKey,
        rows: &[(UserId, Option<ReadPosition>)],
    ) -> Result<(), CacheError> {
        let moves = rows.iter().map(|(user, position)| {
            let change = position.map_or(ReaderMove::Left, ReaderMove::Joined);
            (key.clone(), user.clone(), change)
        });
        self.move_readers(&moves.collect::<Vec<_>>()).await
    }

    /// The second half, with rows read after the first: what changed in between may have missed the set. Marks it.
    ///
    /// # Errors
    /// When the cache did not answer; then the set is built from the beginning.
    pub async fn settle_readers(
        &self,
        key: &RoomKey,
        rows: &[(UserId, Option<ReadPosition>)],
        belief: &Belief,
    ) -> Result<(), CacheError> {
        let moves = rows.iter().map(|(user, position)| {
            let change = position.map_or(ReaderMove::Left, ReaderMove::Read);
            (key.clone(), user.clone(), change)
        });
        self.move_readers(&moves.collect::<Vec<_>>()).await?;
        let mut pipe = redis::pipe();
        let seqs = seqs_key(key);
        // Marks of earlier runs and eras.
        pipe.cmd("ZREMRANGEBYSCORE")
            .arg(&seqs)
            .arg("-inf")
            .arg(MARK_SCORE);
        pipe.cmd("ZADD").arg(&seqs).arg(MARK_SCORE).arg(&belief.0);
        for set in [&seqs, &counts_key(key)] {
            pipe.cmd("EXPIRE").arg(set).arg(KEPT_S);
        }
        let mut connection = self.connection.clone();
        let _: Value = pipe.query_async(&mut connection).await?;
        Ok(())
    }

    /// What a pipeline that begins with [`believing`] answers after that.
    async fn believed(&self, pipe: &redis::Pipeline) -> Result<Option<Vec<Value>>, CacheError> {
        let mut connection = self.connection.clone();
        let mut answers: Vec<Value> = pipe.query_async(&mut connection).await?;
        if answers.len() < BELIEVING {
            return Ok(None);
        }
        let rest = answers.split_off(BELIEVING);
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or(Value::Nil);
        let (info, era, marks): (String, Option<u64>, Vec<String>) =
            (value(next())?, value(next())?, value(next())?);
        let belief = Belief::of(&info, era);
        Ok(marks.contains(&belief.0).then_some(rest))
    }
}

/// Commands [`believing`] puts before others.
const BELIEVING: usize = 3;

/// Asks, in the same moment as what follows, whether a room's set is to be believed.
fn believing(key: &RoomKey) -> redis::Pipeline {
    let mut pipe = redis::pipe();
    pipe.atomic();
    pipe.cmd("INFO").arg("server");
    pipe.cmd("GET").arg(ERA);
    pipe.cmd("ZRANGEBYSCORE")
        .arg(seqs_key(key))
        .arg("-inf")
        .arg(MARK_SCORE);
    pipe
}

fn add(pipe: &mut redis::Pipeline, set: &str, options: &[&str], score: u64, user: &UserId) {
    pipe.cmd("ZADD")
        .arg(set)
        .arg(options)
        .arg(score)
        .arg(user.as_str())
        .ignore();
}

fn value<T: FromRedisValue>(value: Value) -> Result<T, CacheError> {
    let read = redis::from_redis_value(value);
    read.map_err(|error| CacheError::Command(error.into()))
}

// === impl Belief ===

impl Belief {
    /// A server that does not tell its run is believed by the era alone.
    fn of(info: &str, era: Option<u64>) -> Self {
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        let (run, era) = (run.unwrap_or_default().trim(), era.unwrap_or_default());
        Self(format!("{MARK}{run}:{era}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use roomlog_core::ids::Count;

    use super::*;

    #[test]
    fn a_mark_names_the_run_and_the_era() {
        let info = "# Server\r\nredis_version:7.4.0\r\nrun_id:abc\r\n";
        assert_eq!(Belief::of(info, Some(3)).0, "@believed:abc:3");
        assert_eq!(Belief::of("", None).0, "@believed::0");
    }

    #[test]
    fn two_moves_come_to_one() {
        let at = |seq| ReadPosition::at(Seq(seq), Count(seq));
        let (read, joined) = (ReaderMove::Read(at(5)), ReaderMove::Joined(at(3)));
        assert_eq!(read.then(ReaderMove::Read(at(4))), read);
        assert_eq!(joined.then(read), ReaderMove::Joined(at(5)));
        assert_eq!(joined.then(ReaderMove::Left), ReaderMove::Left);
        assert_eq!(ReaderMove::Left.then(read), ReaderMove::Left);
        assert_eq!(ReaderMove::Left.then(joined), joined);
    }
}
