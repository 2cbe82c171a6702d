//! The steps of a run: who does what next is drawn from its seed.

use roomlog_core::{
    event::{Body, MemberChange, Role, RoomEvent},
    ids::Seq,
};

use crate::{
    client::Client,
    log::{Draft, room},
    world::{Fate, World, a_day_after},
};

const USERS: [&str; 4] = ["ann", "bob", "cy", "dan"];
const CHANGES: [MemberChange; 12] = [
    MemberChange::Joined,
    MemberChange::Joined,
    MemberChange::Joined,
    MemberChange::Left,
    MemberChange::Invited,
    MemberChange::Removed,
    MemberChange::Banned,
    MemberChange::Unbanned,
    MemberChange::Muted,
    MemberChange::Unmuted,
    MemberChange::Role(Role::Owner),
    MemberChange::Role(Role::Member),
];

// === impl World ===

impl World {
    /// Some rooms, some of which exist, and some clients.
    pub(crate) fn populate(&mut self) {
        let names: Vec<_> = (0..9).map(|index| format!("room-{index}")).collect();
        let own: Vec<_> = names
            .into_iter()
            .filter(|name| self.log.holds(name))
            .collect();
        for name in own.iter().take(2) {
            if self.random.percent(80) {
                self.append(Draft::creation(name, "ann", &format!("make-{name}")));
                for user in ["bob", "cy", "dan"] {
                    let id = format!("join-{user}");
                    self.append(Draft::member(name, user, &id, user, MemberChange::Joined));
                }
            }
        }
        let who = [("ann", 0), ("bob", 0), ("cy", 0), ("ann", 1), ("dan", 1)];
        let clients = who.map(|(user, index)| Client::new(user, room(&own[index])));
        self.clients.extend(clients);
    }

