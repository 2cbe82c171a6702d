//! The front door of the DynamoDB stand-in: forwards bytes, and holds each request back for a settable time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at a time; one more waits to be accepted until another ends.
const CONNECTIONS_MAX: usize = 512;

/// Bytes moved at a time in one direction.
const CHUNK_BYTES: usize = 16 * 1024;

/// Pause after a failed accept, which nearly always means that this process is out of file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The accepting task, the connections it serves and the delay they share.
pub(super) struct Front {
    delay_us: Arc<AtomicU64>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Whose bytes are expected next. HTTP/1.1 clients here don't pipeline, so the two take turns.
#[derive(Clone, Copy, PartialEq)]
enum Turn {
    /// The next bytes from the client begin a request.
    Request,
    /// The request has begun: its remaining bytes pass at once.
    Response,
}

// === impl Front ===

impl Front {
    pub(super) fn start(listener: TcpListener, engine: SocketAddr, delay: Duration) -> Front {
        let front = Front {
            delay_us: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        front.set_delay(delay);
        let accept = accept(
            listener,
            engine,
            Arc::clone(&front.delay_us),
            front.tasks.clone(),
            front.stop.clone(),
        );
        front.tasks.spawn(accept);
        front
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.delay_us.store(micros, Ordering::Relaxed);
    }

    pub(super) async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(
    listener: TcpListener,
    engine: SocketAddr,
    delay_us: Arc<AtomicU64>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let accept_all = async {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let Ok((client, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            };
            let (delay_us, stop) = (Arc::clone(&delay_us), stop.clone());
            tasks.spawn(async move {
                let forwarded = stop.run_until_cancelled(forward(client, engine, &delay_us));
                if let Some(Err(error)) = forwarded.await {
                    tracing::debug!(%error, "a DynamoDB connection broke");
                }
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accept_all).await;
}

async fn forward(
    mut client: TcpStream,
    engine: SocketAddr,
    delay_us: &AtomicU64,
) -> std::io::Result<()> {
    let mut engine = TcpStream::connect(engine).await?;
    client.set_nodelay(true)?;
    engine.set_nodelay(true)?;
    let mut to_engine = vec![0; CHUNK_BYTES];
    let mut to_client = vec![0; CHUNK_BYTES];
    let mut turn = Turn::Request;
    loop {
        tokio::select! {
            read = client.read(&mut to_engine) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                if turn == Turn::Request {
                    turn = Turn::Response;
                    hold(delay_us).await;
                }
                engine.write_all(&to_engine[..length]).await?;
            }
            read = engine.read(&mut to_client) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                turn = Turn::Request;
                client.write_all(&to_client[..length]).await?;
            }
        }
    }
}

async fn hold(delay_us: &AtomicU64) {
    let delay = Duration::from_micros(delay_us.load(Ordering::Relaxed));
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
