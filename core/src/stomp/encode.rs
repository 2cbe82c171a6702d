//! Frames to bytes.

use bytes::Bytes;

use super::{
    escape::{Place, escape},
    frame::{Command, Frame, Version},
};

/// The header the codec keeps to itself.
pub(super) const CONTENT_LENGTH: &str = "content-length";

/// Writes one frame, header by header.
pub struct FrameWriter {
    /// What is written so far.
    out: Vec<u8>,
    /// The version whose escapes apply; `None` where the command has none.
    escapes: Option<Version>,
}

/// The bytes of a frame. A body that is not empty gets its `content-length`.
pub fn encode(frame: &Frame, version: Version) -> Bytes {
    let mut writer = FrameWriter::new(frame.command, version);
    for (name, value) in frame
        .headers
        .iter()
        .filter(|(name, _)| *name != CONTENT_LENGTH)
    {
        writer = writer.header(name, value);
    }
    match frame.body.is_empty() {
        true => writer.end(),
        false => writer.end_with_body(&frame.body),
    }
}

// === impl FrameWriter ===

impl FrameWriter {
    /// Begins a frame.
    pub fn new(command: Command, version: Version) -> Self {
        let mut out = Vec::with_capacity(128);
        out.extend_from_slice(command.as_str().as_bytes());
        out.push(b'\n');
        Self {
            out,
            escapes: command.is_escaped().then_some(version),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        header_line(name, value, self.escapes, &mut self.out);
        self
    }

    /// Adds a header, where there is one.
    #[must_use]
    pub fn header_if(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Ends the frame without a body.
    pub fn end(mut self) -> Bytes {
        self.out.extend_from_slice(b"\n\0");
        self.out.into_boxed_slice().into()
    }

    /// Ends the frame with a body and its `content-length`.
    pub fn end_with_body(self, body: &[u8]) -> Bytes {
        let mut out = self.header(CONTENT_LENGTH, &body.len().to_string()).out;
        out.reserve_exact(body.len() + 2);
        out.push(b'\n');
        out.extend_from_slice(body);
        out.push(0);
        out.into_boxed_slice().into()
    }
}

/// Appends one header line.
pub(super) fn header_line(name: &str, value: &str, escapes: Option<Version>, out: &mut Vec<u8>) {
    escape(name, escapes, Place::Name, out);
    out.push(b':');
    escape(value, escapes, Place::Value, out);
    out.push(b'\n');
}
