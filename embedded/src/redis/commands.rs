//! The commands: a table of names, and a function for each.

mod hashes;
mod keys;
mod server;
mod sets;
mod sorted_sets;
mod streams;
mod strings;

use bytes::Bytes;

use super::keyspace::Keyspace;
use super::number;
use super::reply::{Failure, Reply};
use super::scan;

/// What a command gives.
type Outcome = Result<Reply, Failure>;

/// A command: the arguments start after its name.
pub(super) struct Command {
    name: &'static str,
    /// Words including the name; negative for at least that many.
    arity: i32,
    run: fn(&mut Keyspace, &[Bytes]) -> Outcome,
}

const COMMANDS: &[Command] = &[
    // Strings.
    command("GET", 2, strings::get),
    command("SET", -3, strings::set),
    command("SETEX", 4, strings::set_seconds),
    command("PSETEX", 4, strings::set_millis),
    command("SETNX", 3, strings::set_new),
    command("GETDEL", 2, strings::take),
    command("MGET", -2, strings::get_many),
    command("MSET", -3, strings::set_many),
    command("APPEND", 3, strings::append),
    command("STRLEN", 2, strings::length),
    command("INCR", 2, strings::increment),
    command("DECR", 2, strings::decrement),
    command("INCRBY", 3, strings::increment_by),
    command("DECRBY", 3, strings::decrement_by),
    // Keys.
    command("DEL", -2, keys::delete),
    command("UNLINK", -2, keys::delete),
    command("EXISTS", -2, keys::exist),
    command("EXPIRE", -3, keys::expire_seconds),
    command("PEXPIRE", -3, keys::expire_millis),
    command("EXPIREAT", -3, keys::expire_at_seconds),
    command("PEXPIREAT", -3, keys::expire_at_millis),
    command("PERSIST", 2, keys::persist),
    command("TTL", 2, keys::seconds_left),
    command("PTTL", 2, keys::millis_left),
    command("TYPE", 2, keys::kind),
    command("RENAME", 3, keys::rename),
    command("KEYS", 2, keys::matching),
    command("SCAN", -2, keys::scan),
    command("DBSIZE", 1, keys::count),
    command("FLUSHALL", -1, keys::clear),
    command("FLUSHDB", -1, keys::clear),
    // Hashes.
    command("HSET", -4, hashes::set),
    command("HMSET", -4, hashes::set_ok),
    command("HSETNX", 4, hashes::set_new),
    command("HGET", 3, hashes::get),
    command("HMGET", -3, hashes::get_many),
    command("HGETALL", 2, hashes::get_all),
    command("HKEYS", 2, hashes::fields),
    command("HVALS", 2, hashes::values),
    command("HLEN", 2, hashes::length),
    command("HEXISTS", 3, hashes::exists),
    command("HDEL", -3, hashes::delete),
    command("HINCRBY", 4, hashes::increment),
    command("HSCAN", -3, hashes::scan),
    // Sets.
    command("SADD", -3, sets::add),
    command("SREM", -3, sets::remove),
    command("SMEMBERS", 2, sets::members),
    command("SISMEMBER", 3, sets::contains),
    command("SMISMEMBER", -3, sets::contain),
    command("SCARD", 2, sets::length),
    command("SSCAN", -3, sets::scan),
    // Sorted sets.
    command("ZADD", -4, sorted_sets::add),
    command("ZREM", -3, sorted_sets::remove),
    command("ZSCORE", 3, sorted_sets::score),
    command("ZMSCORE", -3, sorted_sets::scores),
    command("ZCARD", 2, sorted_sets::length),
    command("ZCOUNT", 4, sorted_sets::count),
    command("ZINCRBY", 4, sorted_sets::increment),
    command("ZRANK", 3, sorted_sets::rank),
    command("ZREVRANK", 3, sorted_sets::reverse_rank),
    command("ZRANGE", -4, sorted_sets::range),
    command("ZREVRANGE", -4, sorted_sets::reverse_range),
    command("ZRANGEBYSCORE", -4, sorted_sets::range_by_score),
    command("ZREVRANGEBYSCORE", -4, sorted_sets::reverse_range_by_score),
    command("ZREMRANGEBYSCORE", 4, sorted_sets::remove_by_score),
    command("ZREMRANGEBYRANK", 4, sorted_sets::remove_by_rank),
    command("ZSCAN", -3, sorted_sets::scan),
    // Streams.
    command("XADD", -5, streams::add),
    command("XLEN", 2, streams::length),
    command("XRANGE", -4, streams::range),
    command("XREVRANGE", -4, streams::reverse_range),
    command("XTRIM", -4, streams::trim),
    command("XDEL", -3, streams::delete),
    // The server.
    command("PING", -1, server::ping),
    command("ECHO", 2, server::echo),
    command("TIME", 1, server::time),
    command("INFO", -1, server::info),
    command("COMMAND", -1, server::commands),
    command("UNWATCH", 1, server::unwatch),
];

const fn command(
    name: &'static str,
    arity: i32,
    run: fn(&mut Keyspace, &[Bytes]) -> Outcome,
) -> Command {
    Command { name, arity, run }
}

