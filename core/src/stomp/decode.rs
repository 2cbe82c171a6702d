//! Bytes to frames. The decoder takes bytes cut anywhere and reports the first fault at its exact byte, so what it
//! says never depends on how the bytes were cut; every bound is checked before the byte that passes it is kept.

use bytes::Bytes;

use super::{
    error::{Bound, Fault, StompError},
    frame::{Command, Frame, Version},
    partial::Partial,
};
use crate::limits::Limits;

/// The longest line kept allocated between frames; a longer one is given back, so that an idle connection stays small.
const LINE_KEPT_BYTES_MAX: usize = 256;
/// The longest command, `UNSUBSCRIBE`; a longer one is unknown before it is read whole.
const COMMAND_BYTES_MAX: usize = 11;

/// Reads the frames of one connection.
#[derive(Debug)]
pub struct Decoder {
    /// What may be read.
    bounds: Bounds,
    /// Whose escapes apply.
    version: Version,
    /// What comes next.
    state: State,
    /// Bytes of the connection that were read.
    offset: u64,
    /// Whether the last byte was a carriage return that waits for its line feed.
    carriage_return: bool,
    /// The command or header line that is not whole yet, without its end.
    line: Vec<u8>,
    /// The frame that is not whole yet.
    partial: Partial,
}

/// What a decoder accepts. Line ends count toward none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Headers, repeated ones included.
    pub headers_max: usize,
    /// Bytes of one header line.
    pub header_line_bytes_max: usize,
    /// Bytes of all header lines.
    pub headers_bytes_max: usize,
    /// Bytes of the body.
    pub body_bytes_max: usize,
    /// Bytes of command, headers and body together.
    pub frame_bytes_max: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Before a frame: line ends are heart-beats.
    Between,
    /// Inside the command line.
    Command,
    /// Inside the header lines.
    Headers,
    /// After the blank line.
    Body,
    /// At the first fault; nothing more is read.
    Failed(StompError),
}

// === impl Bounds ===

impl Bounds {
    /// For a client that is signed in.
    pub fn signed_in(limits: &Limits) -> Self {
        Self {
            headers_max: limits.headers_max,
            header_line_bytes_max: limits.header_line_bytes_max,
            headers_bytes_max: limits.headers_bytes_max,
            body_bytes_max: limits.frame_body_bytes_max,
            frame_bytes_max: usize::MAX,
        }
    }

    /// For a client that is not: the same, and a frame as a whole stays small.
    pub fn before_connect(limits: &Limits) -> Self {
        Self {
            frame_bytes_max: limits.unauthenticated_frame_bytes_max,
            ..Self::signed_in(limits)
        }
    }
}

// === impl Decoder ===

