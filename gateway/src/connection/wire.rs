//! The socket of a connection: what is to be written, what was read, and neither waits for the other.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use futures_util::{Sink as _, Stream as _};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{self, error::ProtocolError};

/// Bytes that may wait to be written before nothing more is read from the client: it gets answers only as fast as it
/// takes them.
const UNWRITTEN_BYTES_MAX: usize = 256 << 10;
/// How long the last frames and the close frame may take to leave.
const FAREWELL_MAX: Duration = Duration::from_secs(5);
/// How long a closed connection goes on reading, or just stays where nothing can be read any more, so that unread input
/// does not reset it before the client has read the last frames.
const LINGER: Duration = Duration::from_secs(1);

/// A socket and its output.
pub(super) struct Wire {
    socket: WebSocket,
    output: VecDeque<Utf8Bytes>,
    output_bytes: usize,
    /// Whether a ping is to go out, before anything else.
    wants_ping: bool,
    /// Whether the socket holds bytes that have not left.
    is_unflushed: bool,
    /// Whether the socket took a frame since this was last asked.
    has_moved: bool,
    /// Whether a message beyond the limit lies in the way of all further input.
    is_blocked: bool,
}

/// What the client did.
#[derive(Debug)]
pub(super) enum Input {
    /// It sent these bytes, as text or binary.
    Bytes(bytes::Bytes),
    /// It showed that it lives.
    Ping,
    /// It sent a message beyond the limit.
    TooLarge,
    /// It broke WebSocket's own rules; the close code that says so.
    Broken(u16),
    /// It closed the WebSocket in order, for good.
    Closed,
    /// It is gone.
    Gone,
}

// === impl Wire ===

impl Wire {
    pub(super) fn new(socket: WebSocket) -> Self {
        Self {
            socket,
            output: VecDeque::new(),
            output_bytes: 0,
            wants_ping: false,
            is_unflushed: false,
            has_moved: false,
            is_blocked: false,
        }
    }

    /// Queues a frame.
    pub(super) fn push(&mut self, frame: Utf8Bytes) {
        self.output_bytes += frame.len();
        self.output.push_back(frame);
    }

    /// Asks the client for a sign of life, which every WebSocket answers by itself.
    pub(super) fn ping(&mut self) {
        self.wants_ping = true;
    }

    /// Whether everything that was pushed has left.
    pub(super) fn is_idle(&self) -> bool {
        self.output.is_empty() && !self.wants_ping && !self.is_unflushed
    }

    /// Whether nothing is to be read, as too much waits to be written. Writing goes on and wakes whoever polls.
    pub(super) fn holds_back(&self) -> bool {
        self.output_bytes > UNWRITTEN_BYTES_MAX
    }

    /// Whether the client took something since this was last asked.
    pub(super) fn take_moved(&mut self) -> bool {
        std::mem::take(&mut self.has_moved)
    }

    /// Writes what waits: all frames, then one flush. Ready once nothing is left to write.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), axum::Error>> {
        if self.wants_ping {
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            self.wants_ping = false;
            self.is_unflushed = true;
            Pin::new(&mut self.socket).start_send(Message::Ping(bytes::Bytes::new()))?;
        }
        while !self.output.is_empty() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx))?;
            if let Some(frame) = self.output.pop_front() {
                self.output_bytes -= frame.len();
                self.is_unflushed = true;
                self.has_moved = true;
                Pin::new(&mut self.socket).start_send(Message::Text(frame))?;
            }
        }
        if self.is_unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
            self.is_unflushed = false;
            // A burst's memory is given back.
            self.output.shrink_to(16);
        }
        Poll::Ready(Ok(()))
    }

    /// The next thing the client does.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        let message = ready!(Pin::new(&mut self.socket).poll_next(cx));
        Poll::Ready(match message {
            Some(Ok(Message::Text(text))) => Input::Bytes(text.into()),
            Some(Ok(Message::Binary(bytes))) => Input::Bytes(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                // The answer to a ping waits inside the socket.
                self.is_unflushed = true;
                Input::Ping
            }
            Some(Ok(Message::Close(Some(frame)))) if frame.code == close_code::NORMAL => {
                Input::Closed
            }
            Some(Ok(Message::Close(_))) | None => Input::Gone,
            Some(Err(error)) => {
                let input = reading_failed(error);
                self.is_blocked = matches!(input, Input::TooLarge);
                input
            }
        })
    }

    /// Writes what waits and a close frame, then reads on for a moment until the client closes too.
    pub(super) async fn close(mut self, code: u16, reason: &'static str) {
        let farewell = async {
            std::future::poll_fn(|cx| self.poll_write(cx)).await?;
            let frame = CloseFrame {
                code,
                reason: Utf8Bytes::from_static(reason),
            };
            self.socket.send(Message::Close(Some(frame))).await
        };
        // Otherwise the client is gone or takes nothing more.
        if let Ok(Ok(())) = timeout(FAREWELL_MAX, farewell).await {
            self.linger().await;
        }
    }

    /// Reads on until the client has closed or a moment has passed.
    pub(super) async fn linger(&mut self) {
        if self.is_blocked {
            return sleep(LINGER).await;
        }
        let drained = async { while let Some(Ok(_)) = self.socket.recv().await {} };
        // Whether the client closed in time makes no difference.
        let _ = timeout(LINGER, drained).await;
    }
}

fn reading_failed(error: axum::Error) -> Input {
    let error = error.into_inner().downcast::<tungstenite::Error>();
    match error.as_deref() {
        Ok(tungstenite::Error::Capacity(_)) => Input::TooLarge,
        Ok(tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
            Input::Gone
        }
        Ok(tungstenite::Error::Protocol(_)) => Input::Broken(close_code::PROTOCOL),
        Ok(tungstenite::Error::Utf8(_)) => Input::Broken(close_code::INVALID),
        _ => Input::Gone,
    }
}
