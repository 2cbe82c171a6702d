//! MESSAGE frames: the part all subscribers of an event share is built once, and each distinct subscription id costs
//! one copy.

use bytes::Bytes;

use super::{
    encode::{CONTENT_LENGTH, header_line},
    escape::is_plain,
    frame::{Command, Version},
};

/// Which MESSAGE of a subscription: what its `ack` header names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// The event with this seq, or the n-th MESSAGE (from 1) of a topic without a log.
    Number(u64),
    /// The `reset` that goes on after this head.
    Reset(u64),
}

/// Whether a MESSAGE is shown as it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provenance {
    /// As it happens.
    Live,
    /// Shown again, with the header `replay:true`.
    Replay,
}

/// What stands in front of the shared part for one subscription. Two subscriptions with equal envelopes, of
/// whatever connections, get the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// Chooses the escapes of the client's own headers.
    version: Version,
    /// The `subscription` header line with its end, escaped; empty for a 1.0 subscription without id.
    line: Bytes,
    /// The number in front of each `ack` value; `None` where MESSAGEs have no `ack`.
    ack_prefix: Option<u32>,
}

/// A MESSAGE without its envelope: built once for all subscribers of an event.
#[derive(Clone, Debug)]
pub struct MessageFrame {
    /// What the `ack` header names.
    mark: Mark,
    /// Everything after the envelope, NUL included.
    rest: Rest,
}

/// The shared part. Almost always it reads the same in all versions.
#[derive(Clone, Debug)]
enum Rest {
    /// No header needs an escape.
    Plain(Box<[u8]>),
    /// Some header does: one text for each version, by [`version_index`].
    Versioned([Box<[u8]>; 3]),
}

/// `replay` in full.
const REPLAY_LINE: &[u8] = b"replay:true\n";
/// What begins an `ack` header line.
const ACK_NAME: &[u8] = b"ack:";
/// Between an ack value's subscription and its head, for a reset.
const RESET: &[u8] = b"-reset-";

// === impl Envelope ===

impl Envelope {
    /// The envelope of a subscription. `id` is `None` for a 1.0 client that gave none, `ack_prefix` the number in
    /// front of each ack value where its MESSAGEs are to be acknowledged; only 1.2 has the header `ack`.
    pub fn new(version: Version, id: Option<&str>, ack_prefix: Option<u32>) -> Self {
        let mut line = Vec::new();
        if let Some(id) = id {
            header_line("subscription", id, Some(version), &mut line);
        }
        Self {
            version,
            line: line.into_boxed_slice().into(),
            ack_prefix: ack_prefix.filter(|_| version >= Version::V1_2),
        }
    }

    /// The value of the `ack` header of a MESSAGE, where it has one.
    pub fn ack_value(&self, mark: Mark) -> Option<String> {
        self.ack_prefix.map(|prefix| match mark {
            Mark::Number(number) => format!("{prefix}-{number}"),
            Mark::Reset(head) => format!("{prefix}-reset-{head}"),
        })
    }
}

// === impl MessageFrame ===

impl MessageFrame {
    /// Builds the shared part. `server` are the server's own headers, which hold nothing to be escaped (all but
    /// `content-length`, `subscription`, `ack` and `replay`), `client` those the sender gave.
    pub fn new<'a>(
        mark: Mark,
        server: &[(&'a str, &'a str)],
        client: impl IntoIterator<Item = (&'a str, &'a str), IntoIter: Clone>,
        body: &str,
    ) -> Self {
        let headers = server.iter().copied().chain(client);
        let plain = headers
            .clone()
            .all(|(name, value)| is_plain(name) && is_plain(value));
        let rest = |version| rest(headers.clone(), version, body);
        Self {
            mark,
            rest: match plain {
                true => Rest::Plain(rest(Version::V1_2)),
                false => Rest::Versioned([
                    rest(Version::V1_0),
                    rest(Version::V1_1),
                    rest(Version::V1_2),
                ]),
            },
        }
    }

    /// The whole frame for one envelope: one allocation, one copy.
    pub fn sealed(&self, envelope: &Envelope, provenance: Provenance) -> Bytes {
        let rest = match &self.rest {
            Rest::Plain(rest) => rest,
            Rest::Versioned(rests) => &rests[version_index(envelope.version)],
        };
        let command = Command::Message.as_str().as_bytes();
        let replay = match provenance {
            Provenance::Live => &[],
            Provenance::Replay => REPLAY_LINE,
        };
        let ack_bytes = envelope
            .ack_prefix
            .map_or(0, |prefix| self.ack_bytes(prefix));
        let bytes = command.len() + 1 + envelope.line.len() + ack_bytes + replay.len() + rest.len();
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(command);
        out.push(b'\n');
        out.extend_from_slice(&envelope.line);
        if let Some(prefix) = envelope.ack_prefix {
            self.push_ack(prefix, &mut out);
        }
        out.extend_from_slice(replay);
        out.extend_from_slice(rest);
        debug_assert_eq!(out.len(), bytes, "an inexact size costs a second copy");
        out.into()
    }

    /// Bytes of the `ack` header line.
    fn ack_bytes(&self, prefix: u32) -> usize {
        let (between, number) = self.ack_parts();
        ACK_NAME.len() + digits(prefix.into()) + between.len() + digits(number) + 1
    }

    fn push_ack(&self, prefix: u32, out: &mut Vec<u8>) {
        let (between, number) = self.ack_parts();
        out.extend_from_slice(ACK_NAME);
        push_decimal(prefix.into(), out);
        out.extend_from_slice(between);
        push_decimal(number, out);
        out.push(b'\n');
    }

    fn ack_parts(&self) -> (&'static [u8], u64) {
        match self.mark {
            Mark::Number(number) => (b"-", number),
            Mark::Reset(head) => (RESET, head),
        }
    }
}

/// Headers, `content-length`, body and NUL.
fn rest<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    version: Version,
    body: &str,
) -> Box<[u8]> {
    let mut out = Vec::with_capacity(256 + body.len());
    for (name, value) in headers {
        header_line(name, value, Some(version), &mut out);
    }
    header_line(CONTENT_LENGTH, &body.len().to_string(), None, &mut out);
    out.push(b'\n');
    out.extend_from_slice(body.as_bytes());
    out.push(0);
    out.into_boxed_slice()
}

fn version_index(version: Version) -> usize {
    match version {
        Version::V1_0 => 0,
        Version::V1_1 => 1,
        Version::V1_2 => 2,
    }
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Appends a number without an allocation of its own.
fn push_decimal(number: u64, out: &mut Vec<u8>) {
    let mut text = [0_u8; 20];
    let mut left = number;
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}
