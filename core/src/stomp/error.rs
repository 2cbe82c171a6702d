//! What can be wrong with a client's bytes, and where.

use thiserror::Error;

use crate::code::Code;

/// The first thing wrong with a connection's bytes. Nothing after it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{fault} at byte {offset}")]
pub struct StompError {
    /// What is wrong.
    pub fault: Fault,
    /// Where, counted from the connection's first byte.
    pub offset: u64,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// A carriage return outside of a body that is not followed by a line feed.
    #[error("carriage return without line feed")]
    LoneCarriageReturn,
    /// A NUL before the headers' end.
    #[error("NUL before the end of the headers")]
    NulInHeaders,
    /// The command is none of the protocol's.
    #[error("no such command")]
    UnknownCommand,
    /// A header line has no colon.
    #[error("header without colon")]
    NoColon,
    /// A header line begins with its colon.
    #[error("header without name")]
    EmptyName,
    /// A header is not UTF-8.
    #[error("header is not UTF-8")]
    InvalidUtf8,
    /// A backslash that begins none of the version's escapes.
    #[error("undefined escape")]
    UndefinedEscape,
    /// A `content-length` that is not a plain decimal number.
    #[error("content-length is not a number")]
    ContentLength,
    /// Two `content-length` headers that differ.
    #[error("content-length given twice with different values")]
    ContentLengthConflict,
    /// A body on a command that has none.
    #[error("body on a frame that has none")]
    BodyNotAllowed,
    /// The octet after a body of known length is not NUL.
    #[error("body longer than its content-length")]
    NoNulAfterBody,
    /// A bound was passed.
    #[error("{0}")]
    TooLarge(Bound),
}

/// The bounds a frame can pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Bound {
    /// Headers of a frame.
    #[error("too many headers")]
    Headers,
    /// One header line.
    #[error("header line too long")]
    HeaderLine,
    /// All header lines of a frame.
    #[error("headers too long")]
    HeaderBytes,
    /// The body.
    #[error("body too long")]
    Body,
    /// The frame as a whole, before CONNECT is answered.
    #[error("frame too long before sign-in")]
    Frame,
}

// === impl Fault ===

impl Fault {
    /// The code that goes with it.
    pub fn code(self) -> Code {
        match self {
            Self::TooLarge(_) => Code::FrameTooLarge,
            _ => Code::BadFrame,
        }
    }
}
