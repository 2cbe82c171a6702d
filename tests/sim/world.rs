//! One run: who is there, what can happen next, and the healing at the end.

use std::collections::VecDeque;

use roomlog_core::{
    event::Kind,
    ids::{RoomKey, Seq},
    room_log::WINDOW_MS,
};

use crate::{
    checks,
    faults::Faults,
    log::Log,
    owner::{Owner, Said},
    persister::Persister,
    random::Random,
    receiver::Receiver,
    stores::{Dynamo, Redis},
    tally::Tally,
};

/// Steps before the healing.
const STEPS: usize = 320;
/// Rounds within which a healed system has everything everywhere.
const HEALING_ROUNDS: usize = 200;
/// What waits on one stream; beyond, it is turned into a notice of the head.
const STREAM_MAX: usize = 6;

const SENDERS: [&str; 2] = ["ann", "bob"];
const KINDS: [Option<Kind>; 4] = [
    Some(Kind::Message),
    Some(Kind::Message),
    Some(Kind::Reaction),
    None,
];

/// An owner and its streams to the receivers, in the receivers' order.
#[derive(Debug, Default)]
pub(crate) struct Instance {
    owner: Owner,
    pub(crate) streams: Vec<VecDeque<Said>>,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) faults: Faults,
    trace: bool,
    now_ms: i64,
    log: Log,
    pub(crate) redis: Redis,
    pub(crate) dynamo: Dynamo,
    /// The owners of each replica group: the current one last, zombies before it.
    pub(crate) groups: [Vec<Instance>; 2],
    /// The current one last.
    pub(crate) persisters: Vec<Persister>,
    pub(crate) receivers: Vec<Receiver>,
    /// Room names, some of which belong to another partition.
    names: Vec<String>,
    /// What was sent and when, to be sent again.
    sent: Vec<(String, &'static str, String, i64)>,
    pub(crate) tally: Tally,
}

// === impl World ===

impl World {
    /// Runs a seed; a fact that does not hold panics.
    pub(crate) fn run(seed: u64, trace: bool) -> Self {
        let mut world = Self::new(seed, trace);
        for step in 0..STEPS {
            let what = world.step();
            if world.trace {
                println!("{step}: {what}");
            }
            world.check();
        }
        world.heal();
        world
    }

    fn new(seed: u64, trace: bool) -> Self {
        let mut random = Random::new(seed);
        let faults = Faults::of(&mut random);
        let log = Log::new();
        let names: Vec<_> = (0..7).map(|room| format!("room-{room}")).collect();
        let own: Vec<_> = names.iter().filter(|name| log.holds(name)).collect();
        let receivers = (0..4).map(|index| {
            let name = own[index % own.len()];
            Receiver::new(RoomKey::parse(name).expect("alphabet"), Seq::ZERO)
        });
        let receivers = receivers.collect();
        Self {
            random,
            faults,
            trace,
            now_ms: 1_763_700_000_000,
            log,
            redis: Redis::default(),
            dynamo: Dynamo::default(),
            groups: [vec![Instance::default()], vec![Instance::default()]],
            persisters: vec![Persister::new()],
            receivers,
            names,
            sent: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Does one thing, and says which.
    fn step(&mut self) -> &'static str {
        self.now_ms += self.random.below(40) as i64;
        if self.random.percent(self.faults.crash + self.faults.zombie) {
            return self.strike_process();
        }
        if self.random.percent(self.faults.redis) {
            return self.strike_redis();
        }
        if self.random.percent(self.faults.dynamo) {
            self.dynamo.down = true;
            return "DynamoDB stops";
        }
        // What is down comes back sooner than the next thing fails.
        if (self.dynamo.down || self.redis.down) && self.random.percent(15) {
            (self.dynamo.down, self.redis.down) = (false, false);
            return "the stores come back";
        }
        match self.random.below(12) {
            0..=2 => self.append(),
            3..=6 => self.owner_works(),
            7..=9 => self.persister_works(),
            _ => self.receiver_works(),
        }
    }

    fn append(&mut self) -> &'static str {
        self.tally.records += 1;
        if self.random.percent(5) {
            self.log.skip();
        }
        if self.random.percent(self.faults.late) {
            // A quiet day, and brokers whose clocks are behind.
            let jumps = [WINDOW_MS, -30, -WINDOW_MS];
            self.now_ms += *self.random.pick(&jumps);
        }
        let kind = *self.random.pick(&KINDS);
        if !self.sent.is_empty() && self.random.percent(self.faults.retry) {
            let recent = self.sent.len().saturating_sub(20);
            let which = recent + self.random.below(self.sent.len() - recent);
            let (key, sender, id, sent_at_ms) = self.sent[which].clone();
            if self.random.percent(self.faults.late) {
                // To the millisecond before, at and after the end of the day.
                self.now_ms = sent_at_ms + WINDOW_MS - 1 + self.random.below(3) as i64;
            }
            self.log.append(&key, sender, &id, kind, self.now_ms);
            return "a record is sent again";
        }
        let name = self.random.pick(&self.names).clone();
        let (key, sender) = (name, *self.random.pick(&SENDERS));
        let id = format!("{}", self.sent.len());
        self.log.append(&key, sender, &id, kind, self.now_ms);
        self.sent.push((key, sender, id, self.now_ms));
        "a record is sent"
    }

