//! A WebSocket spoken piece by piece: fragments, control frames anywhere, ends half open; what a proper client hides.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    stomp::Frame,
    wait::{SOON, a_moment, within},
};

/// Opcodes of RFC 6455, section 5.2.
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;
/// The bit of the first octet that says that no piece follows.
pub(crate) const FINAL: u8 = 0x80;
/// The first of the bits that only an extension gives a meaning.
pub(crate) const RESERVED: u8 = 0x40;

/// Any key does; a random one would only make runs differ.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One WebSocket frame from the server.
#[derive(Debug)]
pub(crate) struct Piece {
    /// With [`FINAL`] and the reserved bits.
    pub(crate) first_octet: u8,
    pub(crate) payload: Vec<u8>,
}

/// A TCP connection that asked for an upgrade.
pub(crate) struct Socket {
    stream: TcpStream,
    /// The head of the answer to the upgrade.
    head: String,
    received: Vec<u8>,
}

// === impl Socket ===

impl Socket {
    /// Asks for an upgrade with these headers beside the necessary ones, and reads the head of the answer.
    pub(crate) async fn upgrade(http: &str, headers: &[(&str, &str)]) -> Self {
        Self::upgrade_at(http, "/ws", headers).await
    }

    /// The same at another path.
    pub(crate) async fn upgrade_at(http: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        let address = http.strip_prefix("http://").expect("an address");
        let mut request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        );
        let mut put = |name: &str, value: &str| {
            request.push_str(&format!("{name}: {value}\r\n"));
        };
        put("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        if !headers
            .iter()
            .any(|(name, _)| *name == "Sec-WebSocket-Version")
        {
            put("Sec-WebSocket-Version", "13");
        }
        for (name, value) in headers {
            put(name, value);
        }
        request.push_str("\r\n");
        Self::asks(http, request.as_bytes()).await
    }

    /// Sends any octets as an HTTP request and reads the head of the answer; an empty one where there is none.
    pub(crate) async fn asks(http: &str, request: &[u8]) -> Self {
        let address = http.strip_prefix("http://").expect("an address");
        let stream = TcpStream::connect(address).await.expect("a listener");
        let mut socket = Self {
            stream,
            head: String::new(),
            received: Vec::new(),
        };
        // The server may answer and close before it has read everything.
        let _ = socket.stream.write_all(request).await;
        within("the answer to an upgrade", SOON, async {
            loop {
                if let Some(end) = find(&socket.received, b"\r\n\r\n") {
                    let head = socket.received.drain(..end + 4).collect();
                    socket.head = String::from_utf8(head).expect("a head of text");
                    return;
                }
                if !socket.read().await {
                    return;
                }
            }
        })
        .await;
        socket
    }

    /// A connection that is upgraded and signed in, with these headers in its CONNECT.
    pub(crate) async fn signed_in(http: &str, token: &str, headers: &[(&str, &str)]) -> Self {
        let mut socket = Self::upgrade(http, &[]).await;
        socket.signs_in(token, headers).await;
        socket
    }

    /// Sends CONNECT with these headers beside the necessary ones, and reads CONNECTED.
    pub(crate) async fn signs_in(&mut self, token: &str, headers: &[(&str, &str)]) {
        let mut connect = Frame::new("CONNECT")
            .with("accept-version", "1.2")
            .with("Authorization", format!("Bearer {token}"));
        for (name, value) in headers {
            connect = connect.with(name, value);
        }
        self.send(FINAL | TEXT, &connect.encode()).await;
        assert_eq!(self.frame().await.command, "CONNECTED");
    }

