//! Replies, and how the two versions of the protocol write them.

use bytes::{BufMut, Bytes, BytesMut};

use super::number;

/// The version of the protocol a connection speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// `OK`.
    Ok,
    Simple(&'static str),
    Error(Failure),
    Integer(i64),
    Double(f64),
    Bulk(Bytes),
    Nil,
    /// The missing array of an aborted transaction.
    NilArray,
    Array(Vec<Reply>),
    /// Keys and values in turn.
    Map(Vec<(Reply, Reply)>),
    Set(Vec<Bytes>),
    /// Members with their scores: pairs in RESP3, one flat array before.
    Scored(Vec<(Bytes, f64)>),
    /// What comes without having been asked for just now.
    Push(Vec<Reply>),
}

/// An error reply: its code word and text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Failure(String);

// === impl Failure ===

impl Failure {
    /// A text that starts with its code word.
    pub(super) fn new(text: impl Into<String>) -> Failure {
        Failure(text.into())
    }

    pub(super) fn syntax() -> Failure {
        Failure::new("ERR syntax error")
    }

    pub(super) fn not_an_integer() -> Failure {
        Failure::new("ERR value is not an integer or out of range")
    }

    pub(super) fn wrong_type() -> Failure {
        Failure::new("WRONGTYPE Operation against a key holding the wrong kind of value")
    }

    pub(super) fn wrong_arity(command: &str) -> Failure {
        let command = command.to_ascii_lowercase();
        Failure::new(format!(
            "ERR wrong number of arguments for '{command}' command"
        ))
    }
}

// === impl Reply ===

impl Reply {
    /// A count as an integer reply.
    pub(super) fn count(count: usize) -> Reply {
        Reply::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(super) fn flag(flag: bool) -> Reply {
        Reply::Integer(i64::from(flag))
    }

    pub(super) fn text(text: impl Into<String>) -> Reply {
        Reply::Bulk(text.into().into())
    }

    pub(super) fn bulk_or_nil(bytes: Option<Bytes>) -> Reply {
        bytes.map_or(Reply::Nil, Reply::Bulk)
    }

    pub(super) fn bulks(bytes: impl IntoIterator<Item = Bytes>) -> Reply {
        Reply::Array(bytes.into_iter().map(Reply::Bulk).collect())
    }

    pub(super) fn write(&self, out: &mut BytesMut, protocol: Protocol) {
        let is_3 = protocol == Protocol::Resp3;
        match self {
            Reply::Ok => out.put_slice(b"+OK\r\n"),
            Reply::Simple(text) => line(out, b'+', text),
            Reply::Error(failure) => line(out, b'-', &failure.0.replace(['\r', '\n'], " ")),
            Reply::Integer(number) => line(out, b':', &number.to_string()),
            Reply::Double(number) if is_3 => line(out, b',', &number::format(*number)),
            Reply::Double(number) => bulk(out, number::format(*number).as_bytes()),
            Reply::Bulk(bytes) => bulk(out, bytes),
            Reply::Nil | Reply::NilArray if is_3 => out.put_slice(b"_\r\n"),
            Reply::Nil => out.put_slice(b"$-1\r\n"),
            Reply::NilArray => out.put_slice(b"*-1\r\n"),
            Reply::Array(items) => array(out, b'*', items, protocol),
            Reply::Push(items) => array(out, if is_3 { b'>' } else { b'*' }, items, protocol),
            Reply::Map(entries) => {
                let (kind, length) = if is_3 { (b'%', 1) } else { (b'*', 2) };
                line(out, kind, &(entries.len() * length).to_string());
                for (key, value) in entries {
                    key.write(out, protocol);
                    value.write(out, protocol);
                }
            }
            Reply::Set(members) => {
                line(
                    out,
                    if is_3 { b'~' } else { b'*' },
                    &members.len().to_string(),
                );
                for member in members {
                    bulk(out, member);
                }
            }
            Reply::Scored(members) => {
                let length = if is_3 {
                    members.len()
                } else {
                    members.len() * 2
                };
                line(out, b'*', &length.to_string());
                for (member, score) in members {
                    if is_3 {
                        line(out, b'*', "2");
                    }
                    bulk(out, member);
                    Reply::Double(*score).write(out, protocol);
                }
            }
        }
    }
}

impl From<Result<Reply, Failure>> for Reply {
    fn from(result: Result<Reply, Failure>) -> Reply {
        result.unwrap_or_else(Reply::Error)
    }
}

fn line(out: &mut BytesMut, kind: u8, text: &str) {
    out.put_u8(kind);
    out.put_slice(text.as_bytes());
    out.put_slice(b"\r\n");
}

fn bulk(out: &mut BytesMut, bytes: &[u8]) {
    line(out, b'$', &bytes.len().to_string());
    out.put_slice(bytes);
    out.put_slice(b"\r\n");
}

fn array(out: &mut BytesMut, kind: u8, items: &[Reply], protocol: Protocol) {
    line(out, kind, &items.len().to_string());
    for item in items {
        item.write(out, protocol);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, protocol: Protocol) -> String {
        let mut out = BytesMut::new();
        reply.write(&mut out, protocol);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn scores_are_pairs_in_the_newer_protocol() {
        let reply = Reply::Scored(vec![("a".into(), 1.5)]);
        assert_eq!(
            written(&reply, Protocol::Resp2),
            "*2\r\n$1\r\na\r\n$3\r\n1.5\r\n"
        );
        assert_eq!(
            written(&reply, Protocol::Resp3),
            "*1\r\n*2\r\n$1\r\na\r\n,1.5\r\n"
        );
    }

    #[test]
    fn an_error_stays_on_its_line() {
        let reply = Reply::Error(Failure::new("ERR a\r\n+OK"));
        assert_eq!(written(&reply, Protocol::Resp2), "-ERR a  +OK\r\n");
    }
}