    fn owner_works(&mut self) -> &'static str {
        let group = self.random.below(2);
        let which = self.random.below(self.groups[group].len());
        let instance = &mut self.groups[group][which];
        let owner = &mut instance.owner;
        let (mut said, mut what) = (Vec::new(), "an owner writes its snapshot");
        match self.random.below(14) {
            0..=5 => {
                let records_max = 1 + self.random.below(5);
                owner.start(&self.log, &self.redis, &self.dynamo, &mut self.tally);
                said = owner.poll(&self.log, &self.dynamo, records_max, &mut self.tally);
                what = "an owner reads";
            }
            6..=7 => owner.begin_write(),
            8..=9 => {
                // A write that is not acknowledged may have been made; one that is may be lost by a failover.
                let acknowledged = self.random.percent(80);
                let lost = match acknowledged {
                    true => self.random.percent(5 * self.faults.redis),
                    false => self.random.percent(50),
                };
                owner.end_write(&mut self.redis, !lost, acknowledged);
            }
            10..=11 => {
                owner.load_rows(&self.log, &self.dynamo, &mut self.random);
                what = "an owner loads rows";
            }
            12 => owner.check_snapshot(&self.log, &self.redis),
            _ => {
                said = owner.heads();
                what = "an owner states heads";
            }
        }
        instance.say(&said, &self.receivers, &mut self.random, self.faults.link);
        what
    }

    fn persister_works(&mut self) -> &'static str {
        let which = self.random.below(self.persisters.len());
        let persister = &mut self.persisters[which];
        match self.random.below(5) {
            0..=1 => {
                let records_max = 1 + self.random.below(6);
                persister.start(&self.log, &self.dynamo);
                persister.poll(&self.log, &self.dynamo, records_max, &mut self.tally);
                "a persister reads"
            }
            2..=3 => {
                persister.write_events(&mut self.dynamo, &mut self.random, &mut self.tally);
                "a persister writes events"
            }
            _ => {
                persister.move_row(&mut self.dynamo);
                "a persister moves a row"
            }
        }
    }

    fn receiver_works(&mut self) -> &'static str {
        let which = self.random.below(self.receivers.len());
        if self.random.percent(25) {
            self.fetch(which);
            return "a gateway fetches";
        }
        let group = self.random.below(2);
        let from = self.random.below(self.groups[group].len());
        let streams = &mut self.groups[group][from].streams;
        if let Some(said) = streams.get_mut(which).and_then(VecDeque::pop_front) {
            self.receivers[which].hear(&self.log, &said, &mut self.tally);
        }
        "a gateway hears"
    }

    /// Fills a hole from an owner's memory, or from DynamoDB.
    fn fetch(&mut self, which: usize) {
        let receiver = &mut self.receivers[which];
        let Some(from) = receiver.missing_from() else {
            return;
        };
        let room = receiver.room.clone();
        let group = self.random.below(2);
        if let Some(instance) = self.groups[group].last() {
            let recent = instance.owner.recent(&room, from);
            receiver.fill(&self.log, &recent, &mut self.tally);
        }
        let still_missing = receiver.missing_from();
        if let Some(from) = still_missing.filter(|_| !self.dynamo.down) {
            let rows = self.dynamo.events.range((room.clone(), from)..);
            let rows: Vec<_> = rows
                .take_while(|((other, _), _)| *other == room)
                .map(|((_, seq), place)| (*seq, *place))
                .collect();
            receiver.fill(&self.log, &rows, &mut self.tally);
        }
    }

    fn check(&self) {
        checks::rows_are_never_ahead_of_the_stored_prefix(&self.log, &self.dynamo);
        checks::room_rows_are_never_behind_the_partition_row(&self.log, &self.dynamo);
        if self.faults.redis == 0 {
            checks::a_snapshot_that_redis_kept_is_trusted(&self.log, &self.redis);
        }
        for instance in self.groups.iter().flatten() {
            instance.owner.memory_is_bounded();
        }
        for persister in &self.persisters {
            persister.work_is_bounded();
        }
    }

    /// Ends all faults; then everything must arrive everywhere.
    fn heal(&mut self) {
        (self.redis.down, self.dynamo.down) = (false, false);
        self.faults.link = 0;
        let mut rounds = 0;
        while !self.is_whole() {
            rounds += 1;
            assert!(rounds < HEALING_ROUNDS, "something never arrives");
            for persister in &mut self.persisters {
                persister.start(&self.log, &self.dynamo);
                persister.poll(&self.log, &self.dynamo, 5, &mut self.tally);
                for _ in 0..3 {
                    persister.write_events(&mut self.dynamo, &mut self.random, &mut self.tally);
                    persister.move_row(&mut self.dynamo);
                }
            }
            for instance in self.groups.iter_mut().flatten() {
                let owner = &mut instance.owner;
                owner.start(&self.log, &self.redis, &self.dynamo, &mut self.tally);
                let said = owner.poll(&self.log, &self.dynamo, 5, &mut self.tally);
                instance.say(&said, &self.receivers, &mut self.random, 0);
                let owner = &mut instance.owner;
                owner.load_rows(&self.log, &self.dynamo, &mut self.random);
                owner.check_snapshot(&self.log, &self.redis);
                owner.begin_write();
                owner.end_write(&mut self.redis, true, true);
                let heads = owner.heads();
                instance.say(&heads, &self.receivers, &mut self.random, 0);
            }
            for which in 0..self.receivers.len() {
                for instance in self.groups.iter_mut().flatten() {
                    for said in std::mem::take(&mut instance.streams[which]) {
                        self.receivers[which].hear(&self.log, &said, &mut self.tally);
                    }
                }
                self.fetch(which);
            }
            self.check();
        }
        checks::everything_is_stored(&self.log, &self.dynamo);
    }

    fn is_whole(&self) -> bool {
        let end = self.log.from(self.log.end()).is_empty();
        let last = self
            .log
            .records
            .last()
            .map(|record| record.position.after());
        let seen = |receiver: &Receiver| receiver.has_seen(self.log.head(&receiver.room));
        let stored = self.dynamo.partition.map(|row| row.position) >= last;
        let numbered = self.groups.iter().flatten().all(|instance| {
            let log = instance.owner.log.as_ref();
            log.is_some_and(|log| log.is_complete() && Some(log.next()) >= last)
        });
        let snapshot = self.redis.read().map(|snapshot| snapshot.position);
        end && stored && numbered && snapshot >= last && self.receivers.iter().all(seen)
    }
}

// === impl Instance ===

impl Instance {
    /// Puts what was said on the streams, which lose and repeat as the link does.
    fn say(&mut self, said: &[Said], receivers: &[Receiver], random: &mut Random, faults: usize) {
        self.streams.resize_with(receivers.len(), VecDeque::new);
        for (stream, receiver) in self.streams.iter_mut().zip(receivers) {
            for said in said.iter().filter(|said| *said.room() == receiver.room) {
                if random.percent(faults) {
                    continue;
                }
                if random.percent(faults) {
                    stream.push_back(said.clone());
                }
                stream.push_back(said.clone());
            }
            if stream.len() > STREAM_MAX {
                let head = stream.drain(..).map(|said| match said {
                    Said::Event { seq, .. } | Said::Head { seq, .. } => seq,
                });
                let seq = head.max().unwrap_or_default();
                let room = receiver.room.clone();
                stream.push_back(Said::Head { room, seq });
            }
        }
    }
}