impl Decoder {
    /// A decoder at a connection's first byte. Until told otherwise it reads 1.2.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            version: Version::V1_2,
            state: State::Between,
            offset: 0,
            carriage_return: false,
            line: Vec::new(),
            partial: Partial::new(),
        }
    }

    /// Reads what follows as this version.
    pub fn switch_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Reads what follows within these bounds.
    pub fn switch_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// Bytes held for a frame that is not whole yet.
    pub fn buffered_bytes(&self) -> usize {
        self.line.len() + self.partial.headers.text_bytes() + self.partial.body.len()
    }

    /// Takes bytes off the front of `input` until a frame is whole or the input is used up. After a fault it answers
    /// that fault for ever.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, StompError> {
        let result = self.advance(input);
        if let Err(error) = result {
            self.line = Vec::new();
            self.partial = Partial::new();
            self.state = State::Failed(error);
        }
        result
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Frame>, StompError> {
        while !input.is_empty() {
            match self.state {
                State::Failed(error) => return Err(error),
                State::Between => self.skip_between(input)?,
                State::Command | State::Headers => self.read_line(input)?,
                State::Body => {
                    if let Some(body) = self.read_body(input)? {
                        return Ok(Some(self.whole(body)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Skips line ends, and stray NULs, which some clients send after their frames.
    fn skip_between(&mut self, input: &mut &[u8]) -> Result<(), StompError> {
        while let Some(&byte) = input.first() {
            if self.carriage_return && byte != b'\n' {
                return Err(self.lone_carriage_return());
            }
            self.carriage_return = byte == b'\r';
            if !matches!(byte, b'\n' | b'\r' | 0) {
                self.state = State::Command;
                return Ok(());
            }
            self.consume(input, 1);
        }
        Ok(())
    }

    /// Reads a command or header line, or the piece of it that is there.
    fn read_line(&mut self, input: &mut &[u8]) -> Result<(), StompError> {
        let stop = input
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r' | 0));
        let text = stop.unwrap_or(input.len());
        if self.carriage_return && input[0] != b'\n' {
            return Err(self.lone_carriage_return());
        }
        self.check_line(text)?;
        self.partial.frame_bytes += text;
        if matches!(self.state, State::Headers) {
            self.partial.headers_bytes += text;
        }
        match stop.map(|at| input[at]) {
            Some(b'\n') => {
                self.end_line(input, text)?;
                self.consume(input, text + 1);
                self.carriage_return = false;
            }
            Some(b'\r') => {
                self.line.extend_from_slice(&input[..text]);
                self.consume(input, text + 1);
                self.carriage_return = true;
            }
            Some(_) => return Err(self.fault(Fault::NulInHeaders, text)),
            None => {
                self.line.extend_from_slice(input);
                self.consume(input, text);
            }
        }
        Ok(())
    }

    /// Whether so many bytes more fit on this line; if not, the fault is at the first that does not.
    fn check_line(&self, bytes: usize) -> Result<(), StompError> {
        let bounds = &self.bounds;
        let partial = &self.partial;
        let in_frame = (
            bounds.frame_bytes_max.saturating_sub(partial.frame_bytes),
            Fault::TooLarge(Bound::Frame),
        );
        let rooms = match self.state {
            State::Headers => {
                if bytes > 0 && self.line.is_empty() && partial.header_count >= bounds.headers_max {
                    return Err(self.fault(Fault::TooLarge(Bound::Headers), 0));
                }
                let on_line = bounds.header_line_bytes_max.saturating_sub(self.line.len());
                let in_all = bounds
                    .headers_bytes_max
                    .saturating_sub(partial.headers_bytes);
                [
                    (on_line, Fault::TooLarge(Bound::HeaderLine)),
                    (in_all, Fault::TooLarge(Bound::HeaderBytes)),
                    in_frame,
                ]
            }
            _ => {
                let left = COMMAND_BYTES_MAX.saturating_sub(self.line.len());
                [(left, Fault::UnknownCommand), in_frame, in_frame]
            }
        };
        self.check_rooms(bytes, rooms)
    }

    /// Fails at the first byte for which there is no room, by the tightest of several bounds.
    fn check_rooms<const N: usize>(
        &self,
        bytes: usize,
        rooms: [(usize, Fault); N],
    ) -> Result<(), StompError> {
        match rooms.into_iter().min_by_key(|(room, _)| *room) {
            Some((room, fault)) if bytes > room => Err(self.fault(fault, room)),
            _ => Ok(()),
        }
    }

    /// Reads the line that ends at `input[text]`.
    fn end_line(&mut self, input: &[u8], text: usize) -> Result<(), StompError> {
        if self.line.is_empty() {
            return self.parse_line(&input[..text], self.offset);
        }
        self.line.extend_from_slice(&input[..text]);
        let mut line = std::mem::take(&mut self.line);
        let carriage_return = u64::from(self.carriage_return);
        let start = self.offset + text as u64 - carriage_return - line.len() as u64;
        self.parse_line(&line, start)?;
        if line.capacity() <= LINE_KEPT_BYTES_MAX {
            line.clear();
            self.line = line;
        }
        Ok(())
    }

    fn parse_line(&mut self, line: &[u8], start: u64) -> Result<(), StompError> {
        let fault = |fault, at: usize| StompError {
            fault,
            offset: start + at as u64,
        };
        match self.state {
            State::Headers if line.is_empty() => {
                self.state = State::Body;
                self.check_content_length()
            }
            State::Headers => {
                let escapes = self.partial.command.is_escaped().then_some(self.version);
                self.partial
                    .header(line, escapes, self.bounds.body_bytes_max)
                    .map_err(|(wrong, at)| fault(wrong, at))
            }
            _ => {
                self.partial.command =
                    Command::parse(line).ok_or_else(|| fault(Fault::UnknownCommand, 0))?;
                self.state = State::Headers;
                Ok(())
            }
        }
    }

    /// A body of known length must fit into the frame as a whole; it is checked before any of it is read.
    fn check_content_length(&self) -> Result<(), StompError> {
        let partial = &self.partial;
        let room = self
            .bounds
            .frame_bytes_max
            .saturating_sub(partial.frame_bytes);
        match partial.content_length {
            Some(length) if length > room => Err(self.fault(Fault::TooLarge(Bound::Frame), 0)),
            _ => Ok(()),
        }
    }

    /// Reads the body, or the piece of it that is there; answers it when it is whole and its NUL is read too.
    fn read_body(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, StompError> {
        let here = match self.partial.content_length {
            Some(length) => {
                let missing = length - self.partial.body.len();
                if input.len() > missing && input[missing] != 0 {
                    return Err(self.fault(Fault::NoNulAfterBody, missing));
                }
                missing.min(input.len())
            }
            None => {
                let end = input.iter().position(|byte| *byte == 0);
                let here = end.unwrap_or(input.len());
                self.check_body(here)?;
                here
            }
        };
        self.partial.frame_bytes += here;
        if here == input.len() {
            self.partial.body.extend_from_slice(input);
            self.consume(input, here);
            return Ok(None);
        }
        let body = if self.partial.body.is_empty() {
            Bytes::copy_from_slice(&input[..here])
        } else {
            self.partial.body.extend_from_slice(&input[..here]);
            std::mem::take(&mut self.partial.body)
                .into_boxed_slice()
                .into()
        };
        self.consume(input, here + 1);
        Ok(Some(body))
    }

    /// Whether so many bytes more fit into a body of unknown length.
    fn check_body(&self, bytes: usize) -> Result<(), StompError> {
        let partial = &self.partial;
        let in_body = match partial.command.has_body() {
            true => (
                self.bounds
                    .body_bytes_max
                    .saturating_sub(partial.body.len()),
                Fault::TooLarge(Bound::Body),
            ),
            false => (0, Fault::BodyNotAllowed),
        };
        let in_frame = self
            .bounds
            .frame_bytes_max
            .saturating_sub(partial.frame_bytes);
        self.check_rooms(bytes, [in_body, (in_frame, Fault::TooLarge(Bound::Frame))])
    }

    fn whole(&mut self, body: Bytes) -> Frame {
        let partial = std::mem::replace(&mut self.partial, Partial::new());
        self.state = State::Between;
        Frame {
            command: partial.command,
            headers: partial.headers,
            body,
        }
    }

    fn consume(&mut self, input: &mut &[u8], bytes: usize) {
        *input = &input[bytes..];
        self.offset += bytes as u64;
    }

    fn fault(&self, fault: Fault, ahead: usize) -> StompError {
        StompError {
            fault,
            offset: self.offset + ahead as u64,
        }
    }

    fn lone_carriage_return(&self) -> StompError {
        StompError {
            fault: Fault::LoneCarriageReturn,
            offset: self.offset - 1,
        }
    }
}
