//! The owner's loop: read, number, forward; everything else runs beside it.

mod heard;

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use roomlog_core::interest::GatewayId;
use roomlog_platform::{
    kafka::{Batch, LogRecord, PartitionStream, ReadError},
    stored_event::StoredEvent,
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Command, OwnerError, Resources,
    base::{self, Base},
    effects::{Done, Effects},
    presence::Presence,
    state::{Applied, State},
};
use crate::metrics;

/// Records applied between two looks at everything else: a few milliseconds.
const BATCH_RECORDS_MAX: usize = 512;

/// Commands that wait for an owner. When full, the gateways that send more wait, each on its own stream.
const COMMANDS_MAX: usize = 1_024;

/// How often badges are told and quiet rooms looked for. A room's head is repeated after one to two ticks without an
/// event, so within 1 s of its last.
const TICK: Duration = Duration::from_millis(250);

/// How long a stopping owner may take to leave its last snapshot. Without it the next owner only has more to read.
const LAST_SNAPSHOT_TIMEOUT: Duration = Duration::from_millis(500);

/// How far an owner has numbered, for whoever commits.
#[derive(Debug)]
pub(crate) struct Progress(AtomicI64);

/// What an owner waits for.
enum Event {
    Read(Result<Batch, ReadError>),
    Asked(Command),
    Done(Result<Done, JoinError>),
    Tick,
    Stop,
}

/// Why no further record is applied for now.
enum Blocked {
    /// A room's row is being read.
    Head,
    /// An event is shown once the dead-letter topic has its record.
    PutAside(Box<StoredEvent>),
}

/// A partition's owner at work.
struct Owner {
    partition: u32,
    state: State,
    effects: Effects,
    stream: PartitionStream,
    /// Read and not applied.
    pending: VecDeque<LogRecord>,
    blocked: Option<Blocked>,
    /// Where the stream goes on after `pending`.
    read_to: i64,
    /// Heads are stated once everything before it is applied.
    end: i64,
    live: bool,
    /// `read_to` at the last tick, while somebody waited for more.
    stalled_at: Option<i64>,
    /// Whether records at the log's end are being looked for.
    looking: bool,
    running: JoinSet<Done>,
    commands: mpsc::Sender<Command>,
    started: Instant,
    base: &'static str,
    /// The latest gateway that is known here.
    met: GatewayId,
}

// === impl Progress ===

impl Progress {
    pub(crate) fn unknown() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(-1)))
    }

    /// The next offset to be numbered, once one is known.
    pub(crate) fn offset(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|offset| *offset >= 0)
    }
}

/// Owns a partition until it is told to stop.
pub(crate) async fn own(
    resources: Arc<Resources>,
    partition: u32,
    progress: &Progress,
    stop: &CancellationToken,
) -> Result<(), OwnerError> {
    let started = Instant::now();
    let effects = Effects {
        resources,
        partition,
    };
    let base = tokio::select! {
        base = base::find(&effects) => base?,
        () = stop.cancelled() => return Ok(()),
    };
    let (commands, mut asked) = mpsc::channel(COMMANDS_MAX);
    let mut owner = Owner::new(effects, base, commands, started);
    let ended = owner.run(&mut asked, progress, stop).await;
    owner.effects.resources.directory.withdraw(partition);
    if ended.is_ok() {
        owner.leave().await;
    }
    ended
}

// === impl Owner ===

impl Owner {
    fn new(
        effects: Effects,
        base: Base,
        commands: mpsc::Sender<Command>,
        started: Instant,
    ) -> Self {
        let (partition, next) = (effects.partition, base.log.next().offset);
        let name = if base.trusted { "snapshot" } else { "row" };
        tracing::info!(
            partition,
            base = name,
            next,
            read_from = base.read_from,
            end = base.end,
            base_ms = started.elapsed().as_millis(),
            "partition taken over"
        );
        Self {
            partition,
            stream: effects.resources.reader.open(partition, base.read_from),
            state: State::new(
                base.log,
                base.trusted,
                Presence::new(&effects.resources.presence),
                0,
            ),
            effects,
            pending: VecDeque::new(),
            blocked: None,
            read_to: base.read_from,
            end: base.end,
            live: false,
            stalled_at: None,
            looking: false,
            running: JoinSet::new(),
            commands,
            started,
            base: name,
            met: GatewayId(0),
        }
    }

