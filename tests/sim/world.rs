//! One world: who is there, and what clients and fanouts can do next.

use std::collections::VecDeque;

use roomlog_core::room_log::{Changes, WINDOW_MS};

use crate::{
    checks,
    client::Client,
    fanout::Fanout,
    faults::Faults,
    gateway::{Gateway, Producing},
    log::{Draft, Log},
    persister::{MarkStore, Persister, ReadMark},
    random::Random,
    rules::{Mechanism, Rules},
    stores::{Dynamo, Reads, Redis},
    tally::Tally,
};

/// Noon of some day.
const START_MS: i64 = 1_763_700_000_000;

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    pub(crate) rules: Rules,
    pub(crate) now_ms: i64,
    /// The latest moment there was.
    pub(crate) latest_ms: i64,
    pub(crate) log: Log,
    pub(crate) redis: Redis,
    pub(crate) dynamo: Dynamo,
    /// The fanouts of each replica group: the current one last, zombies before it.
    pub(crate) groups: [Vec<Fanout>; 2],
    /// The current one last.
    pub(crate) persisters: Vec<Persister>,
    pub(crate) mark_stores: Vec<MarkStore>,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) clients: Vec<Client>,
    /// Records the partition's leader has and its followers do not yet, each with its gateway. Nobody reads them.
    pub(crate) leading: VecDeque<(usize, Producing)>,
    /// How many partitions the broker has; readers and producers go by what was recorded with the topic.
    pub(crate) live_partitions: u32,
    /// Records that were placed in other partitions.
    pub(crate) elsewhere: Vec<Draft>,
    /// Records that left their gateway and may arrive at any time, or never.
    pub(crate) adrift: Vec<Draft>,
    /// Snapshot writes whose writers are gone; they may arrive at any time, or never.
    pub(crate) redis_adrift: Vec<Changes>,
    /// The topic of read marks.
    pub(crate) marks: Vec<ReadMark>,
    /// Read positions before the last step.
    reads: Reads,
    /// Sessions and messages so far.
    made: u64,
    pub(crate) tally: Tally,
}

/// What becomes of a record on its way to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is appended, and the gateway is told.
    Acknowledged,
    /// It is appended, and the gateway is not told.
    Unanswered,
    /// It is lost on the way.
    Lost,
    /// It arrives later, or never.
    Adrift,
    /// The leader has it, and the followers fetch it later, or never.
    Leading,
}

// === impl World ===

impl World {
    /// A world of two gateways, two replica groups, a persister and nobody else.
    pub(crate) fn new(random: Random, faults: Faults, rules: Rules) -> Self {
        let log = match rules.keep(Mechanism::Window) {
            true => Log::new(),
            false => Log::with_window(0),
        };
        let mut random = random;
        let dynamo = Dynamo::new(random.fork());
        let live_partitions = log.spec.partition_count;
        let mut world = Self {
            random,
            faults,
            rules,
            now_ms: START_MS,
            latest_ms: START_MS,
            log,
            redis: Redis::default(),
            dynamo,
            groups: [Vec::new(), Vec::new()],
            persisters: Vec::new(),
            mark_stores: Vec::new(),
            gateways: vec![Gateway::new(rules), Gateway::new(rules)],
            clients: Vec::new(),
            leading: VecDeque::new(),
            live_partitions,
            elsewhere: Vec::new(),
            adrift: Vec::new(),
            redis_adrift: Vec::new(),
            marks: Vec::new(),
            reads: Reads::new(),
            made: 0,
            tally: Tally::default(),
        };
        world.replace_fanout(0);
        world.replace_fanout(1);
        world.replace_persister();
        world
    }

    // --- Clients ---

    pub(crate) fn connect(&mut self, which: usize, gateway: usize) {
        self.disconnect(which);
        let client = &mut self.clients[which];
        client.gateway = Some(gateway);
        client.is_refused = false;
        self.made += 1;
        let (user, room) = (client.user.clone(), client.room.clone());
        self.gateways[gateway].connect(which, self.made, user, room, client.seen);
    }

    pub(crate) fn disconnect(&mut self, which: usize) {
        if let Some(gateway) = self.clients[which].gateway.take() {
            self.gateways[gateway].sessions.remove(&which);
        }
    }

    /// A client writes something new and sends it.
    pub(crate) fn write(&mut self, which: usize, draft: Draft) {
        self.clients[which].unacknowledged.push_back(draft.clone());
        self.send(which, draft);
    }

    /// A client sends something, perhaps again.
    pub(crate) fn send(&mut self, which: usize, draft: Draft) {
        let client = &mut self.clients[which];
        if let Some(gateway) = client.gateway {
            client.sent.insert(draft.id.clone(), draft.clone());
            self.gateways[gateway].send(which, draft);
        }
    }

