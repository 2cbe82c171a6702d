//! DynamoDB over HTTP: dynoxide on its own thread, behind a front that can slow every request down.

mod front;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc as std_mpsc;
use std::thread;
use std::time::Duration;

use dynoxide::Database;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::StackError;
use crate::error::listen;
use front::Front;

/// How often expired rows are removed. DynamoDB itself promises only "within days", so this is prompt.
const TTL_SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// How long a stop waits for a request that is still running before the thread is left to end by itself.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// What a [`Server`] is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The database file; `None` keeps the tables in memory.
    pub file: Option<PathBuf>,
    /// Delay added to every request.
    pub slow: Duration,
}

/// A running DynamoDB endpoint.
pub struct Server {
    addr: SocketAddr,
    front: Front,
    engine: CancellationToken,
    /// Closing this channel ends the TTL sweep.
    sweep_stop: Option<std_mpsc::SyncSender<()>>,
    threads: Vec<thread::JoinHandle<()>>,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: ([127, 0, 0, 1], 0).into(),
            file: None,
            slow: Duration::ZERO,
        }
    }
}

// === impl Server ===

impl Server {
    /// Opens the tables and starts to answer.
    pub async fn start(config: Config) -> Result<Server, StackError> {
        let database = open(config.file)?;
        let (front_listener, addr) = listen(config.listen).await?;
        let (engine_listener, engine_addr) = listen(([127, 0, 0, 1], 0).into()).await?;
        let engine = CancellationToken::new();
        let engine_thread = spawn_engine(engine_listener, database.clone(), engine.clone())?;
        let (sweep_stop, sweep_thread) = spawn_sweep(database)?;
        Ok(Server {
            addr,
            front: Front::start(front_listener, engine_addr, config.slow),
            engine,
            sweep_stop: Some(sweep_stop),
            threads: vec![engine_thread, sweep_thread],
        })
    }

    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Changes the delay of every request that arrives from now on.
    pub fn set_slow(&self, delay: Duration) {
        self.front.set_delay(delay);
    }

    /// Stops answering and closes the tables.
    pub async fn shutdown(mut self) {
        self.front.shutdown().await;
        self.engine.cancel();
        self.sweep_stop = None;
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a DynamoDB stand-in thread panicked");
                }
            }
        });
        if tokio::time::timeout(STOP_WAIT, joined).await.is_err() {
            tracing::warn!("the DynamoDB stand-in is still busy, not waiting any longer");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.engine.cancel();
    }
}

fn open(file: Option<PathBuf>) -> Result<Database, StackError> {
    let failed = |error: dynoxide::DynoxideError| StackError::Tables(error.to_string());
    let Some(file) = file else {
        return Database::memory().map_err(failed);
    };
    let Some(path) = file.to_str() else {
        let text = format!("{} is not UTF-8", file.display());
        return Err(StackError::Tables(text));
    };
    let database = Database::new(path).map_err(failed)?;
    // A fresh file is otherwise left in a mode that waits for the disk on every single write.
    // The write-ahead log keeps what a killed process wrote; a power cut takes it back to an earlier consistent state.
    database.disable_bulk_loading().map_err(failed)?;
    Ok(database)
}

/// The engine works synchronously under one lock, so it gets its own thread and never holds up the caller's runtime.
fn spawn_engine(
    listener: TcpListener,
    database: Database,
    stop: CancellationToken,
) -> Result<thread::JoinHandle<()>, StackError> {
    let failed = |error: std::io::Error| StackError::Tables(error.to_string());
    let listener = listener.into_std().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let serve = async move {
        let served = match TcpListener::from_std(listener) {
            Ok(listener) => {
                let stopped = stop.cancelled_owned();
                dynoxide::server::serve_with_shutdown(listener, database, stopped).await
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(error) = served {
            tracing::error!(error, "the DynamoDB stand-in ended");
        }
    };
    thread::Builder::new()
        .name("dynamodb".into())
        .spawn(move || runtime.block_on(serve))
        .map_err(failed)
}

/// A sweep holds the engine's lock for a page of rows at a time, which must not happen on a runtime thread.
fn spawn_sweep(
    database: Database,
) -> Result<(std_mpsc::SyncSender<()>, thread::JoinHandle<()>), StackError> {
    let (stop, stopped) = std_mpsc::sync_channel::<()>(1);
    let sweep = move || {
        while let Err(std_mpsc::RecvTimeoutError::Timeout) =
            stopped.recv_timeout(TTL_SWEEP_INTERVAL)
        {
            if let Err(error) = database.sweep_ttl() {
                tracing::warn!(%error, "expired rows were not removed");
            }
        }
    };
    let thread = thread::Builder::new()
        .name("dynamodb-ttl".into())
        .spawn(sweep)
        .map_err(|error| StackError::Tables(error.to_string()))?;
    Ok((stop, thread))
}
