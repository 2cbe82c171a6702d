//! What goes wrong, and how often.

use crate::{
    persister::Persister,
    random::Random,
    world::{Instance, World},
};

/// Which faults a run has, and how often; a run with few of them goes deeper into each.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) crash: usize,
    pub(crate) zombie: usize,
    pub(crate) redis: usize,
    pub(crate) dynamo: usize,
    pub(crate) link: usize,
    pub(crate) retry: usize,
    pub(crate) late: usize,
}

// === impl Faults ===

impl Faults {
    pub(crate) fn of(random: &mut Random) -> Self {
        let mut often = |most: usize| match random.percent(60) {
            true => random.below(most + 1),
            false => 0,
        };
        Self {
            crash: often(8),
            zombie: often(4),
            redis: often(8),
            dynamo: often(5),
            link: often(40),
            retry: often(50),
            late: often(6),
        }
    }
}

// === impl World ===

impl World {
    pub(crate) fn strike_process(&mut self) -> &'static str {
        let group = self.random.below(2);
        let zombie = self.random.percent(50) && self.faults.zombie > 0;
        match (self.random.below(6), zombie) {
            (0..=2, true) => {
                self.groups[group].push(Instance::default());
                "an owner is replaced and does not know it"
            }
            (0..=2, false) => {
                self.groups[group] = vec![Instance::default()];
                "an owner and its zombies crash"
            }
            (3..=4, true) => {
                self.persisters.push(Persister::new());
                "a persister is replaced and does not know it"
            }
            (3..=4, false) => {
                self.persisters = vec![Persister::new()];
                "a persister and its zombies crash"
            }
            _ => {
                let which = self.random.below(self.receivers.len());
                self.receivers[which].reconnect();
                for instance in self.groups.iter_mut().flatten() {
                    if let Some(stream) = instance.streams.get_mut(which) {
                        stream.clear();
                    }
                }
                "a gateway crashes"
            }
        }
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
}
