//! What a session asks of its shell, in the order in which it is to be done.

use std::fmt;

use bytes::Bytes;

use super::{
    ack::AckMode,
    destination::{Topic, Verb},
};
use crate::{
    ids::{Count, MessageId, RoomId, Seq},
    stomp::Envelope,
};

/// One thing the shell carries out. Actions of one call are carried out in their order.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Write this frame (or lone heart-beat) as one WebSocket text message; it is valid UTF-8.
    Send(Bytes),
    /// Check who this is; answer with [`authenticated`](super::Session::authenticated) or
    /// [`refuse`](super::Session::refuse). Until then everything the client sends is held.
    Authenticate {
        /// The first credential CONNECT carries, to be tried after the one on the upgrade.
        credential: Option<Credential>,
    },
    /// A fresh token for the same user; answer with [`Done::Authenticated`].
    Reauthenticate {
        /// To be completed.
        request: RequestId,
        /// The `Authorization` header's value.
        credential: Credential,
    },
    /// A SEND outside of any transaction.
    Publish(Publish),
    /// A transaction's SENDs: check all of them, and if one is refused complete `request` with that refusal and
    /// nothing else. Otherwise produce them in order, complete each, and `request` too.
    Commit {
        /// COMMIT's own request.
        request: RequestId,
        /// The SENDs in their order, never empty.
        publishes: Vec<Publish>,
    },
    /// Start a subscription. Its RECEIPT goes out on completion, so complete before the first MESSAGE.
    Subscribe(Subscribe),
    /// Deliver nothing more to this subscription, then complete.
    Unsubscribe {
        /// To be completed.
        request: RequestId,
        /// Which subscription.
        index: SubIndex,
    },
    /// Acknowledgements moved a subscription's read position.
    MarkRead {
        /// To be completed.
        request: RequestId,
        /// What the subscription shows: a room or the inbox.
        topic: Topic,
        /// Read up to and including this.
        seq: Seq,
    },
    /// Write everything above, then close the WebSocket. The last action a session ever returns.
    Close {
        /// WebSocket close code.
        code: u16,
        /// For the close frame; at most 123 bytes.
        reason: &'static str,
    },
}

/// Names one request until it is completed; never used twice by a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names one subscription for the life of its session; never used twice by a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubIndex(pub u32);

/// A secret of the client: it has no readable `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What CONNECT says about who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The whole value of the header `Authorization`.
    Authorization(Secret),
    /// The value of the header `passcode`.
    Passcode(Secret),
}

/// One SEND, parsed as far as that goes without its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// To be completed.
    pub request: RequestId,
    /// The room.
    pub room: RoomId,
    /// What to do there.
    pub verb: Verb,
    /// The header `id`.
    pub id: Option<MessageId>,
    /// How to read the body.
    pub content_type: ContentType,
    /// The client's own headers: first occurrences, in order, within their limits.
    pub headers: Vec<(String, String)>,
    /// The body: valid UTF-8, and within the text limit where it is a posted text.
    pub body: Bytes,
}

/// The content types a SEND may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `text/plain`, or none given.
    Text,
    /// `application/json`.
    Json,
}

/// One SUBSCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// To be completed.
    pub request: RequestId,
    /// The subscription's name inside the server.
    pub index: SubIndex,
    /// What to show; never [`Topic::Errors`], which the session serves itself.
    pub topic: Topic,
    /// Where to begin.
    pub start: Start,
    /// What goes in front of each MESSAGE for it.
    pub envelope: Envelope,
    /// How it acknowledges. Unless this is `Auto`, tell the session of each MESSAGE with
    /// [`delivered`](super::Session::delivered) as it is queued.
    pub ack: AckMode,
}

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what happens next.
    Live,
    /// With the first event after this one.
    Since {
        /// The last event the client has.
        seq: Seq,
        /// The tables' life in which it got that number, where the client knows.
        epoch: Option<String>,
    },
    /// With the last so many messages; at least 1 and at most [`history_max`](crate::limits::Limits::history_max).
    History(u64),
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is done, and there is no more to say.
    Plain,
    /// A subscription to a log is registered; the RECEIPT says where that log stands.
    Subscribed {
        /// The log's last event.
        head: Seq,
        /// Its messages.
        count: Count,
        /// The tables' life.
        epoch: String,
    },
    /// The session may go on until then.
    Authenticated {
        /// When the fresh token expires, on the session's own clock; `None` for never.
        expires_at_ms: Option<u64>,
    },
}

// === impl Secret ===

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself; never to be logged or echoed.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
