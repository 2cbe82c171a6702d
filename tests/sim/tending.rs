//! What gateways do next: hear their links, get what their rooms lack, and serve their clients.

use roomlog_core::ids::{RoomKey, Seq};

use crate::{
    gateway::{Following, Slot},
    owner::{Question, Told},
    world::World,
};

// === impl World ===

impl World {
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
}
