//! One world: who is there, everything that can happen next, and the healing at the end.

use std::collections::VecDeque;

use roomlog_core::{
    ids::{RoomKey, Seq},
    room_log::{Changes, WINDOW_MS},
};

use crate::{
    checks,
    client::Client,
    fanout::Fanout,
    faults::Faults,
    gateway::{Following, Gateway, Producing, Slot},
    log::{Draft, Log},
    owner::{Question, Told},
    persister::{MarkStore, Persister, ReadMark},
    random::Random,
    rules::{Mechanism, Rules},
    stores::{Dynamo, Reads, Redis},
    tally::Tally,
};

/// Rounds within which a healed system has everything everywhere.
const HEALING_ROUNDS: usize = 300;
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

    // --- Gateways ---

    /// A gateway hears the next word on one of its links.
    pub(crate) fn gateway_hears(&mut self, gateway: usize, group: usize, which: usize) -> bool {
        let link = &mut self.groups[group][which].links[gateway];
        let Some(said) = link.down.pop_front() else {
            return false;
        };
        let owns = self.gateways[gateway].hear(&self.log, said, &mut self.tally);
        if owns {
            let interest = self.gateways[gateway].interest();
            self.groups[group][which].links[gateway].up.extend(interest);
        }
        true
    }

    /// The next events of a room: from a fanout's memory, then Redis, then DynamoDB; only what begins there.
    pub(crate) fn page(&self, key: &RoomKey, from: Seq) -> Vec<Told> {
        let current = self.groups.iter().filter_map(|group| group.last());
        let owners = current.filter(|fanout| fanout.owner.live);
        let remembered = owners.map(|fanout| fanout.owner.recent(key, from));
        let tail = || match self.redis.down {
            true => Vec::new(),
            false => {
                let tail = self.redis.tail(key).into_iter();
                tail.map(|(seq, place)| Told { seq, place }).collect()
            }
        };
        let mut sources = remembered
            .chain(std::iter::once_with(tail))
            .chain(std::iter::once_with(|| self.stored(key, from)));
        sources
            .find_map(|found| Self::usable(found, from))
            .unwrap_or_default()
    }

    /// The part of an answer that begins where it must and has no hole.
    fn usable(found: Vec<Told>, from: Seq) -> Option<Vec<Told>> {
        let after = found.into_iter().filter(|told| told.seq >= from);
        let dense = after
            .zip(from.0..)
            .take_while(|(told, seq)| told.seq.0 == *seq);
        let dense: Vec<_> = dense.map(|(told, _)| told).collect();
        (!dense.is_empty()).then_some(dense)
    }

    fn stored(&self, key: &RoomKey, from: Seq) -> Vec<Told> {
        if !self.dynamo.answers() {
            return Vec::new();
        }
        let rows = self.dynamo.events.range((key.clone(), from)..);
        rows.take_while(|((room, _), _)| room == key)
            .map(|((_, seq), (place, _))| Told {
                seq: *seq,
                place: *place,
            })
            .collect()
    }

    /// A gateway takes the next step for one of its rooms: opens it, or gets what it lacks.
    pub(crate) fn gateway_tends(&mut self, gateway: usize, key: &RoomKey, gives_up: bool) {
        let next = match self.gateways[gateway].rooms.get(key) {
            None => return,
            Some(Slot::Open(_)) => self.gateways[gateway].hole(key).map(|hole| hole.from),
            Some(Slot::Opening(opening)) => opening.next(),
        };
        let found = next.map(|next| self.page(key, next)).unwrap_or_default();
        let it = &mut self.gateways[gateway];
        it.fill(&self.log, key, &found, &mut self.tally);
        it.read_rows(&self.log, key, &self.dynamo, gives_up, &mut self.tally);
        let renewal = self.gateways[gateway].renewal(key);
        let renewal = renewal.map(|next| self.page(key, next)).unwrap_or_default();
        let it = &mut self.gateways[gateway];
        let begins = it.advance_opening(&self.log, key, &self.dynamo, &found, &mut self.tally)
            | it.advance_renewal(&self.log, key, &self.dynamo, &renewal, &mut self.tally);
        if begins {
            let interest = it.interest();
            let mine: Vec<_> = interest
                .into_iter()
                .filter(|(room, _)| room == key)
                .collect();
            for fanout in self
                .groups
                .iter_mut()
                .flatten()
                .filter(|fanout| fanout.owner.live)
            {
                fanout.links[gateway].up.extend(mine.clone());
            }
        }
    }

    /// A gateway asks a group's owner how far rooms are.
    pub(crate) fn gateway_asks(&mut self, gateway: usize, group: usize) {
        let rooms = self.gateways[gateway].questions();
        if let Some(fanout) = self.groups[group]
            .last_mut()
            .filter(|fanout| fanout.owner.live)
        {
            for room in rooms {
                fanout.owner.ask(Question { gateway, room });
            }
        }
    }

    /// A gateway serves a client's subscription.
    pub(crate) fn gateway_serves(&mut self, which: usize) {
        let Some(gateway) = self.clients[which].gateway else {
            return;
        };
        let session = self.gateways[gateway].sessions.get(&which);
        let Some(session) = session else {
            return;
        };
        let found = match session.following {
            Following::Behind(next) => self.page(&session.room, next),
            _ => Vec::new(),
        };
        self.gateways[gateway].serve(&self.log, which, &self.dynamo, &found, &mut self.tally);
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

    /// Everyone does what is next for them, without faults but those that stand.
    pub(crate) fn round(&mut self) {
        for gateway in 0..self.gateways.len() {
            while self.log_takes(gateway, Fate::Acknowledged) {}
        }
        self.round_of_stores();
        for group in 0..2 {
            for which in 0..self.groups[group].len() {
                self.fanout_reads(group, which, 6);
                self.groups[group][which]
                    .owner
                    .load_rows(&self.log, &self.dynamo, || true);
                self.groups[group][which]
                    .owner
                    .check_snapshot(&self.log, &self.redis);
                self.fanout_writes(group, which, true, true);
                self.fanout_repeats_heads(group, which);
            }
        }
        for gateway in 0..self.gateways.len() {
            self.round_of_gateway(gateway);
        }
        for client in 0..self.clients.len() {
            self.gateway_serves(client);
            while self.client_reads(client) {}
        }
        self.check();
    }

    fn round_of_stores(&mut self) {
        for which in 0..self.persisters.len() {
            let persister = &mut self.persisters[which];
            persister.start(&self.log, &self.dynamo);
            persister.poll(&mut self.log, &self.dynamo, 6, true, &mut self.tally);
            for _ in 0..4 {
                let (log, random) = (&self.log, &mut self.random);
                persister.write_some(log, &mut self.dynamo, random, &mut self.tally);
                (0..6).for_each(|_| persister.move_row(&mut self.dynamo));
            }
        }
        for store in &mut self.mark_stores {
            store.store(&self.marks, 4, &mut self.dynamo, self.rules);
        }
    }

    fn round_of_gateway(&mut self, gateway: usize) {
        for group in 0..2 {
            self.gateway_asks(gateway, group);
            for which in 0..self.groups[group].len() {
                while self.gateway_hears(gateway, group, which) {}
                while self.fanout_hears(group, which, gateway) {}
            }
        }
        let rooms: Vec<_> = self.gateways[gateway].rooms.keys().cloned().collect();
        for room in rooms {
            self.gateway_tends(gateway, &room, true);
        }
    }

    /// So many rounds.
    pub(crate) fn rounds(&mut self, rounds: usize) {
        (0..rounds).for_each(|_| self.round());
    }

    /// Ends all faults; then everything must arrive everywhere.
    pub(crate) fn heal(&mut self) {
        (self.redis.down, self.dynamo.down, self.dynamo.throttled) = (false, false, 0);
        self.faults.end();
        self.followers_fetch();
        for draft in std::mem::take(&mut self.adrift) {
            self.produce(draft);
        }
        for changes in std::mem::take(&mut self.redis_adrift) {
            self.redis.take(&changes);
        }
        self.faults.redis = 1;
        let mut rounds = 0;
        while rounds < 3 || !self.is_whole() {
            rounds += 1;
            assert!(
                rounds < HEALING_ROUNDS,
                "everything_arrives: {}",
                self.missing()
            );
            for client in 0..self.clients.len() {
                self.insist(client, rounds);
            }
            self.round();
        }
        checks::everything_is_stored(&self.log, &self.dynamo);
        for client in &self.clients {
            checks::everything_acknowledged_is_there_once(&self.log, client);
        }
    }

    /// A client that is not served comes again, and sends what was not acknowledged again.
    fn insist(&mut self, which: usize, rounds: usize) {
        let client = &self.clients[which];
        let session = client
            .gateway
            .and_then(|gateway| self.gateways[gateway].sessions.get(&which));
        let is_served = session.is_some_and(|session| session.following != Following::Ended);
        if !is_served && !client.is_up_to_date(&self.log) || client.gateway.is_none() {
            self.connect(which, rounds % self.gateways.len());
        }
        let again = self.clients[which].unacknowledged.iter().cloned();
        for draft in again.collect::<Vec<_>>() {
            self.send(which, draft);
        }
    }

    fn is_whole(&self) -> bool {
        self.missing().is_empty()
    }

    /// What has not arrived yet.
    fn missing(&self) -> String {
        let last = self.log.records.last();
        let last = last.map(|record| record.position.after());
        let mut missing = Vec::new();
        if self.dynamo.partition.map(|row| row.position) < last {
            missing.push("the store".to_owned());
        }
        if self.redis.snapshot().map(|snapshot| snapshot.position) < last {
            missing.push("the snapshot".to_owned());
        }
        for fanout in self.groups.iter().flatten() {
            let log = fanout.owner.log.as_ref();
            if !log.is_some_and(|log| log.is_complete() && Some(log.next()) >= last) {
                missing.push("a fanout".to_owned());
            }
        }
        let rooms = self
            .gateways
            .iter()
            .flat_map(|gateway| gateway.rooms.values());
        for slot in rooms {
            if matches!(slot, Slot::Open(room) if room.is_unsure()) {
                missing.push("a room's state".to_owned());
            }
        }
        for client in &self.clients {
            if !client.is_up_to_date(&self.log) || !client.unacknowledged.is_empty() {
                let (name, room, seen) = (client.name, &client.room, client.seen);
                let unsent = client.unacknowledged.len();
                let gateway = client.gateway.map(|gateway| &self.gateways[gateway]);
                let slot = gateway.and_then(|gateway| gateway.rooms.get(room));
                missing.push(format!(
                    "{name} in {room} at {seen} of {} with {unsent} to send: {slot:?}",
                    self.log.head(room)
                ));
            }
        }
        missing.join(", ")
    }
}

/// Up to a millisecond before, at, and after the end of the day a sending was in.
pub(crate) fn a_day_after(sent_ms: i64, which: usize) -> i64 {
    sent_ms + WINDOW_MS - 1 + which as i64
}
