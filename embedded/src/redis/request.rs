//! Requests from bytes: arrays of bulk strings, or a line of words as one types it.

use bytes::{Buf, Bytes, BytesMut};

use super::reply::Failure;

/// Bytes of one line: a header or an inline request, as in Redis.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Arguments of one request.
const ARGUMENTS_MAX: usize = 1024 * 1024;

/// Arguments that room is reserved for before they arrive.
const ARGUMENTS_RESERVED: usize = 64;

/// One request: the command's name, then its arguments. Never empty.
pub(super) type Request = Vec<Bytes>;

/// Takes requests out of a stream of bytes, however it is split.
pub(super) struct Decoder {
    buffer: BytesMut,
    /// The request whose arguments are still arriving.
    partial: Option<Partial>,
    /// Bytes of one request with all that belongs to it.
    bytes_max: usize,
}

struct Partial {
    arguments: Vec<Bytes>,
    /// Arguments announced and not there yet, the current one included.
    missing: usize,
    /// Length of the current argument once its header has been read.
    length: Option<usize>,
    /// Bytes of the arguments so far.
    bytes: usize,
}

// === impl Decoder ===

impl Decoder {
    pub(super) fn new(bytes_max: usize) -> Decoder {
        Decoder {
            buffer: BytesMut::new(),
            partial: None,
            bytes_max,
        }
    }

    /// Where the next bytes go.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next complete request. After an error the stream is out of step and must be closed.
    pub(super) fn next(&mut self) -> Result<Option<Request>, Failure> {
        loop {
            if self.partial.is_none() && !self.start()? {
                return Ok(None);
            }
            let Some(partial) = &mut self.partial else {
                continue;
            };
            while partial.missing > 0 {
                if !partial.take_argument(&mut self.buffer, self.bytes_max)? {
                    return Ok(None);
                }
            }
            let request = self.partial.take().map(|partial| partial.arguments);
            if let Some(request) = request.filter(|request| !request.is_empty()) {
                return Ok(Some(request));
            }
        }
    }

    /// Reads the first line of a request; gives whether there was one.
    fn start(&mut self) -> Result<bool, Failure> {
        let Some(line) = take_line(&mut self.buffer)? else {
            return Ok(false);
        };
        let partial = match line.strip_prefix(b"*") {
            Some(length) => {
                let missing = length_of(length).filter(|length| *length <= ARGUMENTS_MAX);
                let missing = missing.ok_or_else(|| protocol("invalid multibulk length"))?;
                let arguments = Vec::with_capacity(missing.min(ARGUMENTS_RESERVED));
                Partial {
                    arguments,
                    missing,
                    length: None,
                    bytes: 0,
                }
            }
            None => {
                let words = line[..]
                    .split(u8::is_ascii_whitespace)
                    .filter(|word| !word.is_empty());
                let arguments = words.map(Bytes::copy_from_slice).collect();
                Partial {
                    arguments,
                    missing: 0,
                    length: None,
                    bytes: 0,
                }
            }
        };
        self.partial = Some(partial);
        Ok(true)
    }
}

// === impl Partial ===

impl Partial {
    /// Takes the next argument out of the buffer; gives whether it was there.
    fn take_argument(&mut self, buffer: &mut BytesMut, bytes_max: usize) -> Result<bool, Failure> {
        let length = match self.length {
            Some(length) => length,
            None => {
                let Some(line) = take_line(buffer)? else {
                    return Ok(false);
                };
                let Some(length) = line.strip_prefix(b"$") else {
                    let got = line.first().map_or(' ', |byte| char::from(*byte));
                    return Err(protocol(&format!("expected '$', got '{got}'")));
                };
                let length = length_of(length).ok_or_else(|| protocol("invalid bulk length"))?;
                self.bytes = self
                    .bytes
                    .saturating_add(length)
                    .saturating_add(size_of::<Bytes>());
                if self.bytes > bytes_max {
                    return Err(protocol("request too large"));
                }
                self.length = Some(length);
                length
            }
        };
        if buffer.len() < length + 2 {
            return Ok(false);
        }
        // A copy, so that a small value kept for long does not hold on to the whole buffer it came in.
        self.arguments
            .push(Bytes::copy_from_slice(&buffer[..length]));
        buffer.advance(length + 2);
        self.length = None;
        self.missing -= 1;
        Ok(true)
    }
}

/// A line without its end, if it is complete.
fn take_line(buffer: &mut BytesMut) -> Result<Option<BytesMut>, Failure> {
    let window = &buffer[..buffer.len().min(LINE_BYTES_MAX)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return match window.len() < LINE_BYTES_MAX {
            true => Ok(None),
            false => Err(protocol("too big inline request")),
        };
    };
    let mut line = buffer.split_to(end + 1);
    line.truncate(end);
    if line.last() == Some(&b'\r') {
        line.truncate(end - 1);
    }
    Ok(Some(line))
}

fn length_of(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn protocol(what: &str) -> Failure {
    Failure::new(format!("ERR Protocol error: {what}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    const BYTES_MAX: usize = 1000;

    fn decode(chunks: &[&[u8]]) -> Result<Vec<Request>, Failure> {
        let mut decoder = Decoder::new(BYTES_MAX);
        let mut requests = Vec::new();
        for chunk in chunks {
            decoder.buffer().extend_from_slice(chunk);
            while let Some(request) = decoder.next()? {
                requests.push(request);
            }
        }
        Ok(requests)
    }

    fn encode(request: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", request.len()).into_bytes();
        for argument in request {
            bytes.extend(format!("${}\r\n", argument.len()).bytes());
            bytes.extend(argument);
            bytes.extend(b"\r\n");
        }
        bytes
    }

    #[test]
    fn reads_a_typed_line() {
        assert_eq!(
            decode(&[b"set  a 1\r\n\r\nPING\n"]).unwrap(),
            [vec!["set", "a", "1"], vec!["PING"]]
        );
    }

    #[test]
    fn a_request_beyond_the_limit_is_refused_before_it_has_arrived() {
        assert!(decode(&[b"*2\r\n$3\r\nGET\r\n$2000\r\n"]).is_err());
        assert!(decode(&[b"*2000000\r\n"]).is_err());
        assert!(decode(&[b"*1\r\n$-1\r\n"]).is_err());
        assert!(decode(&[&b"x".repeat(LINE_BYTES_MAX)]).is_err());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_requests(
            requests in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..5), 1..5),
            at in any::<prop::sample::Index>(),
        ) {
            let bytes: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
            let (first, second) = bytes.split_at(at.index(bytes.len()));
            prop_assert_eq!(decode(&[first, second]).unwrap(), requests);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&[&bytes]);
        }

        #[test]
        fn nearly_right_bytes_never_panic(text in "[*$0-9a\\r\\n-]{0,40}") {
            let _ = decode(&[text.as_bytes()]);
        }
    }
}
