//! One STOMP frame, and how it is written and read.

use std::fmt;

/// One STOMP frame.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) command: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

// === impl Frame ===

impl Frame {
    pub(crate) fn new(command: &str) -> Self {
        Self {
            command: command.into(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// SEND to a room.
    pub(crate) fn send(room: &str, text: &str) -> Self {
        Self::new("SEND")
            .with("destination", format!("/app/rooms/{room}"))
            .body(text)
    }

    /// SUBSCRIBE to a destination.
    pub(crate) fn subscribe(id: &str, destination: &str) -> Self {
        Self::new("SUBSCRIBE")
            .with("id", id)
            .with("destination", destination)
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }

    #[must_use]
    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// A header's value; a missing header is a failure.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.find(name)
            .unwrap_or_else(|| panic!("no header {name} in {self:?}"))
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// A header that holds a number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        self.header(name)
            .parse()
            .unwrap_or_else(|_| panic!("{name} is no number in {self:?}"))
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let plain = matches!(self.command.as_str(), "CONNECT" | "STOMP" | "CONNECTED");
        let mut bytes = format!("{}\n", self.command).into_bytes();
        for (name, value) in &self.headers {
            let line = if plain {
                format!("{name}:{value}\n")
            } else {
                format!("{}:{}\n", escape(name), escape(value))
            };
            bytes.extend(line.into_bytes());
        }
        bytes.push(b'\n');
        bytes.extend(&self.body);
        bytes.push(0);
        bytes
    }

    /// Exactly one frame, and nothing after its end.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let shown = || String::from_utf8_lossy(bytes).into_owned();
        let split = bytes.windows(2).position(|pair| pair == b"\n\n");
        let (head, rest) =
            bytes.split_at(split.unwrap_or_else(|| panic!("no end of headers in {:?}", shown())));
        let mut lines = std::str::from_utf8(head)
            .expect("UTF-8 headers")
            .split('\n');
        let mut frame = Self::new(lines.next().expect("a command"));
        let plain = frame.command == "CONNECTED";
        for line in lines {
            let (name, value) = line
                .split_once(':')
                .unwrap_or_else(|| panic!("no colon in {line:?}"));
            let read = |text: &str| {
                if plain {
                    text.to_owned()
                } else {
                    unescape(text)
                }
            };
            frame.headers.push((read(name), read(value)));
        }
        let (body, end) = match frame.find("content-length") {
            Some(length) => rest[2..].split_at(length.parse().expect("a length")),
            None => {
                rest[2..].split_at(rest[2..].iter().position(|byte| *byte == 0).expect("a NUL"))
            }
        };
        assert_eq!(
            end,
            b"\0",
            "one frame in one message, and nothing after it: {:?}",
            shown()
        );
        frame.body = body.to_vec();
        frame
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?} {}",
            self.command,
            self.headers,
            String::from_utf8_lossy(&self.body)
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\r', "\\r")
        .replace('\n', "\\n")
        .replace(':', "\\c")
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match (character, character == '\\') {
            (character, false) => character,
            _ => match characters.next() {
                Some('r') => '\r',
                Some('n') => '\n',
                Some('c') => ':',
                Some('\\') => '\\',
                other => panic!("undefined escape {other:?} in {text:?}"),
            },
        });
    }
    plain
}
