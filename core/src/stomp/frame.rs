//! Frames, their commands, headers and versions.

use bytes::Bytes;

/// Room for the header text of most frames, so that it is allocated once.
const USUAL_TEXT_BYTES: usize = 160;
/// Room for the headers of most frames.
const USUAL_HEADERS: usize = 6;

/// A version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// No escaping, no heart-beats, subscriptions by destination.
    V1_0,
    /// Escapes all but carriage returns.
    V1_1,
    /// Escapes carriage returns too, acknowledges by the header `ack`.
    V1_2,
}

/// One whole frame, owning its bytes: it pins no buffer of the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it asks or says.
    pub command: Command,
    /// Its headers, except `content-length`, which the codec reads and writes itself.
    pub headers: Headers,
    /// Its body, empty where there is none.
    pub body: Bytes,
}

/// A frame's headers in their order: of each name only the first occurrence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// All names and values, one after the other, so that a frame's headers are one allocation.
    text: String,
    /// Where each name and its value end in `text`.
    ends: Vec<(usize, usize)>,
}

macro_rules! commands {
    ($($variant:ident $text:literal;)*) => {
        /// A frame's command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Command { $(#[doc = $text] $variant),* }

        impl Command {
            /// Every command of the protocol.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its spelling, in capitals.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

commands! {
    Connect "CONNECT";
    Stomp "STOMP";
    Send "SEND";
    Subscribe "SUBSCRIBE";
    Unsubscribe "UNSUBSCRIBE";
    Ack "ACK";
    Nack "NACK";
    Begin "BEGIN";
    Commit "COMMIT";
    Abort "ABORT";
    Disconnect "DISCONNECT";
    Connected "CONNECTED";
    Message "MESSAGE";
    Receipt "RECEIPT";
    Error "ERROR";
}

// === impl Version ===

impl Version {
    /// Every version, the best first.
    pub const ALL: [Self; 3] = [Self::V1_2, Self::V1_1, Self::V1_0];

    /// As it is written in `accept-version` and `version`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The WebSocket subprotocol that stands for it.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::V1_0 => "v10.stomp",
            Self::V1_1 => "v11.stomp",
            Self::V1_2 => "v12.stomp",
        }
    }

    /// The best subprotocol of a `Sec-WebSocket-Protocol` list. `None` where the list names none of ours: the connection
    /// then goes on without a subprotocol, and CONNECT alone chooses the version.
    pub fn of_subprotocols(offered: &str) -> Option<Self> {
        let is_offered = |version: &Self| {
            let mut names = offered.split(',').map(str::trim_ascii);
            names.any(|name| name == version.subprotocol())
        };
        Self::ALL.into_iter().find(is_offered)
    }

    /// The best version of an `accept-version` list, matched exactly: a list's order, repeats and unknown members
    /// don't matter, and a blank makes a member unknown.
    pub fn best_of(accept_version: &str) -> Option<Self> {
        let offered = |version: &Self| accept_version.split(',').any(|one| one == version.as_str());
        Self::ALL.into_iter().find(offered)
    }
}

// === impl Frame ===

impl Frame {
    /// A frame without headers and body.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            headers: Headers::default(),
            body: Bytes::new(),
        }
    }

    /// Adds a header, unless one of that name is there.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}

// === impl Headers ===

impl Headers {
    /// The value of the header with exactly this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find_map(|(own, value)| (own == name).then_some(value))
    }

    /// Names and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        self.ends.iter().map(move |&(name_end, value_end)| {
            let header = (&self.text[start..name_end], &self.text[name_end..value_end]);
            start = value_end;
            header
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds a header, unless one of that name is there: the first occurrence wins.
    pub fn push(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            if self.ends.is_empty() {
                self.text.reserve(USUAL_TEXT_BYTES);
                self.ends.reserve(USUAL_HEADERS);
            }
            self.text.push_str(name);
            let name_end = self.text.len();
            self.text.push_str(value);
            self.ends.push((name_end, self.text.len()));
        }
    }

    /// Bytes of all names and values together.
    pub(super) fn text_bytes(&self) -> usize {
        self.text.len()
    }
}

// === impl Command ===

impl Command {
    /// Reads a command; case matters.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|command| command.as_str().as_bytes() == text)
    }

    /// Whether its frames may have a body.
    pub fn has_body(self) -> bool {
        matches!(self, Self::Send | Self::Message | Self::Error)
    }

    /// Whether its headers are escaped. Those of the first frame of each side are not, since STOMP 1.0 has no escapes.
    pub fn is_escaped(self) -> bool {
        !matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}
