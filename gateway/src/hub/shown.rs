//! An event as clients see it: decoded once, its JSON and the shared part of its frame built once.

use axum::extract::ws::Utf8Bytes;
use roomlog_core::{
    amendment::{Amendment, Amendments},
    event::{Body, Event, Kind, Numbered},
    ids::{Count, RoomKey, Seq},
    room_state::is_folded,
    session::Topic,
    stomp::{Envelope, Mark, MessageFrame, Provenance},
};
use roomlog_platform::stored_event::StoredEvent;
use roomlog_schemas::json;

/// An event that is ready to be shown to any number of subscribers.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) seq: Seq,
    pub(crate) count: Count,
    pub(crate) kind: Kind,
    /// The `sender` and `id` of its record: what names it before it has a seq.
    pub(crate) sender: String,
    pub(crate) id: String,
    /// Whether the room's state did not allow it.
    pub(crate) is_void: bool,
    /// What it makes of an earlier message.
    pub(crate) amends: Option<Amends>,
    frame: MessageFrame,
    body_bytes: usize,
}

/// What an event makes of a message, as far as what is shown again depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amends {
    /// It shows text of this message.
    Edits(Seq),
    /// Nothing of this message is shown again.
    Deletes(Seq),
}

/// A stored event with its value decoded.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) stored: StoredEvent,
    /// `None` where the value can't be read.
    pub(crate) event: Option<Event>,
    /// Whether it is known to be void.
    pub(crate) is_void: bool,
    /// Whether what it says was deleted, so that only its place is shown.
    is_hidden: bool,
}

// === impl Decoded ===

impl Decoded {
    /// An event that is still to be judged.
    pub(crate) fn new(stored: StoredEvent) -> Self {
        Self::known(stored, false)
    }

    /// An event that was judged.
    pub(crate) fn known(stored: StoredEvent, is_void: bool) -> Self {
        let event = match stored.kind {
            Kind::Unreadable => None,
            _ => stored
                .event()
                .inspect_err(|error| {
                    tracing::warn!(%error, partition = stored.partition, offset = stored.offset,
                        "an event can't be read and is shown as unreadable");
                })
                .ok(),
        };
        Self {
            stored,
            event,
            is_void,
            is_hidden: false,
        }
    }

    /// What it makes of an earlier message.
    pub(crate) fn amendment(&self) -> Option<Amendment> {
        Amendment::of(self.event.as_ref()?, self.stored.seq, self.stored.at_ms)
    }

    /// Shows nothing but its place from now on, if what it says was deleted.
    pub(crate) fn hide_if_deleted(&mut self, amendments: &Amendments) {
        let event = self.event.as_ref();
        self.is_hidden |= event.is_some_and(|event| amendments.hides(event, self.stored.seq));
    }

    /// The event with its place; `None` where it can't be read.
    pub(crate) fn numbered(&self) -> Option<Numbered> {
        Some(Numbered {
            seq: self.stored.seq,
            count: self.stored.count,
            at_ms: self.stored.at_ms,
            event: self.event.clone()?,
        })
    }

    /// The event's JSON.
    pub(crate) fn body(&self, is_void: bool) -> String {
        let stored = &self.stored;
        let bytes = match self.numbered() {
            Some(numbered) if self.is_hidden => json::deleted_body(&numbered),
            Some(numbered) => json::event_body(&numbered, is_void),
            None => json::unreadable_body(json::Place {
                key: &stored.key,
                seq: stored.seq,
                count: stored.count,
                at_ms: stored.at_ms,
                id: &stored.id,
                sender: &stored.sender,
            }),
        };
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    /// The event as subscribers see it.
    pub(crate) fn shown(&self, epoch: &str, is_void: bool) -> Shown {
        let stored = &self.stored;
        let kind = self
            .event
            .as_ref()
            .map_or(Kind::Unreadable, |event| event.body.kind());
        let body = self.body(is_void);
        let (seq, count) = (stored.seq.to_string(), stored.count.to_string());
        let topic = topic_of(&stored.key);
        let (message_id, destination) = (topic.message_id(stored.seq.0), topic.destination());
        let timestamp = stored.at_ms.to_string();
        let server = [
            ("message-id", message_id.as_str()),
            ("destination", &destination),
            ("content-type", "application/json"),
            ("seq", &seq),
            ("count", &count),
            ("epoch", epoch),
            ("type", kind.as_str()),
            ("timestamp", &timestamp),
        ];
        let shows = self.event.as_ref().filter(|_| !self.is_hidden);
        let own = shows.map_or(&[][..], |event| &event.headers);
        let own = own
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Shown {
            seq: stored.seq,
            count: stored.count,
            kind,
            sender: stored.sender.clone(),
            id: stored.id.clone(),
            is_void,
            amends: self.amends(),
            frame: MessageFrame::new(Mark::Number(stored.seq.0), &server, own, &body),
            body_bytes: body.len(),
        }
    }

    fn amends(&self) -> Option<Amends> {
        match &self.event.as_ref()?.body {
            Body::Edit { target, .. } => Some(Amends::Edits(*target)),
            Body::Delete { .. } => Some(Amends::Deletes(self.amendment()?.target)),
            _ => None,
        }
    }

    /// Whether the event may change the room's state, so that it has to be judged by it.
    pub(crate) fn is_judged(&self) -> bool {
        self.event.as_ref().is_some_and(is_folded)
    }
}

// === impl Shown ===

impl Shown {
    /// The frame for subscriptions with this envelope.
    pub(crate) fn sealed(&self, envelope: &Envelope, provenance: Provenance) -> Utf8Bytes {
        text(self.frame.sealed(envelope, provenance))
    }

    /// About what it costs to keep.
    pub(crate) fn bytes(&self) -> usize {
        self.body_bytes + 512
    }
}

/// A frame of ours as the text of a WebSocket message.
pub(crate) fn text(frame: bytes::Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(frame).expect("frames of ours are UTF-8")
}

/// Where the events of a log are subscribed to.
fn topic_of(key: &RoomKey) -> Topic {
    key.room().map_or(Topic::Inbox, Topic::Room)
}

/// The frame that tells a subscriber to begin anew after `head`.
pub(crate) fn reset_frame(
    key: &RoomKey,
    head: Seq,
    count: Count,
    epoch: &str,
    reason: &'static str,
    envelope: &Envelope,
) -> Utf8Bytes {
    let body = format!(
        r#"{{"type":"reset","room":"{key}","head":{head},"count":{count},"epoch":"{epoch}","reason":"{reason}"}}"#
    );
    let topic = topic_of(key);
    let (message_id, destination) = (topic.reset_id(head.0), topic.destination());
    let server = [
        ("message-id", message_id.as_str()),
        ("destination", &destination),
        ("content-type", "application/json"),
        ("epoch", epoch),
        ("type", "reset"),
    ];
    let frame = MessageFrame::new(Mark::Reset(head.0), &server, [], &body);
    text(frame.sealed(envelope, Provenance::Live))
}
