//! SEND: destination, headers and content type, parsed as far as that goes without looking into the body.

use bytes::Bytes;

use crate::{
    code::{Code, Refusal},
    ids::{MessageId, RoomId},
    limits::Limits,
    stomp::Frame,
};

use super::{
    action::{ContentType, Publish, RequestId},
    destination::Verb,
};

/// Headers only the server sets on a MESSAGE: a client that sets one would forge it.
const RESERVED: [&str; 13] = [
    "ack",
    "count",
    "epoch",
    "message-id",
    "receipt-id",
    "replay",
    "sender",
    "seq",
    "session",
    "subscription",
    "timestamp",
    "type",
    "user-name",
];
/// Headers that speak to the server and are never forwarded.
const CONSUMED: [&str; 9] = [
    "Authorization",
    "content-length",
    "content-type",
    "destination",
    "id",
    "login",
    "passcode",
    "receipt",
    "transaction",
];

/// A SEND that may be published, now or at its transaction's COMMIT.
#[derive(Debug)]
pub(super) struct Draft {
    room: RoomId,
    verb: Verb,
    id: Option<MessageId>,
    content_type: ContentType,
    headers: Vec<(String, String)>,
    body: Bytes,
    /// The header `receipt`.
    receipt: Option<String>,
}

// === impl Draft ===

impl Draft {
    /// Reads a SEND to a room.
    pub(super) fn parse(
        frame: Frame,
        room: RoomId,
        verb: Verb,
        limits: &Limits,
    ) -> Result<Self, Refusal> {
        let id = frame.header("id").map(MessageId::parse).transpose();
        let content_type = content_type(frame.header("content-type"))?;
        check_body(&frame.body, verb, content_type, limits)?;
        Ok(Self {
            room,
            verb,
            id: id.map_err(|error| Refusal::new(Code::BadRequest, error.to_string()))?,
            content_type,
            headers: own_headers(&frame, limits)?,
            receipt: frame.header("receipt").map(Into::into),
            body: frame.body,
        })
    }

    /// Takes the receipt out: the session keeps it.
    pub(super) fn take_receipt(&mut self) -> Option<String> {
        self.receipt.take()
    }

    /// What it costs to hold this.
    pub(super) fn held_bytes(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.body.len() + headers + self.receipt.as_ref().map_or(0, String::len)
    }

    /// The same as a request.
    pub(super) fn publish(self, request: RequestId) -> Publish {
        Publish {
            request,
            room: self.room,
            verb: self.verb,
            id: self.id,
            content_type: self.content_type,
            headers: self.headers,
            body: self.body,
        }
    }
}

/// Reads a content type; its parameters don't matter, since all text is UTF-8.
fn content_type(text: Option<&str>) -> Result<ContentType, Refusal> {
    let Some(text) = text else {
        return Ok(ContentType::Text);
    };
    let essence = text.split(';').next().unwrap_or_default().trim_ascii();
    if essence.eq_ignore_ascii_case("text/plain") {
        Ok(ContentType::Text)
    } else if essence.eq_ignore_ascii_case("application/json") {
        Ok(ContentType::Json)
    } else {
        Err(Refusal::new(
            Code::BadRequest,
            "the content type has to be text/plain or application/json",
        ))
    }
}

fn check_body(
    body: &[u8],
    verb: Verb,
    content_type: ContentType,
    limits: &Limits,
) -> Result<(), Refusal> {
    if std::str::from_utf8(body).is_err() {
        return Err(Refusal::new(Code::BadRequest, "the body is not UTF-8"));
    }
    let is_text = verb == Verb::Post && content_type == ContentType::Text;
    if is_text && body.len() > limits.text_bytes_max {
        let max = limits.text_bytes_max;
        return Err(Refusal::new(
            Code::TooLarge,
            format!("a text has at most {max} bytes"),
        ));
    }
    Ok(())
}

/// The client's own headers, within their limits.
fn own_headers(frame: &Frame, limits: &Limits) -> Result<Vec<(String, String)>, Refusal> {
    let refuse = |message: String| Err(Refusal::new(Code::BadRequest, message));
    let mut own = Vec::new();
    let mut bytes = 0;
    for (name, value) in frame.headers.iter() {
        if RESERVED.contains(&name) {
            return refuse(format!("only the server sets the header {name}"));
        }
        if CONSUMED.contains(&name) {
            continue;
        }
        bytes += name.len() + value.len();
        own.push((name.to_owned(), value.to_owned()));
    }
    let (count_max, bytes_max) = (limits.own_headers_max, limits.own_headers_bytes_max);
    if own.len() > count_max || bytes > bytes_max {
        return refuse(format!(
            "at most {count_max} headers of one's own, {bytes_max} bytes together"
        ));
    }
    Ok(own)
}
