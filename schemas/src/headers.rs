//! The headers of a record of `chat.events.v1`.

use roomlog_core::event::Event;

/// Names and values, in order.
pub type RecordHeaders = Vec<(&'static str, Vec<u8>)>;

/// The headers of an event: what the numbering reads, where it came from, and the CloudEvents attributes.
///
/// A message id is unique for its room and sender only; CloudEvents asks that source and id together are unique, so
/// the source names both.
pub fn headers(event: &Event, origin: &str, traceparent: Option<&str>) -> RecordHeaders {
    let (id, sender, room) = (
        event.id.as_str(),
        event.sender.id.as_str(),
        event.key.as_str(),
    );
    let kind = event.body.kind().as_str();
    let source = format!("/rooms/{room}/senders/{sender}");
    let mut headers: RecordHeaders = vec![
        ("id", id.into()),
        ("sender", sender.into()),
        ("type", kind.into()),
        ("origin", origin.into()),
    ];
    headers.extend(traceparent.map(|context| ("traceparent", context.into())));
    headers.extend([
        ("ce_specversion", b"1.0".to_vec()),
        ("ce_id", id.into()),
        ("ce_source", source.into_bytes()),
        ("ce_type", format!("roomlog.{kind}.v1").into_bytes()),
        ("ce_subject", room.into()),
    ]);
    headers
}

#[cfg(test)]
mod tests {
    use roomlog_core::{
        event::{Body, Sender},
        ids::{MessageId, RoomKey, UserId},
    };

    use super::*;

    #[test]
    fn headers_say_what_numbering_and_cloudevents_need() {
        let event = Event {
            key: RoomKey::parse("lobby").expect("alphabet"),
            id: MessageId::parse("m-1").expect("visible"),
            sender: Sender {
                id: UserId::parse("alice").expect("alphabet"),
                name: "Alice".into(),
                avatar: None,
            },
            body: Body::Unreadable,
            headers: Vec::new(),
            by_admin: false,
        };
        let headers: Vec<(&str, String)> = headers(&event, "gw-1", Some("00-ab-cd-01"))
            .into_iter()
            .map(|(name, value)| (name, String::from_utf8(value).expect("text")))
            .collect();
        let expected = [
            ("id", "m-1"),
            ("sender", "alice"),
            ("type", "unreadable"),
            ("origin", "gw-1"),
            ("traceparent", "00-ab-cd-01"),
            ("ce_specversion", "1.0"),
            ("ce_id", "m-1"),
            ("ce_source", "/rooms/lobby/senders/alice"),
            ("ce_type", "roomlog.unreadable.v1"),
            ("ce_subject", "lobby"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        assert_eq!(headers, expected);
    }
}
