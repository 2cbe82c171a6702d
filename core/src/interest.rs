//! Which gateway wants to hear of which room, and how much.
//!
//! The owner of a partition keeps one table per process: every event looks its room up and goes once to each
//! interested gateway. Only changes are answered, so that repeating a declaration causes nothing.

use std::collections::{HashMap, HashSet, hash_map};

use crate::ids::RoomKey;

/// How much a gateway wants to hear of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Nothing.
    #[default]
    None,
    /// Head and count, coalesced: members are connected there, but look elsewhere.
    Badge,
    /// Whole events: somebody there is subscribed.
    Live,
}

/// One gateway's stream, numbered by the owner. A gateway that comes back is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(pub u64);

/// A declaration that changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The gateway's level before.
    pub from: Level,
    /// Its level now.
    pub to: Level,
}

/// Rooms by gateway and gateways by room. What nobody is interested in takes no memory.
#[derive(Debug, Default)]
pub struct InterestTable {
    rooms: HashMap<RoomKey, Audience>,
    /// The rooms each gateway is in the audience of.
    gateways: HashMap<GatewayId, HashSet<RoomKey>>,
}

/// The gateways interested in a room, each in one of the two lists.
#[derive(Debug, Default)]
struct Audience {
    live: Vec<GatewayId>,
    badge: Vec<GatewayId>,
}

// === impl Audience ===

impl Audience {
    fn level(&self, gateway: GatewayId) -> Level {
        if self.live.contains(&gateway) {
            Level::Live
        } else if self.badge.contains(&gateway) {
            Level::Badge
        } else {
            Level::None
        }
    }

    fn list(&mut self, level: Level) -> Option<&mut Vec<GatewayId>> {
        match level {
            Level::None => None,
            Level::Badge => Some(&mut self.badge),
            Level::Live => Some(&mut self.live),
        }
    }

    fn shift(&mut self, gateway: GatewayId, change: Change) {
        if let Some(list) = self.list(change.from) {
            list.retain(|other| *other != gateway);
        }
        if let Some(list) = self.list(change.to) {
            list.push(gateway);
        }
    }

    fn is_empty(&self) -> bool {
        self.live.is_empty() && self.badge.is_empty()
    }
}

// === impl InterestTable ===

impl InterestTable {
    /// Nobody is interested in anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a gateway's level for a room; `None` when it was that already.
    pub fn set(&mut self, gateway: GatewayId, room: &RoomKey, level: Level) -> Option<Change> {
        let change = Change {
            from: self.level(gateway, room),
            to: level,
        };
        if change.from == change.to {
            return None;
        }
        let audience = self.rooms.entry(room.clone()).or_default();
        audience.shift(gateway, change);
        if audience.is_empty() {
            self.rooms.remove(room);
        }
        if change.from == Level::None {
            self.gateways
                .entry(gateway)
                .or_default()
                .insert(room.clone());
        } else if change.to == Level::None {
            self.forget(gateway, room);
        }
        Some(change)
    }

    fn forget(&mut self, gateway: GatewayId, room: &RoomKey) {
        if let hash_map::Entry::Occupied(mut rooms) = self.gateways.entry(gateway) {
            rooms.get_mut().remove(room);
            if rooms.get().is_empty() {
                rooms.remove();
            }
        }
    }

    /// Ends all interest of a gateway and returns the rooms it had any in.
    pub fn remove_gateway(&mut self, gateway: GatewayId) -> Vec<RoomKey> {
        let rooms = self.gateways.remove(&gateway).unwrap_or_default();
        for room in &rooms {
            if let Some(audience) = self.rooms.get_mut(room) {
                let from = audience.level(gateway);
                let to = Level::None;
                audience.shift(gateway, Change { from, to });
                if audience.is_empty() {
                    self.rooms.remove(room);
                }
            }
        }
        rooms.into_iter().collect()
    }

    /// A gateway's level for a room.
    pub fn level(&self, gateway: GatewayId, room: &RoomKey) -> Level {
        self.rooms
            .get(room)
            .map_or(Level::None, |audience| audience.level(gateway))
    }

