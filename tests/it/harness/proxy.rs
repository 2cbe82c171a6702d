//! A TCP proxy on one link between two processes, which can be slow, deaf or cut.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};

use super::port;

/// Portions under way in one direction. When full, the sender's own socket fills, as on any slow link.
const PORTIONS_MAX: usize = 1_024;
const PORTION_BYTES: usize = 64 << 10;
/// More than any request that is answered here.
const REQUEST_BYTES_MAX: usize = 32 << 20;

/// What a link does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    /// Each byte comes so much later.
    Delay(Duration),
    /// Nothing comes through and nobody is told; what was sent meanwhile comes once the link is open again.
    BlackHole,
    /// Connections are reset, and new ones at once.
    Reset,
    /// Whoever asks is told this and nothing else.
    Answer(&'static str),
}

/// One link. Dropped, it is gone with its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    mode: watch::Sender<Mode>,
    /// Told whenever all connections there are become half-open.
    vanishing: watch::Sender<()>,
    task: JoinHandle<()>,
}

// === impl Proxy ===

impl Proxy {
    /// A link to a port of this machine.
    pub(crate) async fn to(target: u16) -> Self {
        let port = port::free();
        let listener = TcpListener::bind(("127.0.0.1", port))
            .await
            .expect("a port just found free");
        let (mode, modes) = watch::channel(Mode::Open);
        let (vanishing, vanished) = watch::channel(());
        let task = tokio::spawn(accept(listener, target, (modes, vanished)));
        Self {
            port,
            mode,
            vanishing,
            task,
        }
    }

    /// Where to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where to connect to.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Makes every connection there is half-open, as when the machine at its other end loses power: nothing comes through
    /// it any more, ever, and nobody is told. New connections are fine.
    pub(crate) fn vanish(&self) {
        self.vanishing.send_replace(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a connection must know of its link, from when it is made.
type Watched = (watch::Receiver<Mode>, watch::Receiver<()>);

async fn accept(listener: TcpListener, target: u16, (modes, vanished): Watched) {
    while let Ok((client, _)) = listener.accept().await {
        let mut vanished = vanished.clone();
        vanished.mark_unchanged();
        tokio::spawn(carry(client, target, (modes.clone(), vanished)));
    }
}

/// Carries one connection until either side, or the mode, ends it.
async fn carry(mut client: TcpStream, target: u16, (mut modes, mut vanished): Watched) {
    let mode = *modes.borrow();
    if let Mode::Answer(answer) = mode {
        // Who hangs up before the end misses the answer, as anywhere.
        let _ = answers(client, answer).await;
        return;
    }
    // In a black hole nobody answers the connection either, for all that the caller can see.
    if modes
        .wait_for(|mode| *mode != Mode::BlackHole)
        .await
        .is_err()
    {
        return;
    }
    if *modes.borrow() == Mode::Reset {
        return reset(client, None);
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", target)).await else {
        return reset(client, None);
    };
    let both_nodelay = client.set_nodelay(true).and(server.set_nodelay(true));
    both_nodelay.expect("an open socket");
    let end = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let mut watched = modes.clone();
        tokio::select! {
            _ = forward(from_client, to_server, modes.clone()) => End::Good,
            _ = forward(from_server, to_client, modes.clone()) => End::Good,
            _ = watched.wait_for(|mode| matches!(mode, Mode::Reset | Mode::Answer(_))) => End::Cut,
            Ok(()) = vanished.changed() => End::Vanished,
        }
    };
    match end {
        End::Good => {}
        End::Cut => reset(client, Some(server)),
        End::Vanished => {
            // What either side still says is swallowed, until it gives up by itself.
            let (mut nowhere, mut nobody) = (tokio::io::sink(), tokio::io::sink());
            let _ = tokio::join!(
                tokio::io::copy(&mut client, &mut nowhere),
                tokio::io::copy(&mut server, &mut nobody)
            );
        }
    }
}

/// Reads one whole request, answers it and leaves it to the other side to hang up: a socket that is closed with octets
/// unread resets the connection, and the answer with it.
async fn answers(mut client: TcpStream, answer: &str) -> io::Result<()> {
    let mut request = Vec::new();
    while !is_whole(&request) && request.len() < REQUEST_BYTES_MAX {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await?;
    tokio::io::copy(&mut client, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Whether an HTTP request is there up to the last octet of its body.
fn is_whole(request: &[u8]) -> bool {
    let Some(head) = request.windows(4).position(|end| end == b"\r\n\r\n") else {
        return false;
    };
    let lines = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let length = lines
        .lines()
        .find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    request.len() >= head + 4 + length.unwrap_or(0_usize)
}

/// How a connection ends.
enum End {
    /// One side closed it.
    Good,
    Cut,
    Vanished,
}

/// Both ends see a reset instead of a good end.
fn reset(client: TcpStream, server: Option<TcpStream>) {
    for socket in [Some(client), server].into_iter().flatten() {
        // A socket that is gone already needs no reset.
        let _ = socket.set_zero_linger();
    }
}

/// One direction. Reading and writing are apart, so that a delay does not make the link narrow.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut modes: watch::Receiver<Mode>,
) -> io::Result<()> {
    let (sent, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(PORTIONS_MAX);
    let read_modes = modes.clone();
    let reading = async move {
        let mut portion = vec![0; PORTION_BYTES];
        loop {
            let length = from.read(&mut portion).await?;
            let delay = match *read_modes.borrow() {
                Mode::Delay(delay) => delay,
                _ => Duration::ZERO,
            };
            let due = Instant::now() + delay;
            if length == 0 || sent.send((due, portion[..length].to_vec())).await.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let writing = async {
        while let Some((due, portion)) = arriving.recv().await {
            tokio::time::sleep_until(due).await;
            let opened = modes.wait_for(|mode| *mode != Mode::BlackHole).await;
            opened.map(drop).map_err(io::Error::other)?;
            to.write_all(&portion).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}
