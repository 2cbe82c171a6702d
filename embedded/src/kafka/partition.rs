//! A partition as its many readers and writers share it.

use std::io;
use std::path::Path;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::Durability;
use super::partition_log::{Append, AppendError, PartitionLog, TimestampType};
use crate::mutex::lock;

/// A partition's log with a queue for writers and a bell for readers.
pub(super) struct Partition {
    /// Held over an append and its flush, so that readers, who need the log alone, don't wait for the disk.
    appending: Mutex<()>,
    log: Mutex<PartitionLog>,
    /// Rings when there is more to read, or when there will never be.
    grew: Notify,
}

// === impl Partition ===

impl Partition {
    pub(super) fn open(dir: Option<&Path>, segment_bytes_max: u64) -> io::Result<Partition> {
        Ok(Partition {
            appending: Mutex::new(()),
            log: Mutex::new(PartitionLog::open(dir, segment_bytes_max)?),
            grew: Notify::new(),
        })
    }

    /// Appends one batch; when this returns it may be acknowledged. Blocks on the disk.
    pub(super) fn append(
        &self,
        batch: &mut [u8],
        timestamps: TimestampType,
        durability: Durability,
        now_ms: i64,
    ) -> Result<Append, AppendError> {
        let _turn = lock(&self.appending);
        let mut log = lock(&self.log);
        let append = log.append(batch, timestamps, now_ms)?;
        if !matches!(append, Append::Done(_)) {
            return Ok(append);
        }
        if let Some(file) = log.file().filter(|_| durability == Durability::Fsync) {
            drop(log);
            let flushed = file.sync_data();
            log = lock(&self.log);
            if let Err(error) = flushed {
                log.fail();
                return Err(error.into());
            }
        }
        log.publish();
        drop(log);
        self.grew.notify_waiters();
        Ok(append)
    }

    /// Looks at, or trims, the log.
    pub(super) fn with_log<T>(&self, look: impl FnOnce(&mut PartitionLog) -> T) -> T {
        look(&mut lock(&self.log))
    }

    pub(super) fn grew(&self) -> &Notify {
        &self.grew
    }
}
