//! Why the stack, or one of its servers, does not start.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a stand-in cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// Another process holds the data directory; stop it, or choose another directory.
    #[error("data directory {} is in use by another process", dir.display())]
    InUse {
        /// The directory asked for.
        dir: PathBuf,
    },
    /// The address is taken or not ours.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A file or directory cannot be created, read or written.
    #[error("cannot use {}", path.display())]
    Storage {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The DynamoDB stand-in does not open its database.
    #[error("cannot open the DynamoDB tables: {0}")]
    Tables(String),
}

// === impl StackError ===

impl StackError {
    /// Names the file that an I/O error is about.
    pub(crate) fn storage(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StackError {
        let path = path.into();
        move |source| StackError::Storage { path, source }
    }
}

/// Binds a listener, naming the address when that fails.
pub(crate) async fn listen(
    addr: SocketAddr,
) -> Result<(tokio::net::TcpListener, SocketAddr), StackError> {
    let failed = |source| StackError::Listen { addr, source };
    let listener = tokio::net::TcpListener::bind(addr).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}
