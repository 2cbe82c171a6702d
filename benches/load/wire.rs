//! The load tool's own WebSocket and STOMP: just enough to be cheaper than what it measures.
//!
//! It shares no code with the server, so a fault of the server's codec can't hide here.

use std::io::{Error, ErrorKind, Result};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Bytes of the answer to the upgrade; a longer one is refused.
const UPGRADE_ANSWER_BYTES_MAX: usize = 4 << 10;

/// Opens a WebSocket on `/ws` and signs in over STOMP. The answer to CONNECT is left for [`Frames`] to read.
pub(crate) async fn connect(address: &str, token: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let upgrade = format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: v12.stomp\r\n\r\n"
    );
    socket.write_all(upgrade.as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= UPGRADE_ANSWER_BYTES_MAX {
            return Err(Error::new(
                ErrorKind::InvalidData,
                "the answer to the upgrade is too long",
            ));
        }
        answer.push(socket.read_u8().await?);
    }
    if !answer.starts_with(b"HTTP/1.1 101") {
        let text = String::from_utf8_lossy(&answer).into_owned();
        return Err(Error::new(ErrorKind::ConnectionRefused, text));
    }
    let frame = format!("CONNECT\naccept-version:1.2\nAuthorization:Bearer {token}\n\n\0");
    send(&mut socket, frame.as_bytes()).await?;
    Ok(socket)
}

/// Writes one text message, masked with zero, as RFC 6455 section 5.3 allows any mask.
pub(crate) async fn send(
    socket: &mut (impl tokio::io::AsyncWrite + Unpin),
    text: &[u8],
) -> Result<()> {
    let mut message = Vec::with_capacity(text.len() + 8);
    message.push(0x81);
    match u16::try_from(text.len()) {
        Ok(length @ 0..=125) => message.push(0x80 | length as u8),
        Ok(length) => {
            message.push(0x80 | 126);
            message.extend(length.to_be_bytes());
        }
        Err(_) => {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "the load tool sends small frames",
            ));
        }
    }
    message.extend([0; 4]);
    message.extend(text);
    socket.write_all(&message).await
}

/// The WebSocket messages of one connection, read in as few reads as they come.
pub(crate) struct Frames {
    buffer: Vec<u8>,
    start: usize,
}

impl Frames {
    /// Nothing read yet.
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::with_capacity(4 << 10),
            start: 0,
        }
    }

    /// The next whole message's payload, reading more when none is there; `None` at the end.
    pub(crate) async fn next(
        &mut self,
        socket: &mut (impl tokio::io::AsyncRead + Unpin),
    ) -> Result<Option<&[u8]>> {
        loop {
            if let Some((payload, end)) = self.whole() {
                self.start = end;
                // Checked above; a second look ends the borrow of the search.
                return Ok(Some(&self.buffer[payload..end]));
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            if socket.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Where the next message's payload begins and ends, once it is whole.
    fn whole(&self) -> Option<(usize, usize)> {
        let bytes = &self.buffer[self.start..];
        let (header, length) = match *bytes.get(1)? & 0x7f {
            126 => (
                4,
                u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]) as usize,
            ),
            127 => (
                10,
                u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize,
            ),
            short => (2, short as usize),
        };
        let end = header + length;
        (bytes.len() >= end).then_some((self.start + header, self.start + end))
    }
}

/// The value of a header of a STOMP frame.
pub(crate) fn header<'a>(frame: &'a [u8], name: &[u8]) -> Option<&'a str> {
    frame
        .split(|byte| *byte == b'\n')
        .skip(1)
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(b":"))
        .and_then(|value| std::str::from_utf8(value).ok())
}