// === impl Command ===

impl Command {
    /// The command that a request names, with as many words as it takes.
    pub(super) fn find(request: &[Bytes]) -> Result<&'static Command, Failure> {
        let name = request
            .first()
            .map(|name| String::from_utf8_lossy(name))
            .unwrap_or_default();
        let found = COMMANDS
            .iter()
            .find(|command| command.name.eq_ignore_ascii_case(&name));
        let Some(command) = found else {
            let shown: String = name.chars().take(128).collect();
            return Err(Failure::new(format!("ERR unknown command '{shown}'")));
        };
        check_arity(command.name, command.arity, request)?;
        Ok(command)
    }

    /// Carries the command out.
    pub(super) fn run(&self, keyspace: &mut Keyspace, request: &[Bytes]) -> Reply {
        keyspace.note_call(self.name);
        (self.run)(keyspace, request.get(1..).unwrap_or_default()).into()
    }
}

/// Refuses a request with too few or too many words.
pub(super) fn check_arity(name: &str, arity: i32, request: &[Bytes]) -> Result<(), Failure> {
    let words = i32::try_from(request.len()).unwrap_or(i32::MAX);
    let fits = if arity < 0 {
        words >= -arity
    } else {
        words == arity
    };
    if fits {
        Ok(())
    } else {
        Err(Failure::wrong_arity(name))
    }
}

/// Arguments taken one by one.
struct Words<'a> {
    rest: &'a [Bytes],
}

// === impl Words ===

impl<'a> Words<'a> {
    fn new(arguments: &'a [Bytes]) -> Words<'a> {
        Words { rest: arguments }
    }

    fn next(&mut self) -> Option<&'a Bytes> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn required(&mut self) -> Result<&'a Bytes, Failure> {
        self.next().ok_or_else(Failure::syntax)
    }

    fn integer(&mut self) -> Result<i64, Failure> {
        number::integer(self.required()?)
    }

    /// Takes the next word if it is this one, in any case.
    fn take(&mut self, word: &str) -> bool {
        let is_next = self
            .rest
            .first()
            .is_some_and(|next| next.eq_ignore_ascii_case(word.as_bytes()));
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }

    /// The next word in capitals, for options.
    fn option(&mut self) -> Option<String> {
        self.next()
            .map(|word| String::from_utf8_lossy(word).to_ascii_uppercase())
    }

    fn rest(&self) -> &'a [Bytes] {
        self.rest
    }
}

/// What the scanning commands share after their key.
struct Scan<'a> {
    cursor: u64,
    pattern: Option<&'a Bytes>,
    count: usize,
    /// Only keys that hold this kind, for SCAN alone.
    kind: Option<String>,
}

// === impl Scan ===

impl<'a> Scan<'a> {
    fn parse(arguments: &'a [Bytes]) -> Result<Scan<'a>, Failure> {
        let mut words = Words::new(arguments);
        let cursor = std::str::from_utf8(words.required()?).ok();
        let cursor = cursor.and_then(|cursor| cursor.parse().ok());
        let cursor = cursor.ok_or_else(|| Failure::new("ERR invalid cursor"))?;
        let mut scan = Scan {
            cursor,
            pattern: None,
            count: scan::COUNT_DEFAULT,
            kind: None,
        };
        while let Some(option) = words.option() {
            match option.as_str() {
                "MATCH" => scan.pattern = Some(words.required()?),
                "COUNT" => {
                    let count = usize::try_from(words.integer()?).unwrap_or(0);
                    if count == 0 {
                        return Err(Failure::syntax());
                    }
                    scan.count = count;
                }
                "TYPE" => {
                    scan.kind =
                        Some(String::from_utf8_lossy(words.required()?).to_ascii_lowercase())
                }
                _ => return Err(Failure::syntax()),
            }
        }
        Ok(scan)
    }

    /// One step through the elements of a collection, which is given whole if it is small.
    fn step(&self, length: usize, elements: impl Iterator<Item = Bytes>) -> (Reply, Vec<Bytes>) {
        let (next, found) = if length <= scan::WHOLE_MAX {
            (0, elements.collect())
        } else {
            scan::step(elements, self.cursor, self.count)
        };
        (Reply::text(next.to_string()), self.matching(found))
    }

    fn matching(&self, elements: Vec<Bytes>) -> Vec<Bytes> {
        let matches = |element: &Bytes| {
            self.pattern
                .is_none_or(|pattern| super::glob::matches(pattern, element))
        };
        elements.into_iter().filter(matches).collect()
    }
}

/// The part of a sequence between two indexes, both included; negative ones count from its end.
fn span(length: usize, start: i64, stop: i64) -> Option<std::ops::RangeInclusive<usize>> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let from_front = |index: i64| {
        if index < 0 {
            length.saturating_add(index)
        } else {
            index
        }
    };
    let (start, stop) = (from_front(start).max(0), from_front(stop).min(length - 1));
    if start > stop {
        return None;
    }
    Some(usize::try_from(start).ok()?..=usize::try_from(stop).ok()?)
}
