//! Streams.

use bytes::Bytes;

use super::{Outcome, Words};
use crate::redis::keyspace::Keyspace;
use crate::redis::reply::{Failure, Reply};
use crate::redis::stream::{Fields, NewId, Stream, StreamId, Trim};

pub(super) fn add(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let key = &arguments[0];
    let mut words = Words::new(&arguments[1..]);
    let only_old = words.take("NOMKSTREAM");
    let trim = trim_option(&mut words)?;
    let id = NewId::parse(words.required()?)?;
    let fields = words.rest();
    if fields.is_empty() || !fields.len().is_multiple_of(2) {
        return Err(Failure::wrong_arity("xadd"));
    }
    if only_old && !keys.contains(key) {
        return Ok(Reply::Nil);
    }
    let now_ms = keys.now_ms();
    keys.change(key, |stream: &mut Stream| {
        let id = stream.next_id(id, now_ms)?;
        stream.add(id, fields.to_vec());
        if let Some(trim) = trim {
            stream.trim(trim);
        }
        Ok(Reply::text(id.to_string()))
    })
}

pub(super) fn length(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    Ok(Reply::count(
        keys.collection::<Stream>(&arguments[0])?
            .map_or(0, Stream::len),
    ))
}

pub(super) fn range(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let (from, to) = (lower(&arguments[1])?, upper(&arguments[2])?);
    let count = count_option(&arguments[3..])?;
    let Some(stream) = keys.collection::<Stream>(&arguments[0])? else {
        return Ok(Reply::Array(Vec::new()));
    };
    Ok(entries(stream.between(from, to).take(count)))
}

pub(super) fn reverse_range(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let (from, to) = (lower(&arguments[2])?, upper(&arguments[1])?);
    let count = count_option(&arguments[3..])?;
    let Some(stream) = keys.collection::<Stream>(&arguments[0])? else {
        return Ok(Reply::Array(Vec::new()));
    };
    Ok(entries(stream.between(from, to).rev().take(count)))
}

pub(super) fn trim(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let mut words = Words::new(&arguments[1..]);
    let trim = trim_option(&mut words)?;
    let Some(trim) = trim.filter(|_| words.rest().is_empty()) else {
        return Err(Failure::syntax());
    };
    if !keys.contains(&arguments[0]) {
        return Ok(Reply::Integer(0));
    }
    keys.change(&arguments[0], |stream: &mut Stream| {
        Ok(Reply::count(stream.trim(trim)))
    })
}

pub(super) fn delete(keys: &mut Keyspace, arguments: &[Bytes]) -> Outcome {
    let ids = arguments[1..].iter().map(|id| StreamId::parse(id, 0));
    let ids: Vec<StreamId> = ids.collect::<Result<_, Failure>>()?;
    if !keys.contains(&arguments[0]) {
        return Ok(Reply::Integer(0));
    }
    keys.change(&arguments[0], |stream: &mut Stream| {
        Ok(Reply::count(
            ids.into_iter().filter(|id| stream.delete(*id)).count(),
        ))
    })
}

/// `MAXLEN ~ 1000` or `MINID = 5-0`. An approximate limit is kept exactly, which it allows.
fn trim_option(words: &mut Words<'_>) -> Result<Option<Trim>, Failure> {
    let by_length = words.take("MAXLEN");
    if !by_length && !words.take("MINID") {
        return Ok(None);
    }
    let is_approximate = words.take("~");
    if !is_approximate {
        words.take("=");
    }
    let trim = if by_length {
        let length = usize::try_from(words.integer()?);
        let length = length.map_err(|_| Failure::new("ERR The MAXLEN argument must be >= 0."))?;
        Trim::MaxLength(length)
    } else {
        Trim::MinId(StreamId::parse(words.required()?, 0)?)
    };
    if words.take("LIMIT") {
        if !is_approximate {
            let text = "ERR syntax error, LIMIT cannot be used without the special ~ option";
            return Err(Failure::new(text));
        }
        words.integer()?;
    }
    Ok(Some(trim))
}

fn count_option(arguments: &[Bytes]) -> Result<usize, Failure> {
    let mut words = Words::new(arguments);
    if arguments.is_empty() {
        return Ok(usize::MAX);
    }
    if !words.take("COUNT") || arguments.len() != 2 {
        return Err(Failure::syntax());
    }
    Ok(usize::try_from(words.integer()?).unwrap_or(0))
}

fn lower(bytes: &[u8]) -> Result<StreamId, Failure> {
    match bytes {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        [b'(', id @ ..] => StreamId::parse(id, 0)?
            .next()
            .ok_or_else(|| invalid("start")),
        id => StreamId::parse(id, 0),
    }
}

fn upper(bytes: &[u8]) -> Result<StreamId, Failure> {
    match bytes {
        b"-" => Ok(StreamId::MIN),
        b"+" => Ok(StreamId::MAX),
        [b'(', id @ ..] => StreamId::parse(id, u64::MAX)?
            .previous()
            .ok_or_else(|| invalid("end")),
        id => StreamId::parse(id, u64::MAX),
    }
}

fn invalid(end: &str) -> Failure {
    Failure::new(format!("ERR invalid {end} ID for the interval"))
}

fn entries<'a>(entries: impl Iterator<Item = (StreamId, &'a Fields)>) -> Reply {
    let entry = |(id, fields): (StreamId, &Fields)| {
        Reply::Array(vec![
            Reply::text(id.to_string()),
            Reply::bulks(fields.iter().cloned()),
        ])
    };
    Reply::Array(entries.map(entry).collect())
}