    pub(crate) fn fresh_id(&mut self) -> String {
        self.made += 1;
        format!("{}", self.made)
    }

    /// A client reads what is next on its connection.
    pub(crate) fn client_reads(&mut self, which: usize) -> bool {
        let Some(gateway) = self.clients[which].gateway else {
            return false;
        };
        let session = self.gateways[gateway].sessions.get_mut(&which);
        let Some(frame) = session.and_then(|session| session.wire.pop_front()) else {
            return false;
        };
        self.clients[which].read(&self.log, frame);
        true
    }

    /// A client marks read what it has seen; the log of marks takes it.
    pub(crate) fn mark_read(&mut self, which: usize) {
        let client = &self.clients[which];
        let state = self.log.state(&client.room, client.seen);
        self.marks.push(ReadMark {
            room: client.room.clone(),
            user: client.user.clone(),
            to: (client.seen, state.count),
        });
    }

    // --- Fanouts ---

    /// A fanout reads so many records and says what they are.
    pub(crate) fn fanout_reads(&mut self, group: usize, which: usize, records_max: usize) {
        let fanout = &mut self.groups[group][which];
        let owner = &mut fanout.owner;
        owner.start(&self.log, &self.redis, &self.dynamo, &mut self.tally);
        let takes_dead_letters = !self.random.percent(3 * self.faults.poison);
        let said = owner.poll(
            &mut self.log,
            &self.dynamo,
            records_max,
            takes_dead_letters,
            &mut self.tally,
        );
        owner.look(&self.log);
        let answers = owner.answers(&self.dynamo);
        let heads = owner.wanted_heads(&self.dynamo);
        fanout.say([said, heads].concat(), &mut self.random, self.faults.link);
        for (question, seq, count) in answers {
            self.gateways[question.gateway].answered(&question.room, (seq, count));
        }
    }

    pub(crate) fn fanout_repeats_heads(&mut self, group: usize, which: usize) {
        let fanout = &mut self.groups[group][which];
        let said = fanout.owner.repeat_heads();
        fanout.say(said, &mut self.random, self.faults.link);
    }

    /// A fanout writes its snapshot and the tails.
    pub(crate) fn fanout_writes(
        &mut self,
        group: usize,
        which: usize,
        arrives: bool,
        acknowledged: bool,
    ) {
        self.fanout_begins_to_write(group, which);
        self.fanout_ends_its_write(group, which, arrives, acknowledged);
    }

    /// A fanout sends its snapshot to Redis; what comes of that is open.
    pub(crate) fn fanout_begins_to_write(&mut self, group: usize, which: usize) {
        self.groups[group][which].owner.begin_write();
        let fanouts = self.groups.iter().flatten();
        let writers = fanouts.filter(|fanout| fanout.owner.is_writing()).count();
        self.tally.at_once += u64::from(writers > 1);
    }

    /// A snapshot that a fanout sent reaches Redis, or not, and is acknowledged, or not; then the tails are written.
    pub(crate) fn fanout_ends_its_write(
        &mut self,
        group: usize,
        which: usize,
        arrives: bool,
        acknowledged: bool,
    ) {
        let owner = &mut self.groups[group][which].owner;
        owner.end_write(&mut self.redis, arrives, acknowledged);
        owner.write_tails(&mut self.redis);
    }

    /// A fanout hears of a gateway's interest.
    pub(crate) fn fanout_hears(&mut self, group: usize, which: usize, gateway: usize) -> bool {
        self.groups[group][which].hear(gateway)
    }

    // --- The whole ---

    pub(crate) fn check(&mut self) {
        for room in std::mem::take(&mut self.dynamo.moved) {
            checks::a_row_is_within_the_stored_prefix(&self.log, &self.dynamo, &room);
            checks::changes_of_messages_come_to_the_same(&self.log, &self.dynamo, &room);
        }
        checks::room_rows_are_never_behind_the_partition_row(&self.log, &self.dynamo);
        checks::read_positions_never_move_back(&self.log, &self.reads, &self.dynamo);
        if self.reads != self.dynamo.reads {
            checks::unread_is_exact(&self.log, &self.dynamo);
            self.reads = self.dynamo.reads.clone();
        }
        if self.faults.redis == 0 {
            checks::a_snapshot_that_redis_kept_is_trusted(&self.log, &self.redis);
        }
        let fanouts = self.groups.iter().flatten();
        fanouts.for_each(|fanout| fanout.owner.memory_is_bounded());
        self.persisters.iter().for_each(Persister::work_is_bounded);
    }
}

/// Up to a millisecond before, at, and after the end of the day a sending was in.
pub(crate) fn a_day_after(sent_ms: i64, which: usize) -> i64 {
    sent_ms + WINDOW_MS - 1 + which as i64
}
