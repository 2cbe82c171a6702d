//! One process per data directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

use crate::StackError;

/// Name of the lock file inside the data directory.
const LOCK_FILE: &str = "lock";

/// The hold on a data directory: released when dropped, and by the operating system when the process dies.
pub(crate) struct DirLock {
    _file: File,
}

// === impl DirLock ===

impl DirLock {
    /// Creates the directory when it is missing and takes the hold, without waiting.
    pub(crate) fn take(dir: &Path) -> Result<DirLock, StackError> {
        fs::create_dir_all(dir).map_err(StackError::storage(dir))?;
        let path = dir.join(LOCK_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(StackError::storage(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(DirLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StackError::InUse { dir: dir.into() }),
            Err(TryLockError::Error(source)) => Err(StackError::Storage { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_holder_is_refused_until_the_first_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path()).unwrap();
        let refused = DirLock::take(dir.path());
        assert!(matches!(refused, Err(StackError::InUse { .. })));
        drop(first);
        assert!(DirLock::take(dir.path()).is_ok());
    }
}
