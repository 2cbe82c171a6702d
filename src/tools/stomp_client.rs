//! The tools' STOMP client: one subscription on one gateway.

use anyhow::{Context as _, anyhow, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use roomlog_core::{
    limits::Limits,
    stomp::{Bounds, Command, Decoder, Frame, Version, encode},
};
use tokio_tungstenite::tungstenite::{self, Message, client::IntoClientRequest as _};

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A signed-in STOMP session.
pub(super) struct StompClient {
    socket: Socket,
    decoder: Decoder,
}

// === impl StompClient ===

impl StompClient {
    /// Connects and signs in. Heart-beats are not asked for: the server's own traffic and TCP say when it is gone.
    pub(super) async fn connect(url: &str, token: &str) -> anyhow::Result<Self> {
        let address = format!("{}/ws", url.trim_end_matches('/').replacen("http", "ws", 1));
        let mut request = address.clone().into_client_request().context("--url")?;
        let subprotocol = Version::V1_2.subprotocol().parse()?;
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", subprotocol);
        let (socket, _) = tokio_tungstenite::connect_async(request)
            .await
            .with_context(|| format!("the gateway at {address} can't be reached"))?;
        let mut client = Self {
            socket,
            decoder: Decoder::new(Bounds::signed_in(&Limits::default())),
        };
        let connect = Frame::new(Command::Connect)
            .with("accept-version", Version::V1_2.as_str())
            .with("Authorization", &format!("Bearer {token}"));
        client.write(&connect).await?;
        let answer = client
            .next()
            .await?
            .ok_or_else(|| anyhow!("closed before CONNECTED"))?;
        client.decoder.switch_version(Version::V1_2);
        match answer.command {
            Command::Connected => Ok(client),
            _ => Err(refused(&answer)),
        }
    }

    /// Subscribes to a destination.
    pub(super) async fn subscribe(
        &mut self,
        destination: &str,
        headers: &[(&str, String)],
    ) -> anyhow::Result<()> {
        let mut frame = Frame::new(Command::Subscribe)
            .with("id", "0")
            .with("destination", destination);
        for (name, value) in headers {
            frame = frame.with(name, value);
        }
        self.write(&frame).await
    }

    /// The next frame; `None` once the server has closed.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Frame>> {
        loop {
            let Some(message) = self.socket.next().await else {
                return Ok(None);
            };
            let bytes = match message {
                Ok(Message::Text(text)) => tungstenite::Bytes::from(text),
                Ok(Message::Binary(bytes)) => bytes,
                Ok(Message::Close(_)) => return Ok(None),
                Ok(_) => continue,
                Err(error) => bail!("the connection broke: {error}"),
            };
            // The server sends exactly one frame, or one heart-beat, per message.
            if let Some(frame) = self.decoder.decode(&mut &bytes[..])? {
                if frame.command == Command::Error {
                    return Err(refused(&frame));
                }
                return Ok(Some(frame));
            }
        }
    }

    async fn write(&mut self, frame: &Frame) -> anyhow::Result<()> {
        let text = String::from_utf8(encode(frame, Version::V1_2).to_vec())?;
        Ok(self.socket.send(Message::text(text)).await?)
    }
}

fn refused(frame: &Frame) -> anyhow::Error {
    let header = |name| frame.header(name).unwrap_or("?");
    anyhow!("{}: {}", header("code"), header("message"))
}
