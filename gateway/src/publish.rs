//! From what a client wrote to a record for the log.

use bytes::Bytes;
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body, Event, Sender},
    ids::{MessageId, RoomId, RoomKey, UserId},
    limits::Limits,
};
use roomlog_schemas::{RecordHeaders, encode_event, headers, json};

/// A record for `chat.events.v1`.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) key: RoomKey,
    pub(crate) id: MessageId,
    pub(crate) sender: UserId,
    pub(crate) value: Bytes,
    pub(crate) headers: RecordHeaders,
}

/// A message as a client sent it, by whatever way.
pub(crate) struct Draft<'a> {
    pub(crate) room: &'a RoomId,
    /// The id beside the body: a header's.
    pub(crate) id: Option<MessageId>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: &'a [u8],
}

// === impl Record ===

impl Record {
    /// Encodes an event that was made by this gateway.
    pub(crate) fn of(event: &Event, origin: &str) -> Self {
        Self {
            key: event.key.clone(),
            id: event.id.clone(),
            sender: event.sender.id.clone(),
            value: encode_event(event),
            headers: headers(event, origin, None),
        }
    }
}

// === impl Draft ===

impl Draft<'_> {
    /// The message event, if the body is one and the ids agree.
    pub(crate) fn event(self, sender: Sender, limits: &Limits) -> Result<Event, Refusal> {
        let written = json::parse_message(self.content_type, self.body, limits)?;
        let id = match (self.id, written.id) {
            (Some(header), Some(body)) if header != body => {
                return Err(Refusal::new(
                    Code::IdMismatch,
                    "the ids in header and body are not the same",
                ));
            }
            (header, body) => header.or(body),
        };
        Ok(Event {
            key: self.room.into(),
            id: id.unwrap_or_else(fresh_id),
            sender,
            body: Body::Message(written.message),
            headers: self.headers,
        })
    }
}

/// An id for an event whose sender gave none.
pub(crate) fn fresh_id() -> MessageId {
    MessageId::parse(&uuid::Uuid::now_v7().to_string()).expect("a UUID is visible ASCII")
}
