//! A shard: a task that owns some rooms, serves requests in their order and fetches what rooms lack.

mod fetched;

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use roomlog_core::{
    code::{Code, Refusal},
    event::Kind,
    ids::RoomKey,
    interest::Level,
    partition::partition_of,
    signal::{Signal, Stamped},
    unread::ReadPosition,
};
use roomlog_platform::{
    link::{LinkId, RoomHead, RoomInterest, Said},
    shutdown::Shutdown,
    stored_event::StoredEvent,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Duration, MissedTickBehavior, interval as ticks},
};

pub(super) use self::fetched::{Brought, Fetched};
use super::{Ask, Command, backfill::Source, room::Room};
use crate::{clock, metrics, room_list::Heard};

/// Rooms of one shard. Beyond it requests for further rooms are refused `overloaded`.
const ROOMS_MAX: usize = 100_000;
/// Requests that wait for one room to open or for rows. Beyond it they are refused `overloaded`.
const WAITING_MAX: usize = 4_096;
/// How long a room nobody looks at is kept, so that coming back costs nothing.
const LINGER_MS: u64 = 30_000;
/// How often rooms that are no longer needed are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How often read positions are shown and typing is looked at that ended by itself.
const SIGNALS_INTERVAL: Duration = Duration::from_millis(250);
/// Signals taken at once before events get their turn.
const SIGNALS_AT_ONCE: usize = 32;
/// Commands taken at once before fetched things and timers get their turn.
const COMMANDS_AT_ONCE: usize = 64;

pub(super) struct Shard {
    source: Source,
    rooms: HashMap<RoomKey, Slot>,
    /// How many of them the figures count.
    rooms_told: usize,
    fetches: JoinSet<Fetched>,
    /// Rooms opened so far: each opening of a room has its own number.
    lives: u64,
    /// Rooms in which signals are to become due.
    lively: HashSet<RoomKey>,
    /// Rooms on the lists of users here.
    followed: HashSet<RoomKey>,
}

enum Slot {
    /// Being looked up; requests wait.
    Opening(Vec<Ask>),
    Open(Box<OpenRoom>),
}

pub(super) struct OpenRoom {
    pub(super) room: Room,
    /// What is fetched for it carries this number: rows read for an earlier opening may be older than this one's.
    pub(super) life: u64,
    /// Whether its state is being read anew.
    is_renewing: bool,
    /// Whether rows are being read for requests that wait.
    pub(super) is_fetching_rows: bool,
    /// Requests that wait for rows, in their order.
    pub(super) waiting: Vec<Ask>,
}

/// What wakes a shard.
enum Event {
    Commands,
    Fetched(Box<Fetched>),
    Signals,
    SignalsDue,
    Sweep,
    Stop,
}

// === impl Shard ===

