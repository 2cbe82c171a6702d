//! The owners of one instance: started, started again when they fail, and released.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use roomlog_core::lag::{Lag, LagClock};
use roomlog_platform::{
    backoff::Backoff,
    kafka::{READS_TOPIC, Released, TopicPartition},
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::{self, Lasting},
    owner::{self, OwnerError, Progress, Resources},
    reads,
};

/// The shortest wait before an owner that failed is started again.
const RESTART_FLOOR: Duration = Duration::from_millis(500);
/// The longest: what an operator mended is noticed within it.
const RESTART_CEILING: Duration = Duration::from_secs(15);
/// How long an owner must have lasted for its failure to count as a first one.
const STABLE_AFTER: Duration = Duration::from_secs(60);
/// How often the log's end is asked for, to tell how far an owner is behind.
const LAG_INTERVAL: Duration = Duration::from_secs(5);

/// The owners, by topic and partition.
pub(crate) struct Owners {
    resources: Arc<Resources>,
    running: BTreeMap<TopicPartition, Running>,
    tasks: JoinSet<Result<(), OwnerError>>,
    /// What each task owns.
    places: HashMap<tokio::task::Id, TopicPartition>,
    /// Partitions the group waits for, until all of them have ended.
    releasing: Vec<Releasing>,
}

struct Running {
    release: CancellationToken,
    progress: Arc<Progress>,
    /// It is to be started again as soon as it has ended: the group gave it back meanwhile.
    again: bool,
}

struct Releasing {
    places: BTreeSet<TopicPartition>,
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
            places: HashMap::new(),
            releasing: Vec::new(),
        }
    }

    /// Starts the owner of a partition, or does so once the last one has ended.
    pub(crate) fn start(&mut self, place: TopicPartition) {
        if let Some(running) = self.running.get_mut(&place) {
            running.again = running.release.is_cancelled();
            return;
        }
        let (release, progress) = (CancellationToken::new(), Progress::unknown());
        let task = self.tasks.spawn(keep_owning(
            Arc::clone(&self.resources),
            place.clone(),
            Arc::clone(&progress),
            release.clone(),
        ));
        self.places.insert(task.id(), place.clone());
        let running = Running {
            release,
            progress,
            again: false,
        };
        self.running.insert(place, running);
    }

    /// Releases the owners of these partitions; `released` is dropped once all of them have ended.
    pub(crate) fn release(
        &mut self,
        places: impl IntoIterator<Item = TopicPartition>,
        released: Option<Released>,
    ) {
        let mut places: BTreeSet<_> = places.into_iter().collect();
        places.retain(|place| match self.running.get_mut(place) {
            Some(running) => {
                running.again = false;
                running.release.cancel();
                true
            }
            None => false,
        });
        if !places.is_empty() {
            self.releasing.push(Releasing {
                places,
                _released: released,
            });
        }
    }

    pub(crate) fn release_all(&mut self) {
        let all: Vec<_> = self.running.keys().cloned().collect();
        self.release(all, None);
    }

    /// Waits for an owner to end, in order or because nothing helps; `None` while there is none.
    pub(crate) async fn ended(&mut self) -> Option<(TopicPartition, Result<(), OwnerError>)> {
        let (task, ended) = match self.tasks.join_next_with_id().await? {
            Ok((task, ended)) => (task, ended),
            Err(error) => (error.id(), Err(error.into())),
        };
        Some((self.places.remove(&task)?, ended))
    }

    /// Puts away an owner that ended, and says how far it came. Starts the next one where the group wants it. The
    /// group goes on as soon as the answer is dropped.
    pub(crate) fn finish(&mut self, place: &TopicPartition) -> Finished {
        let mut finished = Finished::default();
        let Some(ended) = self.running.remove(place) else {
            return finished;
        };
        finished.offset = ended.progress.offset();
        for releasing in &mut self.releasing {
            releasing.places.remove(place);
        }
        let (done, waiting) = std::mem::take(&mut self.releasing)
            .into_iter()
            .partition(|releasing| releasing.places.is_empty());
        self.releasing = waiting;
        finished._released = done;
        if ended.again {
            self.start(place.clone());
        }
        finished
    }

    /// How far each has stored its partition.
    pub(crate) fn progress(&self) -> Vec<(TopicPartition, i64)> {
        let running = self.running.iter();
        running
            .filter_map(|(place, owner)| Some((place.clone(), owner.progress.offset()?)))
            .collect()
    }
}

/// How far an owner came, and who waits for that to be committed.
#[derive(Default)]
pub(crate) struct Finished {
    /// The first offset that may not be stored, where known.
    pub(crate) offset: Option<i64>,
    _released: Vec<Releasing>,
}

/// Owns a partition, again and again where it fails, until released or nothing helps.
async fn keep_owning(
    resources: Arc<Resources>,
    place: TopicPartition,
    progress: Arc<Progress>,
    release: CancellationToken,
) -> Result<(), OwnerError> {
    let _owned = Lasting::ownership();
    let owning = async {
        let mut backoff = Backoff::between(RESTART_FLOOR, RESTART_CEILING);
        loop {
            let began = Instant::now();
            let Err(error) = own(&resources, &place, &progress, &release).await else {
                return Ok(());
            };
            if error.is_final() {
                return Err(error);
            }
            let _failed = failed(&place, &error);
            if began.elapsed() > STABLE_AFTER {
                backoff.reset();
            }
            if release.run_until_cancelled(backoff.wait()).await.is_none() {
                return Ok(());
            }
        }
    };
    let ended = tokio::select! {
        ended = owning => ended,
        () = tell_lag(&resources, &place, &progress) => Ok(()),
    };
    // The next owner tells from here on; an old figure would ring for ever.
    metrics::lag(&place.topic, place.partition, Lag::default());
    ended
}

async fn own(
    resources: &Arc<Resources>,
    place: &TopicPartition,
    progress: &Arc<Progress>,
    release: &CancellationToken,
) -> Result<(), OwnerError> {
    let resources = Arc::clone(resources);
    resources.readers.doubt();
    if place.topic == READS_TOPIC {
        reads::own(resources, place.partition, progress, release).await
    } else {
        owner::own(resources, place.partition, progress, release).await
    }
}

/// An owner that another one is ahead of starts again at what that one stored; all else is for a human.
fn failed(place: &TopicPartition, error: &OwnerError) -> Option<Lasting> {
    let TopicPartition { topic, partition } = place;
    if matches!(error, OwnerError::Overtaken(_)) {
        tracing::info!(topic, partition, %error, "starting a partition again");
        return None;
    }
    metrics::owner_failed();
    tracing::error!(topic, partition, %error, "the owner of a partition stopped; its events are not stored");
    Some(Lasting::failure())
}

/// Never ends.
async fn tell_lag(resources: &Resources, place: &TopicPartition, progress: &Progress) {
    let reader = if place.topic == READS_TOPIC {
        &resources.reads
    } else {
        &resources.events
    };
    let (mut clock, began) = (LagClock::default(), Instant::now());
    let mut ticks = tokio::time::interval(LAG_INTERVAL);
    loop {
        ticks.tick().await;
        // Where the log does not answer, the owner says so; the last figure stays.
        if let (Some(offset), Ok(bounds)) =
            (progress.offset(), reader.watermarks(place.partition).await)
        {
            let now_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let lag = clock.look(bounds.high, offset, now_ms);
            metrics::lag(&place.topic, place.partition, lag);
        }
    }
}