    /// The status of the answer to the upgrade; 0 where there was none.
    pub(crate) fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1);
        status.map_or(0, |status| status.parse().expect("a status"))
    }

    /// A header of the answer to the upgrade.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    /// Sends one WebSocket frame.
    pub(crate) async fn send(&mut self, first_octet: u8, payload: &[u8]) {
        let bytes = piece(first_octet, payload);
        self.send_octets(&bytes).await;
    }

    /// The same where the other side may have ended the connection already.
    pub(crate) async fn try_send(&mut self, first_octet: u8, payload: &[u8]) {
        let bytes = piece(first_octet, payload);
        let _ = self.stream.write_all(&bytes).await;
    }

    /// Sends any octets.
    pub(crate) async fn send_octets(&mut self, octets: &[u8]) {
        let sent = self.stream.write_all(octets).await;
        sent.expect("an open connection");
    }

    /// Ends what this side says; the other side may go on.
    pub(crate) async fn end_output(&mut self) {
        self.stream.shutdown().await.expect("an open connection");
    }

    /// The next WebSocket frame; nothing at the end of the connection.
    pub(crate) async fn piece(&mut self) -> Option<Piece> {
        within("a WebSocket frame", SOON, async {
            loop {
                if let Some((piece, length)) = parse(&self.received) {
                    self.received.drain(..length);
                    return Some(piece);
                }
                if !self.read().await {
                    return None;
                }
            }
        })
        .await
    }

    /// The next STOMP frame; beats and control frames are passed over.
    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            let piece = self.piece().await.expect("an open connection");
            assert!(
                piece.first_octet != FINAL | CLOSE,
                "closed before a frame: {piece:?}"
            );
            if piece.first_octet == FINAL | TEXT && piece.payload != b"\n" {
                return Frame::decode(&piece.payload);
            }
        }
    }

    /// Reads to the end of the connection; the STOMP frames that came and the close code.
    pub(crate) async fn rest(&mut self) -> (Vec<Frame>, Option<u16>) {
        let (mut frames, mut code) = (Vec::new(), None);
        while let Some(piece) = self.piece().await {
            if piece.first_octet == FINAL | CLOSE {
                let octets = piece.payload.first_chunk::<2>();
                code = octets.map(|octets| u16::from_be_bytes(*octets));
                // The close is answered, as a client should.
                self.try_send(FINAL | CLOSE, &[]).await;
            } else if piece.first_octet == FINAL | TEXT && piece.payload != b"\n" {
                frames.push(Frame::decode(&piece.payload));
            }
        }
        (frames, code)
    }

    /// Reads to the close frame; whether the connection stays for its answer.
    pub(crate) async fn stays_after_its_close(&mut self) -> bool {
        while let Some(next) = self.piece().await {
            if next.first_octet != FINAL | CLOSE {
                continue;
            }
            // A reset that comes with the close frame is noticed by one of these at the latest.
            for _ in 0..5 {
                let pong = piece(FINAL | PONG, &[]);
                if self.stream.write_all(&pong).await.is_err() {
                    return false;
                }
                a_moment().await;
            }
            return true;
        }
        false
    }

    /// `false` at the end.
    async fn read(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.received).await;
        read.is_ok_and(|count| count > 0)
    }
}

/// A masked WebSocket frame.
pub(crate) fn piece(first_octet: u8, payload: &[u8]) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let mut bytes = vec![first_octet];
    match payload.len() {
        length @ ..126 => bytes.push(MASKED | u8::try_from(length).expect("small")),
        length @ ..65_536 => {
            bytes.push(MASKED | 126);
            bytes.extend(u16::try_from(length).expect("small").to_be_bytes());
        }
        length => {
            bytes.push(MASKED | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(
        payload
            .iter()
            .zip(MASK.iter().cycle())
            .map(|(octet, key)| octet ^ key),
    );
    bytes
}

/// The first whole frame of what a server sent, and its length.
fn parse(bytes: &[u8]) -> Option<(Piece, usize)> {
    let [first_octet, length, rest @ ..] = bytes else {
        return None;
    };
    let (length, rest) = match length {
        126 => {
            let (octets, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*octets)), rest)
        }
        127 => {
            let (octets, rest) = rest.split_first_chunk::<8>()?;
            let length = u64::from_be_bytes(*octets);
            (usize::try_from(length).expect("it fits into memory"), rest)
        }
        short => {
            assert!(*short < 126, "a server does not mask");
            (usize::from(*short), rest)
        }
    };
    let payload = rest.get(..length)?.to_vec();
    let piece = Piece {
        first_octet: *first_octet,
        payload,
    };
    Some((piece, bytes.len() - rest.len() + length))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}