    /// The gateways that get a room's whole events.
    pub fn live(&self, room: &RoomKey) -> impl ExactSizeIterator<Item = GatewayId> + '_ {
        let audience = self.rooms.get(room);
        audience.map_or(&[][..], |a| &a.live).iter().copied()
    }

    /// The gateways that get a room's head and count.
    pub fn badge(&self, room: &RoomKey) -> impl ExactSizeIterator<Item = GatewayId> + '_ {
        let audience = self.rooms.get(room);
        audience.map_or(&[][..], |a| &a.badge).iter().copied()
    }

    /// The rooms a gateway has interest in, at any level.
    pub fn rooms_of(&self, gateway: GatewayId) -> impl Iterator<Item = &RoomKey> {
        self.gateways.get(&gateway).into_iter().flatten()
    }

    /// Every room anyone has interest in.
    pub fn rooms(&self) -> impl Iterator<Item = &RoomKey> {
        self.rooms.keys()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn room(index: u8) -> RoomKey {
        RoomKey::parse(&format!("room-{index}")).expect("alphabet")
    }

    #[test]
    fn repeating_a_declaration_causes_nothing() {
        let mut table = InterestTable::new();
        let (gateway, room) = (GatewayId(1), room(1));
        let change = |from, to| Some(Change { from, to });
        assert_eq!(
            table.set(gateway, &room, Level::Live),
            change(Level::None, Level::Live)
        );
        assert_eq!(table.set(gateway, &room, Level::Live), None);
        assert_eq!(
            table.set(gateway, &room, Level::Badge),
            change(Level::Live, Level::Badge)
        );
        assert_eq!(table.live(&room).len(), 0);
        assert_eq!(
            table.set(gateway, &room, Level::None),
            change(Level::Badge, Level::None)
        );
        assert!(table.rooms.is_empty() && table.gateways.is_empty());
    }

    proptest! {
        /// The table answers what a plain set of (gateway, room) pairs would.
        #[test]
        fn equals_the_naive_set(
            steps in prop::collection::vec((0_u64..4, 0_u8..5, 0_u8..8), 0..150),
        ) {
            let mut table = InterestTable::new();
            let mut naive: BTreeMap<(u64, u8), Level> = BTreeMap::new();
            for (gateway, index, action) in steps {
                let level = match action {
                    0..=1 => Level::None,
                    2..=3 => Level::Badge,
                    4..=6 => Level::Live,
                    _ => {
                        let gone: BTreeSet<_> =
                            table.remove_gateway(GatewayId(gateway)).into_iter().collect();
                        let had = naive.keys().filter(|(g, _)| *g == gateway);
                        prop_assert_eq!(gone, had.map(|(_, r)| room(*r)).collect());
                        naive.retain(|(g, _), _| *g != gateway);
                        continue;
                    }
                };
                let from = naive.remove(&(gateway, index)).unwrap_or_default();
                if level != Level::None {
                    naive.insert((gateway, index), level);
                }
                let change = table.set(GatewayId(gateway), &room(index), level);
                let expected = (from != level).then_some(Change { from, to: level });
                prop_assert_eq!(change, expected);

                for index in 0..5 {
                    let of = |level| -> BTreeSet<GatewayId> {
                        let all = naive.iter().filter(|((_, r), l)| *r == index && **l == level);
                        all.map(|((g, _), _)| GatewayId(*g)).collect()
                    };
                    let live: Vec<_> = table.live(&room(index)).collect();
                    let badge: Vec<_> = table.badge(&room(index)).collect();
                    prop_assert_eq!(live.len(), of(Level::Live).len());
                    prop_assert_eq!(live.into_iter().collect::<BTreeSet<_>>(), of(Level::Live));
                    prop_assert_eq!(badge.len(), of(Level::Badge).len());
                    prop_assert_eq!(badge.into_iter().collect::<BTreeSet<_>>(), of(Level::Badge));
                }
                let rooms: BTreeSet<_> = table.rooms_of(GatewayId(gateway)).cloned().collect();
                let had = naive.keys().filter(|(g, _)| *g == gateway);
                prop_assert_eq!(rooms, had.map(|(_, r)| room(*r)).collect());
            }
        }
    }
}
