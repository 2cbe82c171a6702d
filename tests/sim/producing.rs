//! How records come into the log: where their producer places them, what the partition's leader has and its followers do
//! not yet, and what becomes of the rest.

use roomlog_core::partition::partition_of;

use crate::{
    gateway::Producing,
    log::Draft,
    rules::Mechanism,
    world::{Fate, World},
};

// === impl World ===

impl World {
    /// All in-sync replicas have the partition's next record.
    pub(crate) fn append(&mut self, draft: Draft) {
        self.followers_fetch();
        self.tally.records += 1;
        self.log.append(draft, self.now_ms);
    }

    /// A gateway's record reaches the partition its producer chose.
    pub(crate) fn produce(&mut self, draft: Draft) {
        match self.is_placed_here(&draft) {
            true => self.append(draft),
            false => self.elsewhere.push(draft),
        }
    }

    fn is_placed_here(&self, draft: &Draft) -> bool {
        let count = match self.rules.keep(Mechanism::RecordedCount) {
            true => self.log.spec.partition_count,
            false => self.live_partitions,
        };
        partition_of(draft.key.as_bytes(), count) == self.log.spec.partition
    }

    /// The followers have what the leader has, which is acknowledged by that.
    pub(crate) fn followers_fetch(&mut self) {
        while let Some((gateway, producing)) = self.leading.pop_front() {
            self.tally.records += 1;
            self.log.append(producing.draft.clone(), self.now_ms);
            self.gateways[gateway].produced(&producing, true);
        }
    }

    /// The leader is lost with everything the followers had not fetched; its gateways do not know what became of that.
    pub(crate) fn lose_leader(&mut self) {
        self.tally.leaderless += u64::from(!self.leading.is_empty());
        while let Some((gateway, producing)) = self.leading.pop_front() {
            self.tally.unknown += 1;
            self.gateways[gateway].produced(&producing, false);
        }
    }

    /// What a gateway sent first meets its fate.
    pub(crate) fn log_takes(&mut self, gateway: usize, fate: Fate) -> bool {
        let Some(producing) = self.gateways[gateway].producing.pop_front() else {
            return false;
        };
        let Producing { draft, .. } = producing.clone();
        if fate == Fate::Leading && self.is_placed_here(&draft) {
            if !self.rules.keep(Mechanism::AllReplicas) {
                self.gateways[gateway].produced(&producing, true);
            }
            self.leading.push_back((gateway, producing));
            return true;
        }
        match fate {
            Fate::Acknowledged | Fate::Unanswered | Fate::Leading => self.produce(draft),
            Fate::Adrift => self.adrift.push(draft),
            Fate::Lost => {}
        }
        let acknowledged = matches!(fate, Fate::Acknowledged | Fate::Leading);
        self.tally.unknown += u64::from(!acknowledged);
        self.gateways[gateway].produced(&producing, acknowledged);
        true
    }
}
