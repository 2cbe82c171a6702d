//! The frame a decoder has not read whole yet.

use super::{
    encode::CONTENT_LENGTH,
    error::{Bound, Fault},
    escape::unescape,
    frame::{Command, Headers, Version},
};

/// What is known of a frame before its end.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) command: Command,
    pub(super) headers: Headers,
    /// Header lines so far, repeated ones included.
    pub(super) header_count: usize,
    /// Bytes of those lines, the unfinished one included.
    pub(super) headers_bytes: usize,
    /// Bytes of command, headers and body so far.
    pub(super) frame_bytes: usize,
    pub(super) content_length: Option<usize>,
    pub(super) body: Vec<u8>,
}

// === impl Partial ===

impl Partial {
    pub(super) fn new() -> Self {
        Self {
            command: Command::Send,
            headers: Headers::default(),
            header_count: 0,
            headers_bytes: 0,
            frame_bytes: 0,
            content_length: None,
            body: Vec::new(),
        }
    }

    /// Adds one header line; a fault comes with its place on the line.
    pub(super) fn header(
        &mut self,
        line: &[u8],
        escapes: Option<Version>,
        body_bytes_max: usize,
    ) -> Result<(), (Fault, usize)> {
        self.header_count += 1;
        let line =
            std::str::from_utf8(line).map_err(|error| (Fault::InvalidUtf8, error.valid_up_to()))?;
        let (name, value) = line.split_once(':').ok_or((Fault::NoColon, 0))?;
        if name.is_empty() {
            return Err((Fault::EmptyName, 0));
        }
        if name == CONTENT_LENGTH {
            return self
                .content_length(value, body_bytes_max)
                .map_err(|fault| (fault, 0));
        }
        self.headers
            .push_escaped(name, value, escapes)
            .map_err(|at| (Fault::UndefinedEscape, at))
    }

    /// Takes a `content-length` before anything of that size is kept.
    fn content_length(&mut self, value: &str, body_bytes_max: usize) -> Result<(), Fault> {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::ContentLength);
        }
        let length = value.parse().unwrap_or(usize::MAX);
        match self.content_length {
            Some(first) if first != length => Err(Fault::ContentLengthConflict),
            _ if length > 0 && !self.command.has_body() => Err(Fault::BodyNotAllowed),
            _ if length > body_bytes_max => Err(Fault::TooLarge(Bound::Body)),
            _ => {
                self.content_length = Some(length);
                Ok(())
            }
        }
    }
}

// === impl Headers ===

impl Headers {
    /// Adds a header as it came over the wire; on an undefined escape answers its place on the line.
    fn push_escaped(
        &mut self,
        name: &str,
        value: &str,
        escapes: Option<Version>,
    ) -> Result<(), usize> {
        if escapes.is_none() || !(name.contains('\\') || value.contains('\\')) {
            self.push(name, value);
            return Ok(());
        }
        let (mut own_name, mut own_value) = (String::new(), String::new());
        unescape(name, escapes, &mut own_name)?;
        unescape(value, escapes, &mut own_value).map_err(|at| name.len() + 1 + at)?;
        self.push(&own_name, &own_value);
        Ok(())
    }
}
