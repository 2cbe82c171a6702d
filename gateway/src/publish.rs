//! From what a client wrote to a record for the log.

use bytes::Bytes;
use roomlog_core::{
    code::{Code, Refusal},
    event::{Body, Event, Sender},
    ids::{MessageId, RoomId, RoomKey, UserId},
    limits::Limits,
    session::Verb,
};
use roomlog_platform::{
    kafka::{Appended, Delivery, ProduceError},
    message_trace::Publishing,
};
use roomlog_schemas::{RecordHeaders, encode_event, headers, json};

/// A record for `chat.events.v1`.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) key: RoomKey,
    pub(crate) id: MessageId,
    pub(crate) sender: UserId,
    pub(crate) value: Bytes,
    pub(crate) headers: RecordHeaders,
    /// Kept until the log has the record.
    pub(crate) publishing: Publishing,
}

/// The log's answer to a record, which also ends the first span of its trace.
pub(crate) struct Acknowledgement {
    delivery: Delivery,
    _publishing: Publishing,
}

/// An event as a client sent it, by whatever way.
pub(crate) struct Draft<'a> {
    pub(crate) room: &'a RoomId,
    pub(crate) verb: Verb,
    /// The id beside the body: a header's.
    pub(crate) id: Option<MessageId>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: &'a [u8],
}

// === impl Record ===

impl Record {
    /// Encodes an event of this gateway's. A client may have begun a trace.
    pub(crate) fn of(event: &Event, origin: &str, traceparent: Option<&str>) -> Self {
        let publishing = Publishing::begin(traceparent);
        Self {
            key: event.key.clone(),
            id: event.id.clone(),
            sender: event.sender.id.clone(),
            value: encode_event(event),
            headers: headers(event, origin, publishing.traceparent()),
            publishing,
        }
    }
}

// === impl Acknowledgement ===

impl Acknowledgement {
    pub(crate) fn of(delivery: Delivery, publishing: Publishing) -> Self {
        Self {
            delivery,
            _publishing: publishing,
        }
    }

    /// Resolves when all in-sync replicas have the record, or when that is known to have failed.
    pub(crate) async fn arrives(self) -> Result<Appended, ProduceError> {
        self.delivery.await
    }
}

// === impl Draft ===

impl Draft<'_> {
    /// The event, if the body is one and the ids agree.
    ///
    /// # Errors
    /// `bad-destination` for what is no event.
    pub(crate) fn event(self, sender: Sender, limits: &Limits) -> Result<Event, Refusal> {
        let (written_id, body) = self.body(limits)?;
        let id = match (self.id, written_id) {
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
            body,
            headers: self.headers,
            by_admin: false,
        })
    }

    fn body(&self, limits: &Limits) -> Result<(Option<MessageId>, Body), Refusal> {
        let body = match self.verb {
            Verb::Post => {
                let written = json::parse_message(self.content_type, self.body, limits)?;
                return Ok((written.id, Body::Message(written.message)));
            }
            Verb::Edit => json::parse_edit(self.body, limits)?,
            Verb::Delete => json::parse_delete(self.body)?,
            Verb::React => json::parse_reaction(self.body)?,
            Verb::Read | Verb::Typing | Verb::Focus | Verb::Unfocus => {
                return Err(Refusal::new(
                    Code::BadDestination,
                    "this server does not serve this destination",
                ));
            }
        };
        Ok((json::parse_id(self.body)?, body))
    }
}

/// An id for an event whose sender gave none.
pub(crate) fn fresh_id() -> MessageId {
    MessageId::parse(&uuid::Uuid::now_v7().to_string()).expect("a UUID is visible ASCII")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_clients_trace_goes_into_the_record() {
        let clients = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let draft = Draft {
            room: &RoomId::parse("r").unwrap(),
            verb: Verb::Post,
            id: None,
            content_type: None,
            headers: Vec::new(),
            body: b"hello",
        };
        let sender = Sender {
            id: UserId::parse("alice").unwrap(),
            name: "Alice".into(),
            avatar: None,
        };
        let event = draft.event(sender, &Limits::default()).unwrap();
        let trace_of = |client| {
            let headers = Record::of(&event, "gateway-1", client).headers;
            let found = headers.into_iter().find(|(name, _)| *name == "traceparent");
            found.map(|(_, value)| value)
        };
        assert_eq!(trace_of(Some(clients)).as_deref(), Some(clients.as_bytes()));
        assert_eq!(trace_of(Some("not a trace")), None);
        assert_eq!(trace_of(None), None);
    }
}
