//! How a refusal reaches the client: as a MESSAGE to `/user/queue/errors`, or as ERROR before the close.

use std::fmt::Write;

use bytes::Bytes;

use crate::{
    code::{Code, Refusal},
    stomp::{Command, FrameWriter, Mark, MessageFrame, Version},
};

use super::destination::Topic;

/// WebSocket close codes a session uses.
pub(super) mod close {
    /// After DISCONNECT.
    pub(crate) const NORMAL: u16 = 1000;
    /// The protocol was broken.
    pub(crate) const PROTOCOL: u16 = 1002;
    /// What was asked is not allowed.
    pub(crate) const POLICY: u16 = 1008;
    /// A limit of size was passed.
    pub(crate) const TOO_BIG: u16 = 1009;
    /// A fault of the server.
    pub(crate) const INTERNAL: u16 = 1011;
    /// The server goes away.
    pub(crate) const RESTART: u16 = 1012;
    /// Too much at the moment.
    pub(crate) const TRY_AGAIN: u16 = 1013;
}

/// Why a frame, or the session, is turned down.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The session lives where the client listens for refusals.
    Refused(Refusal),
    /// Always ERROR and close.
    Fatal(Fatal),
}

/// What ends a session.
#[derive(Debug)]
pub(super) struct Fatal {
    /// What the client is told.
    pub(super) refusal: Refusal,
    /// The WebSocket close code.
    pub(super) close_code: u16,
    /// The versions to offer, where none was common.
    pub(super) versions: Option<String>,
}

// === impl Trouble ===

impl Trouble {
    /// A request that is turned down.
    pub(super) fn refused(code: Code, message: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, message))
    }

    /// A frame that makes no sense in STOMP.
    pub(super) fn protocol(code: Code, message: impl Into<String>) -> Self {
        Self::Fatal(Fatal {
            close_code: close::PROTOCOL,
            ..Fatal::from(Refusal::new(code, message))
        })
    }

    /// A frame that lacks a header STOMP asks for.
    pub(super) fn missing(header: &str) -> Self {
        Self::protocol(
            Code::BadRequest,
            format!("this frame needs the header {header}"),
        )
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

// === impl Fatal ===

impl From<Refusal> for Fatal {
    /// A refusal that ends the session closes it with the code that fits it.
    fn from(refusal: Refusal) -> Self {
        Self {
            close_code: close_code(refusal.code),
            refusal,
            versions: None,
        }
    }
}

fn close_code(code: Code) -> u16 {
    match code {
        Code::BadFrame => close::PROTOCOL,
        Code::FrameTooLarge | Code::TooLarge => close::TOO_BIG,
        Code::Draining => close::RESTART,
        Code::Overloaded | Code::LogUnavailable | Code::StoreUnavailable => close::TRY_AGAIN,
        Code::Internal => close::INTERNAL,
        Code::BadRequest
        | Code::BadDestination
        | Code::Unauthenticated
        | Code::TokenExpired
        | Code::Forbidden
        | Code::NotAMember
        | Code::Muted
        | Code::Banned
        | Code::ReadOnly
        | Code::NotFound
        | Code::Conflict
        | Code::IdMismatch
        | Code::TooMany
        | Code::SlowMode
        | Code::AccountsOff => close::POLICY,
    }
}

/// The token's time is over, or was when it came.
pub(super) fn token_expired() -> Fatal {
    Refusal::new(Code::TokenExpired, "the token's time is over").into()
}

/// Patience with CONNECT, or with the answer to it, ended.
pub(super) fn connect_timeout() -> Fatal {
    Refusal::new(Code::Unauthenticated, "CONNECT took too long").into()
}

/// What waits for the answer to CONNECT passed its bound.
pub(super) fn too_much_before_sign_in() -> Fatal {
    Refusal::new(Code::FrameTooLarge, "too much was sent before CONNECTED").into()
}

/// The client was silent for too long.
pub(super) fn silent() -> Fatal {
    Fatal {
        close_code: close::PROTOCOL,
        ..Fatal::from(Refusal::new(
            Code::BadRequest,
            "no heart-beat came in the time that was agreed",
        ))
    }
}

/// The ERROR frame of what ends a session.
pub(super) fn error_frame(fatal: &Fatal, receipt: Option<&str>, version: Version) -> Bytes {
    let refusal = &fatal.refusal;
    let retry_after = refusal.retry_after_ms.map(|ms| ms.to_string());
    FrameWriter::new(Command::Error, version)
        .header("message", &refusal.message)
        .header("code", refusal.code.as_str())
        .header_if("receipt-id", receipt)
        .header_if("retry_after_ms", retry_after.as_deref())
        .header_if("version", fatal.versions.as_deref())
        .header("content-type", "text/plain")
        .end_with_body(refusal.message.as_bytes())
}

/// The MESSAGE that tells a refusal to those who listen; `number` is its rank in the session.
pub(super) fn message(refusal: &Refusal, receipt: Option<&str>, number: u64) -> MessageFrame {
    let retry_after = refusal.retry_after_ms.map(|ms| ms.to_string());
    let (message_id, destination) = (
        Topic::Errors.message_id(number),
        Topic::Errors.destination(),
    );
    let fixed = [
        ("message-id", message_id.as_str()),
        ("destination", &destination),
        ("content-type", "application/json"),
        ("code", refusal.code.as_str()),
    ];
    let varying = [
        ("message", Some(refusal.message.as_str())),
        ("receipt-id", receipt),
        ("retry_after_ms", retry_after.as_deref()),
    ];
    let varying = varying
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    let body = json(refusal, receipt);
    MessageFrame::new(Mark::Number(number), &fixed, varying, &body)
}

/// The refusal as one line of JSON.
fn json(refusal: &Refusal, receipt: Option<&str>) -> String {
    let mut out = String::from("{\"code\":\"");
    out.push_str(refusal.code.as_str());
    out.push_str("\",\"message\":\"");
    push_json_text(&refusal.message, &mut out);
    out.push('"');
    if let Some(receipt) = receipt {
        out.push_str(",\"receipt-id\":\"");
        push_json_text(receipt, &mut out);
        out.push('"');
    }
    if let Some(ms) = refusal.retry_after_ms {
        out.push_str(",\"retry_after_ms\":");
        out.push_str(&ms.to_string());
    }
    out.push('}');
    out
}

/// Appends a text as the inside of a JSON string, on one line by every reader's idea of a line.
fn push_json_text(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
                write!(out, "\\u{:04x}", u32::from(letter)).expect("a String takes everything");
            }
            _ => out.push(letter),
        }
    }
}