impl Shard {
    pub(super) fn new(source: Source) -> Self {
        Self {
            source,
            rooms: HashMap::new(),
            rooms_told: 0,
            fetches: JoinSet::new(),
            lives: 0,
            lively: HashSet::new(),
            followed: HashSet::new(),
        }
    }

    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut signals: mpsc::Receiver<Stamped>,
        shutdown: Shutdown,
    ) {
        let mut signals_due = ticks(SIGNALS_INTERVAL);
        signals_due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Vec::with_capacity(SIGNALS_AT_ONCE);
        let mut sweep = ticks(SWEEP_INTERVAL);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(COMMANDS_AT_ONCE);
        loop {
            let event = tokio::select! {
                count = commands.recv_many(&mut batch, COMMANDS_AT_ONCE) => match count {
                    0 => Event::Stop,
                    _ => Event::Commands,
                },
                Some(fetched) = self.fetches.join_next() => match fetched {
                    Ok(fetched) => Event::Fetched(Box::new(fetched)),
                    // Fetches are never aborted while the shard runs, and a panic in one is a fault to be seen.
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                },
                1.. = signals.recv_many(&mut heard, SIGNALS_AT_ONCE) => Event::Signals,
                _ = signals_due.tick() => Event::SignalsDue,
                _ = sweep.tick() => Event::Sweep,
                () = shutdown.begun() => Event::Stop,
            };
            match event {
                Event::Commands => {
                    for command in batch.drain(..) {
                        self.obey(command).await;
                    }
                }
                Event::Fetched(fetched) => self.receive(*fetched),
                Event::Signals => heard.drain(..).for_each(|signal| self.hear(signal)),
                Event::SignalsDue => self.show_due_signals(),
                Event::Sweep => self.sweep(),
                Event::Stop => return,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Ask(ask) => self.ask(*ask),
            Command::Leave {
                key,
                connection,
                index,
                envelope,
            } => {
                if let Some(Slot::Open(open)) = self.rooms.get_mut(&key) {
                    open.room.leave(connection, index, &envelope);
                }
            }
            Command::Events(events) => {
                for event in events {
                    self.take(event);
                    // A room with thousands of subscribers takes a while; others on this core get their turn.
                    tokio::task::consume_budget().await;
                }
            }
            Command::Follow(keys) => self.follow(keys),
            Command::Unfollow(keys) => self.unfollow(&keys),
            Command::Heads(heads) => heads.into_iter().for_each(|head| self.note_head(&head)),
            Command::Owned {
                link,
                partitions,
                gained,
                partition_count,
            } => {
                self.declare_anew(link, &gained, partition_count);
                self.lose_owner(link, &partitions, partition_count);
            }
            Command::Presences(link, rooms) => {
                rooms.into_iter().for_each(|said| self.see(link, said));
            }
            Command::Lapsed(link) => self.ask_presence_anew(link),
        }
    }

    /// Follows rooms for lists: heads and what matters there is passed on, whether somebody looks at the room or not.
    fn follow(&mut self, keys: Vec<RoomKey>) {
        for key in keys {
            match self.rooms.get_mut(&key) {
                Some(Slot::Open(open)) => {
                    open.room.is_followed = true;
                    self.source.declare(&open.room, Level::Live);
                    let head = open.room.head_and_count();
                    self.source.ear.tell(Heard::Head(head));
                }
                _ => self.source.declare_badge(&key),
            }
            self.followed.insert(key);
        }
    }

    fn unfollow(&mut self, keys: &[RoomKey]) {
        for key in keys.iter().filter(|key| self.followed.remove(*key)) {
            match self.rooms.get_mut(key) {
                Some(Slot::Open(open)) => {
                    open.room.is_followed = false;
                    self.source.declare(&open.room, Level::Live);
                }
                _ => self.source.declare_none(key),
            }
        }
    }

    /// Passes an event on to the lists, where it may matter there.
    fn tell_lists(&self, event: &StoredEvent) {
        // Whoever joins a room is told of it, though nobody here may have known of it.
        if self.followed.contains(&event.key) || matches!(event.kind, Kind::Member | Kind::Room) {
            self.source.ear.tell(Heard::Event(event.clone()));
        }
    }

    fn take(&mut self, event: StoredEvent) {
        self.tell_lists(&event);
        if let Some(Slot::Open(open)) = self.rooms.get_mut(&event.key) {
            if event.kind == Kind::Member {
                open.room.signals.members_moved();
                self.lively.insert(event.key.clone());
            }
            open.room.take(event);
            self.source.fetch_needs(open, &mut self.fetches);
        } else {
            self.source.presence.hear(&event);
        }
    }

    fn hear(&mut self, signal: Stamped) {
        if let Signal::Read { user, seq, count } = &signal.signal
            && self.followed.contains(&signal.key)
        {
            self.source.ear.tell(Heard::Read {
                key: signal.key.clone(),
                user: user.clone(),
                position: ReadPosition::at(*seq, *count),
            });
        }
        if let Some(Slot::Open(open)) = self.rooms.get_mut(&signal.key) {
            self.lively.insert(signal.key.clone());
            open.room.signals.take(signal);
        }
    }

    /// Takes an owner's word on who is in a room.
    fn see(&mut self, link: LinkId, said: Said) {
        if let Some(Slot::Open(open)) = self.rooms.get_mut(said.key()) {
            self.lively.insert(said.key().clone());
            open.room.signals.see(link, said);
            self.source.fetch_positions(open, &mut self.fetches);
        }
    }

    /// A fanout owns these partitions and no others: what it said of other rooms does not hold for ever.
    fn lose_owner(&mut self, link: LinkId, partitions: &[u32], partition_count: u32) {
        for (key, slot) in &mut self.rooms {
            let partition = partition_of(key.as_str().as_bytes(), partition_count);
            if let Slot::Open(open) = slot
                && !partitions.contains(&partition)
            {
                open.room.signals.lose_owner(link);
                self.lively.insert(key.clone());
            }
        }
    }

    /// Asks a fanout for the whole presence of its rooms that are listened to.
    fn ask_presence_anew(&self, link: LinkId) {
        let open = self.rooms.values().filter_map(|slot| match slot {
            Slot::Open(open) => Some(&open.room),
            Slot::Opening(_) => None,
        });
        let heard = open.filter(|room| room.signals.is_declared);
        let theirs = heard.filter(|room| self.source.links.owners(room.key()).contains(&link));
        let interest: Vec<_> = theirs.map(|room| interest(room, Level::Live)).collect();
        self.source.links.set_interest(link, interest);
    }

    fn show_due_signals(&mut self) {
        let (rooms, source, fetches) = (&mut self.rooms, &self.source, &mut self.fetches);
        self.lively.retain(|key| match rooms.get_mut(key) {
            Some(Slot::Open(open)) => {
                source.fetch_counts(open, fetches);
                open.room.signals.tick(key)
            }
            _ => false,
        });
    }

    fn note_head(&mut self, head: &RoomHead) {
        if self.followed.contains(&head.key) {
            self.source.ear.tell(Heard::Head(head.clone()));
        }
        if let Some(Slot::Open(open)) = self.rooms.get_mut(&head.key) {
            open.room.note_head(head.seq);
            self.source.fetch_needs(open, &mut self.fetches);
        }
    }

    /// Serves a request, or lets it wait for the room to open or for rows.
    fn ask(&mut self, ask: Ask) {
        let overloaded =
            || Refusal::retry_after(Code::Overloaded, "too much waits for this room", 1_000);
        let is_full = self.rooms.len() >= ROOMS_MAX;
        match self.rooms.get_mut(&ask.key) {
            Some(Slot::Open(open)) => {
                if open.waiting.len() >= WAITING_MAX {
                    return ask.refuse(overloaded());
                }
                self.source.serve(open, [ask], &mut self.fetches);
                if open.room.signals.is_awaited() {
                    self.lively.insert(open.room.key().clone());
                }
            }
            Some(Slot::Opening(waiting)) if waiting.len() >= WAITING_MAX => {
                ask.refuse(overloaded())
            }
            Some(Slot::Opening(waiting)) => waiting.push(ask),
            None if is_full => ask.refuse(overloaded()),
            None => self.open(ask.key.clone(), vec![ask]),
        }
    }

    fn tell_rooms(&mut self) {
        metrics::rooms(self.rooms_told, self.rooms.len());
        self.rooms_told = self.rooms.len();
    }

    /// Tells a fanout of the rooms it now serves.
    fn declare_anew(&mut self, link: LinkId, partitions: &[u32], partition_count: u32) {
        let open = self.rooms.values().filter_map(|slot| match slot {
            Slot::Open(open) => Some(&open.room),
            Slot::Opening(_) => None,
        });
        let is_theirs = |key: &RoomKey| {
            partitions.contains(&partition_of(key.as_str().as_bytes(), partition_count))
        };
        let theirs = open.filter(|room| is_theirs(room.key()));
        let mut interest: Vec<_> = theirs.map(|room| interest(room, Level::Live)).collect();
        let elsewhere = self
            .followed
            .iter()
            .filter(|key| is_theirs(key) && !matches!(self.rooms.get(*key), Some(Slot::Open(_))));
        interest.extend(elsewhere.map(badge_interest));
        self.source.links.set_interest(link, interest);
    }

    fn sweep(&mut self) {
        self.renew_the_unsure();
        let since_ms = clock::monotonic_ms().saturating_sub(LINGER_MS);
        let source = &self.source;
        self.rooms.retain(|_, slot| {
            let Slot::Open(open) = slot else {
                return true;
            };
            let is_over = open.room.sweep(since_ms) && open.waiting.is_empty();
            let signals = &mut open.room.signals;
            let heard_in_vain = signals.is_declared && signals.is_empty();
            if heard_in_vain {
                signals.rest();
            }
            if is_over {
                match open.room.is_followed {
                    true => source.declare_badge(open.room.key()),
                    false => source.declare_none(open.room.key()),
                }
            } else if heard_in_vain {
                source.declare(&open.room, Level::Live);
            }
            !is_over
        });
        self.tell_rooms();
    }
}

pub(super) fn interest(room: &Room, level: Level) -> RoomInterest {
    RoomInterest {
        key: room.key().clone(),
        level,
        seq: Some(room.head()),
        signals: room.signals.is_declared || room.is_followed,
    }
}

/// Interest in a room that nobody here looks at and somebody here has on their list.
pub(super) fn badge_interest(key: &RoomKey) -> RoomInterest {
    RoomInterest {
        key: key.clone(),
        level: Level::Badge,
        seq: None,
        signals: true,
    }
}
