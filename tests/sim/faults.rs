//! What goes wrong, and how often.

use roomlog_core::room_log::WINDOW_MS;

use crate::{
    fanout::Fanout,
    gateway::Gateway,
    persister::{MarkStore, Persister},
    random::Random,
    world::World,
};

/// Which faults a run has, and how often; a run with few of them goes deeper into each.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) crash: usize,
    pub(crate) zombie: usize,
    pub(crate) redis: usize,
    pub(crate) dynamo: usize,
    pub(crate) throttle: usize,
    pub(crate) link: usize,
    pub(crate) unknown: usize,
    pub(crate) retry: usize,
    pub(crate) late: usize,
    pub(crate) poison: usize,
    pub(crate) members: usize,
    /// How often a record waits for the followers of its partition.
    pub(crate) leading: usize,
    /// How often an operator, or a program, gives the topic more partitions.
    pub(crate) partitions: usize,
}

/// Who crashes, at a step that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    /// Those of one replica group.
    Fanout,
    Persister,
    Gateway,
    /// All processes at once; the log and the stores stay.
    Everyone,
}

// === impl Victim ===

impl Victim {
    pub(crate) const ALL: [Self; 4] =
        [Self::Fanout, Self::Persister, Self::Gateway, Self::Everyone];
}

// === impl Faults ===

impl Faults {
    pub(crate) fn of(random: &mut Random) -> Self {
        let mut often = |most: usize| match random.percent(60) {
            true => random.below(most + 1),
            false => 0,
        };
        Self {
            crash: often(6),
            zombie: often(3),
            redis: often(6),
            dynamo: often(4),
            throttle: often(80),
            link: often(40),
            unknown: often(40),
            retry: often(50),
            late: often(6),
            poison: often(10),
            members: often(40),
            leading: often(40),
            partitions: often(1),
        }
    }

    /// Ends all that goes wrong by chance.
    pub(crate) fn end(&mut self) {
        *self = Self::default();
    }
}

// === impl World ===

impl World {
    pub(crate) fn strike_process(&mut self) -> &'static str {
        let is_zombie = self.random.percent(50) && self.faults.zombie > 0;
        let group = self.random.below(2);
        match (self.random.below(8), is_zombie) {
            (0..=2, true) => {
                self.replace_fanout(group);
                "a fanout is replaced and does not know it"
            }
            (0..=2, false) => {
                self.crash_fanout(group);
                "a fanout and its zombies crash"
            }
            (3..=4, true) => {
                self.replace_persister();
                "a persister is replaced and does not know it"
            }
            (3..=4, false) => {
                self.crash_persister();
                "a persister and its zombies crash"
            }
            (5, _) => {
                let which = self.random.below(self.gateways.len());
                self.relink(group, which);
                "a link breaks"
            }
            _ => {
                let which = self.random.below(self.gateways.len());
                let arrive = self.random.below(3);
                self.crash_gateway(which, arrive);
                "a gateway crashes"
            }
        }
    }

    pub(crate) fn crash(&mut self, victim: Victim) {
        match victim {
            Victim::Fanout => self.crash_fanout(0),
            Victim::Persister => self.crash_persister(),
            Victim::Gateway => {
                let arrive = self.random.below(3);
                self.crash_gateway(0, arrive);
            }
            Victim::Everyone => {
                (0..2).for_each(|group| self.crash_fanout(group));
                self.crash_persister();
                for gateway in 0..self.gateways.len() {
                    let arrive = self.random.below(3);
                    self.crash_gateway(gateway, arrive);
                }
            }
        }
    }

    /// A rebalance in the middle: the group has a new owner, and the old one goes on.
    pub(crate) fn replace_fanout(&mut self, group: usize) {
        let fanout = Fanout::new(self.gateways.len(), self.rules);
        self.groups[group].push(fanout);
    }

    pub(crate) fn crash_fanout(&mut self, group: usize) {
        for fanout in std::mem::take(&mut self.groups[group]) {
            let cut_off = fanout.owner.cut_off();
            self.tally.cut_off += u64::from(cut_off.is_some());
            self.redis_adrift.extend(cut_off);
        }
        self.replace_fanout(group);
    }

    pub(crate) fn replace_persister(&mut self) {
        self.persisters.push(Persister::new(self.rules));
        self.mark_stores.push(MarkStore::default());
    }

    pub(crate) fn crash_persister(&mut self) {
        self.persisters.clear();
        self.mark_stores.clear();
        self.replace_persister();
    }

    /// A stream between a fanout of a group and a gateway breaks and is made again.
    pub(crate) fn relink(&mut self, group: usize, gateway: usize) {
        for fanout in &mut self.groups[group] {
            fanout.relink(gateway);
        }
    }

    /// A gateway dies; so many of the records on its way still reach the log.
    pub(crate) fn crash_gateway(&mut self, which: usize, arrive: usize) {
        let old = std::mem::replace(&mut self.gateways[which], Gateway::new(self.rules));
        for producing in old.producing.into_iter().take(arrive) {
            self.produce(producing.draft);
        }
        for client in &mut self.clients {
            client.gateway = client.gateway.filter(|gateway| *gateway != which);
        }
        self.relink(0, which);
        self.relink(1, which);
    }

    pub(crate) fn strike_redis(&mut self) -> &'static str {
        match self.random.below(3) {
            0 => {
                self.redis.down = true;
                "Redis stops"
            }
            1 => {
                self.redis.wipe();
                "Redis is wiped"
            }
            _ => {
                self.redis.roll_back(1 + self.random.below(4));
                "Redis is rolled back"
            }
        }
    }

    pub(crate) fn strike_dynamo(&mut self) -> &'static str {
        match self.random.below(3) {
            0 => {
                self.dynamo.down = true;
                "DynamoDB stops"
            }
            1 => {
                self.dynamo.throttled = self.faults.throttle;
                "DynamoDB throttles"
            }
            _ => {
                self.dynamo.throttled = 0;
                "DynamoDB takes everything again"
            }
        }
    }

    /// A quiet day, brokers whose clocks are behind, and retention, which is longer than the window.
    pub(crate) fn strike_time(&mut self) -> &'static str {
        let jumps = [WINDOW_MS, -30, -WINDOW_MS];
        let floor_ms = self.latest_ms - WINDOW_MS;
        self.now_ms = (self.now_ms + *self.random.pick(&jumps)).max(floor_ms);
        self.latest_ms = self.latest_ms.max(self.now_ms);
        self.retain();
        "time jumps"
    }

    /// Retention takes what is stored and longer ago than the window before anything that is yet to be numbered: it is
    /// longer than 24 hours and the longest lag together. Clocks go back a day at most.
    fn retain(&mut self) {
        let snapshot = self.redis.snapshot().map(|snapshot| snapshot.position);
        let stored = self.dynamo.start().0;
        let needed = snapshot.map_or(stored, |position| position.min(stored));
        let records = &self.log.records;
        let behind = records.iter().filter(|record| record.position >= needed);
        let times_ms = behind.map(|record| record.append_time_ms);
        let old_ms = times_ms.fold(self.latest_ms, i64::min) - 3 * WINDOW_MS;
        let old = records
            .iter()
            .take_while(|record| record.append_time_ms < old_ms && record.position < needed);
        // A snapshot that was rolled back may be from before anything that is known here.
        if let Some(record) = old.last().filter(|_| self.faults.redis == 0) {
            self.log.trim(record.position.offset + 1);
        }
    }
}
