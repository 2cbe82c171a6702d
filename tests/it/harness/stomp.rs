//! A STOMP client with a codec of its own, so that the product's codec has a second opinion to meet.

mod frame;

use std::{collections::VecDeque, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Error, Message, client::IntoClientRequest as _, http::HeaderValue},
};

pub(crate) use self::frame::Frame;
use super::wait::{SOON, within};

/// What can arrive on a connection.
#[derive(Debug)]
pub(crate) enum Arrival {
    Frame(Frame),
    /// A lone line feed.
    Beat,
    /// The end, with the close code where there was one.
    Closed(Option<u16>),
}

/// How to reach a gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Door {
    /// `Authorization` of the upgrade itself.
    pub(crate) token: Option<String>,
    /// `Sec-WebSocket-Protocol`.
    pub(crate) subprotocols: Option<&'static str>,
    /// What follows the path.
    pub(crate) query: Option<String>,
    /// How much the kernel may keep for a client that does not read, about; as it likes without.
    pub(crate) unread_bytes: Option<u32>,
}

/// One connection.
pub(crate) struct StompClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The server's CONNECTED, once there was one.
    pub(crate) connected: Option<Frame>,
    /// Frames that came while another was waited for.
    waiting: VecDeque<Frame>,
    receipts: usize,
}

/// A connection to a gateway that announces little room for what it has not read.
async fn narrow_stream(http: &str, bytes: u32) -> std::io::Result<TcpStream> {
    let address = http.strip_prefix("http://").expect("an address");
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(bytes)?;
    socket
        .connect(address.parse().expect("an address and a port"))
        .await
}

fn connect_frame(token: &str) -> Frame {
    Frame::new("CONNECT")
        .with("accept-version", "1.2")
        .with("host", "roomlog")
        .with("Authorization", format!("Bearer {token}"))
}

// === impl StompClient ===

