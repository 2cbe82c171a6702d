//! A fanout process: an owner, who wants to hear of which room, and a stream to each gateway.

use std::collections::VecDeque;

use roomlog_core::{
    ids::{RoomKey, Seq},
    interest::{GatewayId, InterestTable, Level},
};

use crate::{
    owner::{Owner, Said},
    random::Random,
    rules::Rules,
};

/// What waits on one stream; beyond, its events are turned into heads.
const STREAM_MAX: usize = 6;

/// An owner and its streams to the gateways, in their order.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    pub(crate) owner: Owner,
    interest: InterestTable,
    pub(crate) links: Vec<Link>,
    /// Links made so far; each has its own name.
    made: u64,
}

/// The long-lived stream between a fanout and a gateway.
#[derive(Debug)]
pub(crate) struct Link {
    id: GatewayId,
    /// To the gateway.
    pub(crate) down: VecDeque<Said>,
    /// To the fanout: rooms of interest, each with what the gateway has.
    pub(crate) up: VecDeque<(RoomKey, Seq)>,
}

// === impl Fanout ===

impl Fanout {
    pub(crate) fn new(gateways: usize, rules: Rules) -> Self {
        let mut fanout = Self {
            owner: Owner::new(rules),
            ..Self::default()
        };
        for gateway in 0..gateways {
            fanout.relink(gateway);
        }
        fanout
    }

    /// A gateway's stream begins anew: what was on it is lost, and so is its interest.
    pub(crate) fn relink(&mut self, gateway: usize) {
        self.made += 1;
        let mut link = Link {
            id: GatewayId(self.made),
            down: VecDeque::new(),
            up: VecDeque::new(),
        };
        if self.owner.live {
            link.down.push_back(Said::Owned);
        }
        match self.links.get_mut(gateway) {
            Some(old) => {
                self.interest.remove_gateway(old.id);
                *old = link;
            }
            None => self.links.push(link),
        }
    }

    /// Takes a gateway's next word of interest and sends it what it lacks.
    pub(crate) fn hear(&mut self, gateway: usize) -> bool {
        let link = &mut self.links[gateway];
        let Some((room, has)) = link.up.pop_front() else {
            return false;
        };
        self.interest.set(link.id, &room, Level::Live);
        let Some((head, _)) = self.owner.head(&room) else {
            self.owner.want(room);
            return true;
        };
        let events = self.owner.recent(&room, has.next());
        let whole = events.last().is_some_and(|last| last.seq == head);
        let mut missed = Vec::new();
        if whole {
            let event = |told: &crate::owner::Told| Said::Event {
                room: room.clone(),
                seq: told.seq,
                count: Default::default(),
                place: told.place,
            };
            missed.extend(events.iter().map(event));
        } else {
            missed.push(Said::Head { room, seq: head });
        }
        self.links[gateway].down.extend(missed);
        true
    }

    /// Puts what was said on the streams of those who want it. So many times in a hundred an event is lost or repeated on
    /// the way; a head is only lost with its link.
    pub(crate) fn say(&mut self, said: Vec<Said>, random: &mut Random, faults: usize) {
        for said in said {
            let Some(room) = said.room() else {
                self.links
                    .iter_mut()
                    .for_each(|link| link.down.push_back(said.clone()));
                continue;
            };
            let wanted: Vec<_> = self.interest.live(room).collect();
            for link in &mut self.links {
                let is_event = matches!(said, Said::Event { .. });
                if !wanted.contains(&link.id) || (is_event && random.percent(faults)) {
                    continue;
                }
                if random.percent(faults) {
                    link.down.push_back(said.clone());
                }
                link.down.push_back(said.clone());
                link.turn_into_heads();
            }
        }
    }
}

// === impl Link ===

impl Link {
    /// A stream that is full says how far each room is instead of what happened there.
    fn turn_into_heads(&mut self) {
        if self.down.len() <= STREAM_MAX {
            return;
        }
        for said in &mut self.down {
            if let Said::Event { room, seq, .. } = said {
                let (room, seq) = (room.clone(), *seq);
                *said = Said::Head { room, seq };
            }
        }
        let mut kept: VecDeque<Said> = VecDeque::new();
        for said in self.down.drain(..) {
            let is_older =
                |other: &&mut Said| other.room().is_some() && other.room() == said.room();
            match (kept.iter_mut().find(is_older), &said) {
                (Some(Said::Head { seq: known, .. }), Said::Head { seq, .. }) => {
                    *known = (*known).max(*seq);
                }
                _ => kept.push_back(said),
            }
        }
        self.down = kept;
    }
}
