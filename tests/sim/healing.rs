//! Rounds in which everyone does what is next for them, and the healing at the end of a run.

use crate::{
    checks,
    gateway::{Following, Slot},
    world::{Fate, World},
};

/// Rounds within which a healed system has everything everywhere.
const HEALING_ROUNDS: usize = 300;

// === impl World ===

impl World {
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
