//! A world without chance, for situations that are walked through step by step.

use roomlog_core::{event::MemberChange, ids::Seq};

use crate::{
    client::Client,
    faults::Faults,
    log::{Draft, Log, room},
    random::Random,
    rules::Rules,
    world::{Fate, World},
};

/// The first room that belongs to the partition.
pub(crate) const ROOM: &str = "room-0";
/// Another one.
pub(crate) const OTHER: &str = "room-2";

// === impl World ===

impl World {
    /// A world in which nothing goes wrong by chance. Redis may go wrong by what a case does.
    pub(crate) fn quiet() -> Self {
        let faults = Faults {
            redis: 1,
            ..Faults::default()
        };
        Self::new(Random::new(1), faults, Rules::default())
    }

    /// The room with these members, the first of whom made it; each is connected to a gateway and up to date.
    pub(crate) fn with(clients: &[(&'static str, usize)]) -> Self {
        let mut world = Self::quiet();
        world.make_room(ROOM, clients[0].0);
        for (user, gateway) in clients {
            if *user != clients[0].0 {
                let id = format!("join-{user}");
                world.append(Draft::member(ROOM, user, &id, user, MemberChange::Joined));
            }
            world.clients.push(Client::new(user, room(ROOM)));
            world.connect(world.clients.len() - 1, *gateway);
        }
        world.settle();
        world
    }

    pub(crate) fn make_room(&mut self, name: &str, owner: &'static str) {
        assert!(self.log.holds(name), "{name} is of another partition");
        self.append(Draft::creation(name, owner, &format!("make-{name}")));
    }

    /// Lets everything that can happen without faults happen.
    pub(crate) fn settle(&mut self) {
        self.rounds(12);
    }

    /// A message goes into the log past all gateways.
    pub(crate) fn message(&mut self, name: &str, id: &str) {
        self.append(Draft::message(name, "ann", id));
    }

    pub(crate) fn messages(&mut self, name: &str, ids: std::ops::RangeInclusive<u64>) {
        ids.for_each(|id| self.message(name, &format!("m{id}")));
    }

    /// A client writes a message to its room.
    pub(crate) fn says(&mut self, client: usize, id: &str) {
        let (name, key) = (self.clients[client].name, self.clients[client].room.clone());
        self.write(client, Draft::message(key.as_str(), name, id));
    }

    /// A client sends again what it wrote under this id.
    pub(crate) fn says_again(&mut self, client: usize, id: &str) {
        let (name, key) = (self.clients[client].name, self.clients[client].room.clone());
        self.send(client, Draft::message(key.as_str(), name, id));
    }

    /// What is next on a gateway's way to the log meets this fate.
    pub(crate) fn lands(&mut self, gateway: usize, fate: Fate) {
        assert!(self.log_takes(gateway, fate), "nothing is on its way");
    }

    /// Everything on a client's connection is read.
    pub(crate) fn catch_up(&mut self, client: usize) {
        while self.client_reads(client) {}
    }

    /// A group's current fanout reads everything there is.
    pub(crate) fn reads_all(&mut self, group: usize) {
        let current = self.groups[group].len() - 1;
        self.fanout_reads(group, current, usize::MAX);
    }

    /// A gateway hears everything that all fanouts have for it.
    pub(crate) fn hears_all(&mut self, gateway: usize) {
        for group in 0..2 {
            for which in 0..self.groups[group].len() {
                while self.gateway_hears(gateway, group, which) {}
                while self.fanout_hears(group, which, gateway) {}
                while self.gateway_hears(gateway, group, which) {}
            }
        }
    }

    pub(crate) fn head(&self, name: &str) -> Seq {
        self.log.head(&room(name))
    }

    pub(crate) fn seqs(&self, sender: &str, id: &str) -> Vec<u64> {
        let seqs = self.log.seqs_of(ROOM, sender, id);
        seqs.into_iter().map(|seq| seq.0).collect()
    }

    /// The ids a client shows, in its order.
    pub(crate) fn screen(&self, client: usize) -> Vec<&str> {
        let shown = self.clients[client].shown.values();
        shown
            .map(|place| self.log.record(*place).draft.id.as_str())
            .collect()
    }

    /// Whether a group's current fanout trusts what Redis holds.
    pub(crate) fn snapshot_is_trusted(&self) -> bool {
        let snapshot = self.redis.snapshot();
        let restored = snapshot.map(|snapshot| {
            roomlog_core::room_log::RoomLog::restore(self.log.spec, snapshot).is_ok()
        });
        restored == Some(true)
    }
}

#[test]
fn the_stage_has_two_rooms_of_one_partition() {
    let log = Log::new();
    assert!(log.holds(ROOM) && log.holds(OTHER));
}