    /// Does one thing, and says which.
    pub(crate) fn step(&mut self) -> &'static str {
        self.now_ms += self.random.below(40) as i64;
        self.latest_ms = self.latest_ms.max(self.now_ms);
        if self.random.percent(self.faults.crash + self.faults.zombie) {
            return self.strike_process();
        }
        if self.random.percent(self.faults.redis) {
            return self.strike_redis();
        }
        if self.random.percent(self.faults.dynamo) {
            return self.strike_dynamo();
        }
        if self.random.percent(self.faults.partitions) {
            self.live_partitions = 4;
            self.tally.partitions += 1;
            return "the topic gets more partitions";
        }
        // What is down comes back sooner than the next thing fails.
        if (self.dynamo.down || self.redis.down) && self.random.percent(15) {
            (self.dynamo.down, self.redis.down) = (false, false);
            return "the stores come back";
        }
        if self.random.percent(self.faults.late) {
            return self.strike_time();
        }
        match self.random.below(24) {
            0..=3 => self.client_acts(),
            4..=5 => self.log_moves(),
            6 => self.foreigner_acts(),
            7..=11 => self.fanout_acts(),
            12..=15 => self.persister_acts(),
            _ => self.gateway_acts(),
        }
    }

    fn client_acts(&mut self) -> &'static str {
        let which = self.random.below(self.clients.len());
        let client = &self.clients[which];
        let away = client.gateway.is_none() || client.is_refused && self.random.percent(20);
        if away || self.random.percent(self.faults.crash) {
            let gateway = self.random.below(self.gateways.len());
            self.connect(which, gateway);
            return "a client connects";
        }
        if self.random.percent(15) {
            self.mark_read(which);
            return "a client marks read";
        }
        let client = &self.clients[which];
        let waiting = client.unacknowledged.len();
        if waiting > 0 && (waiting > 3 || self.random.percent(20 + self.faults.retry)) {
            let again = client.unacknowledged[self.random.below(waiting)].clone();
            self.send(which, again);
            return "a client sends again";
        }
        let draft = self.draft(which);
        self.write(which, draft);
        "a client sends"
    }

    fn draft(&mut self, which: usize) -> Draft {
        let id = self.fresh_id();
        let client = &self.clients[which];
        let (key, sender) = (client.room.as_str().to_owned(), client.name);
        if !self.random.percent(self.faults.members) {
            let target = Seq(self.random.below(client.seen.0 as usize + 2) as u64);
            let emoji = "+1".to_owned();
            let body = match self.random.below(20) {
                0..=2 => Body::Reaction {
                    target,
                    emoji,
                    on: true,
                },
                3 => Body::Reaction {
                    target,
                    emoji,
                    on: false,
                },
                4 => Body::Edit {
                    target,
                    text: id.clone(),
                },
                5 => Body::Delete { target },
                _ => return Draft::message(&key, sender, &id),
            };
            return Draft::of(&key, sender, &id, body);
        }
        match self.random.below(8) {
            0 => Draft::creation(&key, sender, &id),
            1 => {
                let fields = RoomEvent {
                    slow_mode_s: Some(self.random.below(3) as u32),
                    ..RoomEvent::default()
                };
                Draft::of(&key, sender, &id, Body::Room(fields))
            }
            _ => {
                let change = *self.random.pick(&CHANGES);
                let own = matches!(change, MemberChange::Joined | MemberChange::Left);
                let whose = if own {
                    sender
                } else {
                    *self.random.pick(&USERS)
                };
                Draft::member(&key, sender, &id, whose, change)
            }
        }
    }

    /// Records on their way reach the log, or not.
    fn log_moves(&mut self) -> &'static str {
        if !self.adrift.is_empty() && self.random.percent(30) {
            let which = self.random.below(self.adrift.len());
            let draft = self.adrift.swap_remove(which);
            if self.random.percent(70) {
                self.produce(draft);
            }
            return "a record that was adrift arrives or is lost";
        }
        if !self.leading.is_empty() && self.random.percent(40) {
            match self.random.percent(30) {
                true => self.lose_leader(),
                false => self.followers_fetch(),
            }
            return "the leader is lost, or its followers have what it has";
        }
        let gateway = self.random.below(self.gateways.len());
        let fate = match self.random.percent(self.faults.unknown) {
            false if self.random.percent(self.faults.leading) => Fate::Leading,
            false => Fate::Acknowledged,
            true => *self
                .random
                .pick(&[Fate::Unanswered, Fate::Lost, Fate::Adrift]),
        };
        self.log_takes(gateway, fate);
        "the log takes a record"
    }

    /// Somebody else writes to the topic, or a sending is repeated long after.
    fn foreigner_acts(&mut self) -> &'static str {
        if self.random.percent(10) {
            self.log.skip(1);
        }
        let id = self.fresh_id();
        let which = self.random.below(self.clients.len());
        let key = self.clients[which].room.as_str().to_owned();
        if self.random.percent(self.faults.poison) {
            self.append(Draft::poison(&key, "ann", &id));
            return "a record that can't be decoded";
        }
        let recent = self.log.records.len().saturating_sub(30);
        if self.random.percent(self.faults.retry) && recent < self.log.records.len() {
            let which = recent + self.random.below(self.log.records.len() - recent);
            let record = &self.log.records[which];
            let (draft, sent_ms) = (record.draft.clone(), record.append_time_ms);
            if self.random.percent(self.faults.late) {
                self.now_ms = a_day_after(sent_ms, self.random.below(3)).max(self.now_ms);
                self.latest_ms = self.latest_ms.max(self.now_ms);
            }
            self.append(draft);
            return "a record is sent again";
        }
        let key = format!("room-{}", self.random.below(9));
        self.append(Draft::message(&key, "dan", &id));
        "a record of some room"
    }

    fn fanout_acts(&mut self) -> &'static str {
        let group = self.random.below(2);
        let which = self.random.below(self.groups[group].len());
        match self.random.below(16) {
            0..=7 => {
                let records_max = 1 + self.random.below(5);
                self.fanout_reads(group, which, records_max);
                "a fanout reads"
            }
            8..=9 => {
                self.fanout_begins_to_write(group, which);
                "a fanout begins to write its snapshot"
            }
            10..=11 => self.write_ends(group, which),
            12..=13 => {
                let (random, owner) = (&mut self.random, &mut self.groups[group][which].owner);
                owner.load_rows(&self.log, &self.dynamo, || !random.percent(10));
                "a fanout loads rows"
            }
            14 => {
                let owner = &mut self.groups[group][which].owner;
                owner.check_snapshot(&self.log, &self.redis);
                "a fanout checks its snapshot"
            }
            _ => {
                self.fanout_repeats_heads(group, which);
                "a fanout repeats heads"
            }
        }
    }

    /// A snapshot write comes to its end, or one does whose writer is gone.
    fn write_ends(&mut self, group: usize, which: usize) -> &'static str {
        if !self.redis_adrift.is_empty() && self.random.percent(30) {
            let which = self.random.below(self.redis_adrift.len());
            let changes = self.redis_adrift.swap_remove(which);
            if self.random.percent(70) {
                self.redis.take(&changes);
            }
            return "a snapshot write arrives after its writer's end, or is lost";
        }
        // A write that is not acknowledged may have been made; one that is may be lost by a failover.
        let acknowledged = self.random.percent(80);
        let lost = match acknowledged {
            true => self.random.percent(5 * self.faults.redis),
            false => self.random.percent(50),
        };
        self.fanout_ends_its_write(group, which, !lost, acknowledged);
        "a fanout ends its write"
    }

    fn persister_acts(&mut self) -> &'static str {
        let which = self.random.below(self.persisters.len());
        let persister = &mut self.persisters[which];
        match self.random.below(8) {
            0..=2 => {
                let records_max = 1 + self.random.below(6);
                persister.start(&self.log, &self.dynamo);
                let takes_dead_letters = !self.random.percent(3 * self.faults.poison);
                let (log, tally) = (&mut self.log, &mut self.tally);
                persister.poll(log, &self.dynamo, records_max, takes_dead_letters, tally);
                "a persister reads"
            }
            3..=4 => {
                let (log, random) = (&self.log, &mut self.random);
                persister.write_some(log, &mut self.dynamo, random, &mut self.tally);
                "a persister writes events"
            }
            5..=6 => {
                let rows = 1 + self.random.below(4);
                (0..rows).for_each(|_| persister.move_row(&mut self.dynamo));
                "a persister moves rows"
            }
            _ => {
                let store = &mut self.mark_stores[which];
                let marks = 1 + self.random.below(3);
                store.store(&self.marks, marks, &mut self.dynamo, self.rules);
                "a persister stores read marks"
            }
        }
    }

    fn gateway_acts(&mut self) -> &'static str {
        let gateway = self.random.below(self.gateways.len());
        let group = self.random.below(2);
        let which = self.random.below(self.groups[group].len());
        match self.random.below(10) {
            0..=2 => {
                self.gateway_hears(gateway, group, which);
                "a gateway hears"
            }
            3 => {
                self.fanout_hears(group, which, gateway);
                "a fanout hears"
            }
            4 => {
                self.gateway_asks(gateway, group);
                "a gateway asks how far rooms are"
            }
            5..=6 => {
                let rooms: Vec<_> = self.gateways[gateway].rooms.keys().cloned().collect();
                if !rooms.is_empty() {
                    let room = self.random.pick(&rooms).clone();
                    let gives_up = self.random.percent(30);
                    self.gateway_tends(gateway, &room, gives_up);
                }
                "a gateway tends a room"
            }
            7 => {
                let client = self.random.below(self.clients.len());
                self.gateway_serves(client);
                "a gateway serves a subscription"
            }
            _ => {
                let client = self.random.below(self.clients.len());
                self.client_reads(client);
                "a client reads"
            }
        }
    }
}