impl StompClient {
    /// Opens the socket and says nothing yet; the HTTP status where the upgrade is refused.
    pub(crate) async fn knock(http: &str, door: Door) -> Result<Self, u16> {
        let query = door.query.map(|query| format!("?{query}"));
        let query = query.unwrap_or_default();
        let url = format!("{}/ws{query}", http.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("a valid address");
        let mut put = |name: &'static str, value: String| {
            let value = HeaderValue::from_str(&value).expect("a valid header");
            request.headers_mut().insert(name, value);
        };
        if let Some(token) = door.token {
            put("authorization", format!("Bearer {token}"));
        }
        if let Some(names) = door.subprotocols {
            put("sec-websocket-protocol", names.into());
        }
        let narrow = door.unread_bytes;
        let upgrade = async {
            match narrow {
                None => tokio_tungstenite::connect_async(request).await,
                Some(bytes) => {
                    let stream = MaybeTlsStream::Plain(narrow_stream(http, bytes).await?);
                    tokio_tungstenite::client_async(request, stream).await
                }
            }
        };
        match within("the upgrade", SOON, upgrade).await {
            Ok((socket, _)) => Ok(Self {
                socket,
                connected: None,
                waiting: VecDeque::new(),
                receipts: 0,
            }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            // Nobody listens, or it is just being killed.
            Err(_) => Err(0),
        }
    }

    /// Opens the socket and signs in; the ERROR, or nothing where the gateway could not be reached.
    pub(crate) async fn try_connect(http: &str, token: &str) -> Result<Self, Option<Frame>> {
        let mut client = Self::knock(http, Door::default()).await.map_err(|_| None)?;
        client.sign_in(token).await?;
        Ok(client)
    }

    /// Opens the socket with a ticket and signs in by it; CONNECTED, or the ERROR.
    pub(crate) async fn by_ticket(http: &str, ticket: &str) -> Result<Frame, Frame> {
        let door = Door {
            query: Some(format!("ticket={ticket}")),
            ..Door::default()
        };
        let mut client = Self::knock(http, door).await.expect("an upgrade");
        let connect = Frame::new("CONNECT").with("accept-version", "1.2");
        client.send(&connect).await;
        let is_answer = |frame: &Frame| matches!(&*frame.command, "CONNECTED" | "ERROR");
        let answer = client.frame("an answer to CONNECT", is_answer).await;
        match answer.command.as_str() {
            "CONNECTED" => Ok(answer),
            _ => Err(answer),
        }
    }

    /// The same for a client that asks for a heart-beat a second, so that it knows silence from the end.
    pub(crate) async fn try_connect_beating(
        http: &str,
        token: &str,
    ) -> Result<Self, Option<Frame>> {
        let mut client = Self::knock(http, Door::default()).await.map_err(|_| None)?;
        let connect = connect_frame(token).with("heart-beat", "0,1000");
        client.sign_in_by(&connect).await?;
        Ok(client)
    }

    /// CONNECT as a modern client would.
    pub(crate) async fn sign_in(&mut self, token: &str) -> Result<(), Option<Frame>> {
        self.sign_in_by(&connect_frame(token)).await
    }

    async fn sign_in_by(&mut self, connect: &Frame) -> Result<(), Option<Frame>> {
        self.try_send(connect).await.map_err(|_| None)?;
        let answer = within("CONNECTED or an ERROR", SOON, self.arrival()).await;
        match answer {
            Arrival::Frame(frame) if frame.command == "CONNECTED" => {
                self.connected = Some(frame);
                Ok(())
            }
            Arrival::Frame(frame) => Err(Some(frame)),
            Arrival::Beat | Arrival::Closed(_) => Err(None),
        }
    }

    /// Sends a frame as one text message.
    pub(crate) async fn send(&mut self, frame: &Frame) {
        self.try_send(frame)
            .await
            .unwrap_or_else(|error| panic!("{error} at {frame:?}"));
    }

    pub(crate) async fn try_send(&mut self, frame: &Frame) -> Result<(), Error> {
        let text = String::from_utf8(frame.encode()).expect("text");
        self.socket.send(Message::text(text)).await
    }

    /// Puts frames into the socket's buffer and then sends all at once.
    pub(crate) async fn try_send_all(
        &mut self,
        frames: impl IntoIterator<Item = Frame>,
    ) -> Result<(), Error> {
        for frame in frames {
            let text = String::from_utf8(frame.encode()).expect("text");
            self.socket.feed(Message::text(text)).await?;
        }
        self.socket.flush().await
    }

    /// Sends any bytes as one text or binary message.
    pub(crate) async fn send_message(&mut self, message: Message) {
        self.socket.send(message).await.expect("an open connection");
    }

    /// Sends a frame with a receipt and waits for that; everything else that comes meanwhile is kept.
    pub(crate) async fn request(&mut self, frame: Frame) -> Frame {
        let receipt = self.receipt_id();
        self.send(&frame.with("receipt", &receipt)).await;
        self.receipt(&receipt).await
    }

    /// A receipt id not used on this connection before.
    pub(crate) fn receipt_id(&mut self) -> String {
        self.receipts += 1;
        format!("receipt-{}", self.receipts)
    }

    /// The RECEIPT with this id.
    pub(crate) async fn receipt(&mut self, id: &str) -> Frame {
        self.frame(&format!("RECEIPT {id}"), |frame| {
            assert!(frame.command != "ERROR", "{frame:?}");
            frame.command == "RECEIPT" && frame.header("receipt-id") == id
        })
        .await
    }

    /// The next MESSAGE of a subscription.
    pub(crate) async fn message(&mut self, subscription: &str) -> Frame {
        self.frame(&format!("MESSAGE on {subscription}"), |frame| {
            assert!(frame.command != "ERROR", "{frame:?}");
            frame.command == "MESSAGE" && frame.find("subscription") == Some(subscription)
        })
        .await
    }

    /// The next MESSAGEs of a subscription.
    pub(crate) async fn messages(&mut self, subscription: &str, count: usize) -> Vec<Frame> {
        let mut messages = Vec::with_capacity(count);
        while messages.len() < count {
            messages.push(self.message(subscription).await);
        }
        messages
    }

    /// The ERROR, after which the connection closes; its close code.
    pub(crate) async fn error(&mut self) -> (Frame, Option<u16>) {
        let error = self.frame("ERROR", |frame| frame.command == "ERROR").await;
        (error, self.closed().await)
    }

    /// The first frame kept or coming that fits.
    pub(crate) async fn frame(
        &mut self,
        what: &str,
        mut fits: impl FnMut(&Frame) -> bool,
    ) -> Frame {
        if let Some(index) = self.waiting.iter().position(&mut fits) {
            return self.waiting.remove(index).expect("just found");
        }
        within(what, SOON, async {
            loop {
                match self.arrival().await {
                    Arrival::Frame(frame) if fits(&frame) => return frame,
                    Arrival::Frame(frame) => self.waiting.push_back(frame),
                    Arrival::Beat => {}
                    Arrival::Closed(code) => panic!(
                        "closed with {code:?} before {what}; kept {:?}",
                        self.waiting
                    ),
                }
            }
        })
        .await
    }

    /// Reads to the end of the connection, keeping what comes; its close code.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        within("the connection to close", SOON, async {
            loop {
                match self.arrival().await {
                    Arrival::Frame(frame) => self.waiting.push_back(frame),
                    Arrival::Beat => {}
                    Arrival::Closed(code) => return code,
                }
            }
        })
        .await
    }

    /// Waits for the next lone line feed.
    pub(crate) async fn beat(&mut self, limit: Duration) {
        within("a heart-beat", limit, async {
            loop {
                match self.arrival().await {
                    Arrival::Frame(frame) => self.waiting.push_back(frame),
                    Arrival::Beat => return,
                    Arrival::Closed(code) => panic!("closed with {code:?}"),
                }
            }
        })
        .await
    }

    /// MESSAGEs that have come on a subscription and were not asked for yet.
    ///
    /// A receipt of any frame sent after the event in question makes "it did not come" a fact, not a matter of time.
    pub(crate) fn kept(&self, subscription: &str) -> usize {
        let fits = |frame: &&Frame| {
            frame.command == "MESSAGE" && frame.find("subscription") == Some(subscription)
        };
        self.waiting.iter().filter(fits).count()
    }

    /// Everything with this command that has come and was not asked for yet.
    pub(crate) fn all_kept(&self, command: &str) -> Vec<Frame> {
        let fits = |frame: &&Frame| frame.command == command;
        self.waiting.iter().filter(fits).cloned().collect()
    }

    /// What comes next, whatever it is.
    pub(crate) async fn arrival(&mut self) -> Arrival {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) if text.as_str() == "\n" => return Arrival::Beat,
                Some(Ok(Message::Text(text))) => {
                    return Arrival::Frame(Frame::decode(text.as_bytes()));
                }
                Some(Ok(Message::Binary(_))) => panic!("the server sends text only"),
                Some(Ok(Message::Close(close))) => {
                    // The close is answered by reading on.
                    while let Some(Ok(_)) = self.socket.next().await {}
                    return Arrival::Closed(close.map(|close| close.code.into()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Arrival::Closed(None),
            }
        }
    }
}
