//! One event as its MESSAGE is made of.

use roomlog_core::{session::Mark, stomp::MessageFrame};

/// Bytes of a message's text.
pub(crate) const TEXT_BYTES: usize = 200;

/// An event's body.
pub(crate) fn body() -> String {
    let text = "x".repeat(TEXT_BYTES);
    format!(
        "{{\"room\":\"lobby\",\"seq\":42,\"count\":40,\"type\":\"message\",\"id\":\"0190c5a8-7d1e\",\
         \"sender\":{{\"id\":\"alice\",\"name\":\"Alice\"}},\"at\":1763700000000,\"text\":\"{text}\"}}"
    )
}

/// The part of its MESSAGE that all subscribers share.
pub(crate) fn message(body: &str) -> MessageFrame {
    let server = [
        ("message-id", "lobby-42"),
        ("destination", "/topic/rooms/lobby"),
        ("content-type", "application/json"),
        ("seq", "42"),
        ("count", "40"),
        ("epoch", "e1"),
        ("type", "message"),
        ("timestamp", "1763700000000"),
    ];
    MessageFrame::new(Mark::Number(42), &server, [], body)
}
