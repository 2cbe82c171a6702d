//! The owners of one instance: started, restarted when they fail, and released.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use roomlog_core::lag::{Lag, LagClock};
use roomlog_platform::{backoff::Backoff, kafka::Released};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics,
    owner::{OwnerError, Progress, Resources, own},
};

/// Waits before an owner that failed is started again. An operator may have mended the cause meanwhile.
const RESTART_FLOOR: Duration = Duration::from_millis(500);
/// The longest wait before an owner that failed is started again.
const RESTART_CEILING: Duration = Duration::from_secs(15);

/// How long an owner must have lasted for its failure to count as a first one.
const STABLE_AFTER: Duration = Duration::from_secs(60);

/// How often a partition's lag is measured: as often as figures are fetched.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// The owners, by partition.
pub(crate) struct Owners {
    resources: Arc<Resources>,
    running: BTreeMap<u32, Running>,
    tasks: JoinSet<Result<(), OwnerError>>,
    /// The partition of each task.
    partitions: HashMap<tokio::task::Id, u32>,
    /// Partitions the group waits for, until all of them have ended.
    releasing: Vec<Releasing>,
}

struct Running {
    stop: CancellationToken,
    progress: Arc<Progress>,
    /// It is to be started again as soon as it has ended: the group gave it back meanwhile.
    again: bool,
}

struct Releasing {
    partitions: BTreeSet<u32>,
    /// Dropped once they have ended, which tells the group.
    _released: Option<Released>,
}

// === impl Owners ===

impl Owners {
    pub(crate) fn new(resources: Arc<Resources>) -> Self {
        Self {
            resources,
            running: BTreeMap::new(),
            tasks: JoinSet::new(),
            partitions: HashMap::new(),
            releasing: vec![],
        }
    }

    pub(crate) fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Starts the owner of a partition, or does so once the last one has ended.
    pub(crate) fn start(&mut self, partition: u32) {
        if let Some(running) = self.running.get_mut(&partition) {
            running.again = running.stop.is_cancelled();
            return;
        }
        let (stop, progress) = (CancellationToken::new(), Progress::unknown());
        let owner = keep_owning(
            Arc::clone(&self.resources),
            partition,
            Arc::clone(&progress),
            stop.clone(),
        );
        let task = self.tasks.spawn(owner);
        self.partitions.insert(task.id(), partition);
        self.running.insert(
            partition,
            Running {
                stop,
                progress,
                again: false,
            },
        );
    }

    /// Stops the owners of these partitions; `released` is dropped once all of them have ended.
    pub(crate) fn release(&mut self, mut partitions: BTreeSet<u32>, released: Option<Released>) {
        partitions.retain(|partition| {
            let running = self.running.get_mut(partition);
            running
                .map(|running| {
                    running.again = false;
                    running.stop.cancel();
                })
                .is_some()
        });
        if !partitions.is_empty() {
            self.releasing.push(Releasing {
                partitions,
                _released: released,
            });
        }
    }

    pub(crate) fn release_all(&mut self) {
        self.release(self.running.keys().copied().collect(), None);
    }

    /// Waits for an owner to end, in order or because nothing helps; `None` while there is none.
    pub(crate) async fn ended(&mut self) -> Option<(u32, Result<(), OwnerError>)> {
        let (task, ended) = match self.tasks.join_next_with_id().await? {
            Ok((task, ended)) => (task, ended),
            Err(error) => (error.id(), Err(error.into())),
        };
        let partition = self.partitions.remove(&task)?;
        self.resources.directory.withdraw(partition);
        Some((partition, ended))
    }

    /// Puts away an owner that ended. Starts the next one where the group wants it.
    pub(crate) fn finish(&mut self, partition: u32) {
        let ended = self.running.remove(&partition);
        for releasing in &mut self.releasing {
            releasing.partitions.remove(&partition);
        }
        self.releasing
            .retain(|releasing| !releasing.partitions.is_empty());
        if ended.is_some_and(|ended| ended.again) {
            self.start(partition);
        }
    }

    /// How far each has numbered.
    pub(crate) fn progress(&self) -> BTreeMap<u32, i64> {
        let running = self.running.iter();
        running
            .filter_map(|(partition, owner)| Some((*partition, owner.progress.offset()?)))
            .collect()
    }
}

/// Owns a partition, again and again where it fails, until told to stop or nothing helps.
async fn keep_owning(
    resources: Arc<Resources>,
    partition: u32,
    progress: Arc<Progress>,
    stop: CancellationToken,
) -> Result<(), OwnerError> {
    let ended = tokio::select! {
        ended = own_again_and_again(&resources, partition, &progress, &stop) => ended,
        () = tell_lag(&resources, partition, &progress) => Ok(()),
    };
    // The next owner tells from here on; an old figure would ring for ever.
    metrics::lag(partition, Lag::default());
    ended
}

async fn own_again_and_again(
    resources: &Arc<Resources>,
    partition: u32,
    progress: &Arc<Progress>,
    stop: &CancellationToken,
) -> Result<(), OwnerError> {
    let mut backoff = Backoff::between(RESTART_FLOOR, RESTART_CEILING);
    loop {
        let began = Instant::now();
        let ended = own(Arc::clone(resources), partition, progress, stop).await;
        match ended {
            Err(error) if !error.is_final() => {
                metrics::owner_failed();
                tracing::error!(partition, %error, "the owner of a partition stopped; its rooms are not served here");
            }
            ended => return ended,
        }
        if began.elapsed() > STABLE_AFTER {
            backoff.reset();
        }
        tokio::select! {
            () = backoff.wait() => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Never ends.
async fn tell_lag(resources: &Resources, partition: u32, progress: &Progress) {
    let (mut clock, began) = (LagClock::default(), Instant::now());
    let mut ticks = tokio::time::interval(LAG_INTERVAL);
    loop {
        ticks.tick().await;
        // Where the log does not answer, the last figure stays, and the readers say so.
        if let (Some(offset), Ok(bounds)) = (
            progress.offset(),
            resources.bounds.watermarks(partition).await,
        ) {
            let now_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            metrics::lag(partition, clock.look(bounds.high, offset, now_ms));
        }
    }
}
