//! The one table of refusal codes, the same over STOMP and REST.

use thiserror::Error;

/// A request that was refused: what the client is told. The log's side of the story is kept where it happened.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {message}", code.as_str())]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// One sentence for the client's developer; never holds secrets or other users' data.
    pub message: String,
    /// How long to wait before trying again, in milliseconds, where waiting helps.
    pub retry_after_ms: Option<u64>,
}

macro_rules! codes {
    ($($variant:ident $text:literal $status:literal $doc:literal;)*) => {
        /// A stable refusal code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $doc] $variant),* }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The spelling in STOMP headers and problem documents.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// What it means, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc),* }
            }

            /// The HTTP status that goes with it.
            pub fn http_status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }
        }
    };
}

codes! {
    BadFrame "bad-frame" 400 "The bytes are not a STOMP frame.";
    BadRequest "bad-request" 400 "A header, field or parameter is wrong.";
    BadDestination "bad-destination" 404 "No such destination.";
    Unauthenticated "unauthenticated" 401 "No valid credential.";
    TokenExpired "token-expired" 401 "The token's time is over.";
    Forbidden "forbidden" 403 "The role may not do this.";
    NotAMember "not-a-member" 403 "A public room one has not joined.";
    Muted "muted" 403 "The member may read but not post.";
    Banned "banned" 403 "The user may not enter the room.";
    ReadOnly "read-only" 403 "Only moderators and owners post here.";
    AccountsOff "accounts-off" 404 "Nobody signs up or logs in here: another system says who is who.";
    NotFound "not-found" 404 "Unknown, or private to others.";
    Conflict "conflict" 409 "The room's state does not allow it.";
    IdMismatch "id-mismatch" 409 "Two different ids for one message.";
    FrameTooLarge "frame-too-large" 413 "A frame, header or WebSocket limit was passed.";
    TooLarge "too-large" 413 "A text, meta, mention or attachment limit was passed.";
    TooMany "too-many" 429 "Too many requests.";
    SlowMode "slow-mode" 429 "The room's slow mode asks for patience.";
    Overloaded "overloaded" 503 "The server sheds load.";
    LogUnavailable "log-unavailable" 503 "The log did not acknowledge; whether it holds the event is unknown.";
    StoreUnavailable "store-unavailable" 503 "The store did not answer.";
    Draining "draining" 503 "The server is going away; connect again.";
    Internal "internal" 500 "A fault of the server.";
}

// === impl Refusal ===

impl Refusal {
    /// A refusal that waiting does not mend.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// A refusal that may be gone after this many milliseconds.
    pub fn retry_after(code: Code, message: impl Into<String>, retry_after_ms: u64) -> Self {
        Self {
            retry_after_ms: Some(retry_after_ms),
            ..Self::new(code, message)
        }
    }
}