    async fn run(
        &mut self,
        asked: &mut mpsc::Receiver<Command>,
        progress: &Progress,
        stop: &CancellationToken,
    ) -> Result<(), OwnerError> {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            self.apply_pending();
            self.follow_up();
            progress
                .0
                .store(self.state.log.next().offset, Ordering::Relaxed);
            let may_read = self.pending.is_empty() && self.blocked.is_none();
            let event = tokio::select! {
                () = stop.cancelled() => Event::Stop,
                _ = ticks.tick() => Event::Tick,
                Some(done) = self.running.join_next() => Event::Done(done),
                Some(command) = asked.recv() => Event::Asked(command),
                batch = self.stream.next_batch(BATCH_RECORDS_MAX), if may_read => Event::Read(batch),
            };
            match event {
                Event::Read(batch) => self.take(batch?),
                Event::Asked(command) => self.asked(command),
                Event::Done(done) => self.done(done?),
                Event::Tick => self.tick(),
                Event::Stop => return Ok(()),
            }
        }
    }

    /// Takes what was read. What lies before the numbering's start only fills the window.
    fn take(&mut self, batch: Batch) {
        let next = self.state.log.next();
        for record in batch.records {
            if record.offset < next.offset {
                self.state.log.remember(&record.as_ref(next.generation));
            } else {
                self.pending.push_back(record);
            }
        }
        self.read_to = self.read_to.max(batch.next_offset);
        if batch.caught_up && !self.live {
            // The stream was opened after the end was asked for, so nothing below it is left; marks of transactions
            // may take the last offsets.
            self.read_to = self.read_to.max(self.end);
        }
    }

    fn apply_pending(&mut self) {
        let wall_ms = wall_ms();
        while self.blocked.is_none()
            && let Some(record) = self.pending.front()
        {
            match self.state.apply(record, wall_ms) {
                Applied::Done => {
                    self.pending.pop_front();
                }
                Applied::HeadUnknown => {
                    // The rows of what follows are wanted as well: better read at once than one after the other.
                    for record in &self.pending {
                        self.state.want_head_of(record);
                    }
                    self.blocked = Some(Blocked::Head);
                }
                Applied::Unreadable(event, reason) => {
                    if let Some(record) = self.pending.pop_front() {
                        self.running
                            .spawn(self.effects.clone().put_aside(record, reason));
                        self.blocked = Some(Blocked::PutAside(event));
                    }
                }
            }
        }
    }

    /// What follows from a new state: answers, wake-ups, and effects whose turn it is.
    fn follow_up(&mut self) {
        let passed = self.passed();
        if !self.live && passed >= self.end && passed >= self.state.log.next().offset {
            self.go_live();
        }
        self.state.answer(passed);
        self.state.wake_gateways();
        let effects = &self.effects;
        while let Some(keys) = self.state.loads.begin_load() {
            self.running.spawn(effects.clone().load_heads(keys));
        }
        if let Some(events) = self.state.tail.begin_write() {
            self.running.spawn(effects.clone().write_tail(events));
        }
        if self.state.fresh.begin_look() {
            self.running.spawn(effects.clone().find_end());
        }
    }

    /// Everything before it is numbered and shown.
    fn passed(&self) -> i64 {
        match (&self.blocked, self.pending.front()) {
            (Some(Blocked::PutAside(event)), _) => event.offset,
            (_, Some(record)) => record.offset,
            (_, None) => self.read_to,
        }
    }

    fn go_live(&mut self) {
        let (partition, took) = (self.partition, self.started.elapsed());
        self.live = true;
        self.state.go_live();
        metrics::take_over(self.base, took);
        tracing::info!(
            partition,
            took_ms = took.as_millis(),
            next = self.read_to,
            "heads of the partition are stated"
        );
        self.effects
            .resources
            .directory
            .state_heads(partition, self.commands.clone());
    }

    fn tick(&mut self) {
        let now_ms = self.now_ms();
        self.meet_gateways();
        self.state.tick(now_ms);
        if let Some(places) = self.state.presence.begin_write(now_ms) {
            self.running
                .spawn(self.effects.clone().write_places(places, wall_ms()));
        }
        self.state.notice_completeness();
        self.look_past_a_stall();
        metrics::position(self.partition, self.state.log.next().offset);
        if self.state.loads.begin_list(now_ms) {
            self.running.spawn(self.effects.clone().list_rooms());
        }
        if let Some(write) = self
            .state
            .snapshots
            .begin_write(&mut self.state.log, now_ms)
        {
            self.running
                .spawn(self.effects.clone().write_snapshot(write));
        } else if self.state.snapshots.begin_check(&self.state.log, now_ms) {
            self.running.spawn(self.effects.clone().check_snapshot());
        }
    }

    fn meet_gateways(&mut self) {
        let directory = &self.effects.resources.directory;
        let attached = directory.attached_after(self.met);
        let latest = attached.iter().map(|(id, _)| *id).max();
        self.met = latest.unwrap_or(self.met);
        self.state.meet(attached);
    }

    /// Where somebody waits for an end and nothing comes, it is found out whether anything is there to come.
    fn look_past_a_stall(&mut self) {
        let end = self
            .state
            .fresh
            .latest_end()
            .filter(|end| *end > self.read_to);
        let before = std::mem::replace(&mut self.stalled_at, end.map(|_| self.read_to));
        if let Some(end) = end
            && before == Some(self.read_to)
            && !self.looking
        {
            self.looking = true;
            let effects = self.effects.clone();
            self.running
                .spawn(effects.look_for_records(self.read_to, end));
        }
    }

    /// Leaves a snapshot for the next owner, if Redis takes it in time.
    async fn leave(&mut self) {
        if let Some(write) = self.state.snapshots.last_write(&mut self.state.log) {
            let written = self.effects.clone().write_snapshot(write);
            let _ = tokio::time::timeout(LAST_SNAPSHOT_TIMEOUT, written).await;
        }
    }

    /// Milliseconds since this owner started.
    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The time of day, for comparing with append times.
fn wall_ms() -> i64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_epoch.map_or(0, |elapsed| {
        i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)
    })
}
