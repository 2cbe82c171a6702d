//! Who is in the rooms of a partition, as all gateways declared it.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::{
    ids::{RoomKey, UserId},
    interest::GatewayId,
};

use super::{Declaration, Standing, View};

/// Names told of a room that has more than are told one by one.
const SAMPLE_NAMES: usize = 20;

/// Users in rooms of one partition. Beyond it further declarations are passed over and their users not shown.
const PLACES_MAX: usize = 1_000_000;

/// The rooms of a partition.
#[derive(Debug)]
pub struct Roster {
    rooms: HashMap<RoomKey, Room>,
    gateways: HashMap<GatewayId, Gateway>,
    /// What changed since it was last told.
    dirty: HashMap<RoomKey, HashSet<UserId>>,
    places: usize,
    /// How long the declarations of a gateway outlive its stream.
    lease_ms: u64,
    /// A room with more users online is told by numbers and a sample.
    names_max: usize,
}

#[derive(Debug, Default)]
struct Room {
    users: BTreeMap<UserId, Place>,
    /// As last told.
    online: u64,
    viewing: u64,
    is_sample: bool,
}

#[derive(Debug, Default)]
struct Place {
    declared: Vec<(GatewayId, Standing)>,
    /// As last told.
    told: Standing,
}

#[derive(Debug, Default)]
struct Gateway {
    rooms: HashSet<RoomKey>,
    /// When its declarations end, once its stream has.
    until_ms: Option<u64>,
}

/// What is to be told of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomChange {
    /// The room.
    pub key: RoomKey,
    /// How these users stand now.
    pub users: Vec<(UserId, Standing)>,
    /// The whole of it, where changes alone do not say it: it replaces what was told before.
    pub whole: Option<View>,
    /// How many are online now.
    pub online_total: u64,
    /// How many look at the room now.
    pub viewing_total: u64,
}

// === impl Roster ===

impl Roster {
    /// Nobody is anywhere. The declarations of a gateway outlive its stream by `lease_ms`; a room with more than
    /// `names_max` users online is told by numbers and a sample.
    pub fn new(lease_ms: u64, names_max: usize) -> Self {
        Self {
            rooms: HashMap::new(),
            gateways: HashMap::new(),
            dirty: HashMap::new(),
            places: 0,
            lease_ms,
            names_max,
        }
    }

    /// A gateway says how a user stands; `false` where there is no room for it.
    pub fn declare(&mut self, gateway: GatewayId, declaration: Declaration) -> bool {
        let Declaration {
            key,
            user,
            standing,
        } = declaration;
        let is_new = !self
            .rooms
            .get(&key)
            .is_some_and(|room| room.users.contains_key(&user));
        if is_new && (standing == Standing::NONE || self.places >= PLACES_MAX) {
            return standing == Standing::NONE;
        }
        self.places += usize::from(is_new);
        let room = self.rooms.entry(key.clone()).or_default();
        let place = room.users.entry(user.clone()).or_default();
        place.declared.retain(|(other, _)| *other != gateway);
        if standing != Standing::NONE {
            place.declared.push((gateway, standing));
            let known = self.gateways.entry(gateway).or_default();
            known.rooms.insert(key.clone());
        }
        self.dirty.entry(key).or_default().insert(user);
        true
    }

    /// A gateway's stream ended; what it declared holds for the lease.
    pub fn detach(&mut self, gateway: GatewayId, now_ms: u64) {
        if let Some(known) = self.gateways.get_mut(&gateway) {
            known.until_ms.get_or_insert(now_ms + self.lease_ms);
        }
    }

    /// Ends what was declared by gateways whose lease is over.
    pub fn expire(&mut self, now_ms: u64) {
        let over = self.gateways.iter();
        let over = over.filter(|(_, known)| known.until_ms.is_some_and(|at_ms| at_ms <= now_ms));
        let over: Vec<GatewayId> = over.map(|(id, _)| *id).collect();
        for gateway in over {
            let rooms = self.gateways.remove(&gateway).unwrap_or_default().rooms;
            for key in rooms {
                let Some(room) = self.rooms.get_mut(&key) else {
                    continue;
                };
                for (user, place) in &mut room.users {
                    let before = place.declared.len();
                    place.declared.retain(|(other, _)| *other != gateway);
                    if place.declared.len() != before {
                        let dirty = self.dirty.entry(key.clone()).or_default();
                        dirty.insert(user.clone());
                    }
                }
            }
        }
    }

    /// Takes what changed since this was last asked.
    pub fn changes(&mut self) -> Vec<RoomChange> {
        let dirty = std::mem::take(&mut self.dirty);
        let changes = dirty.into_iter();
        changes
            .filter_map(|(key, users)| self.change(key, users))
            .collect()
    }

    fn change(&mut self, key: RoomKey, dirty: HashSet<UserId>) -> Option<RoomChange> {
        let room = self.rooms.get_mut(&key)?;
        let mut users = Vec::new();
        for user in dirty {
            let Some(place) = room.users.get_mut(&user) else {
                continue;
            };
            let standing = place.standing();
            let told = std::mem::replace(&mut place.told, standing);
            if standing == Standing::NONE {
                room.users.remove(&user);
                self.places -= 1;
            }
            if told != standing {
                room.online += u64::from(standing.online);
                room.online -= u64::from(told.online);
                room.viewing += u64::from(standing.viewing);
                room.viewing -= u64::from(told.viewing);
                users.push((user, standing));
            }
        }
        let (online_total, viewing_total) = (room.online, room.viewing);
        let was_sample = room.is_sample;
        room.is_sample = room.users.len() > self.names_max;
        let whole = (was_sample || room.is_sample).then(|| room.view());
        if room.users.is_empty() {
            self.rooms.remove(&key);
        }
        users.sort();
        (!users.is_empty()).then_some(RoomChange {
            key,
            users,
            whole,
            online_total,
            viewing_total,
        })
    }

    /// Who is in a room, as last told.
    pub fn view(&self, key: &RoomKey) -> View {
        self.rooms.get(key).map(Room::view).unwrap_or_default()
    }

    /// How many are online in a room, as last told.
    pub fn online_total(&self, key: &RoomKey) -> u64 {
        self.rooms.get(key).map_or(0, |room| room.online)
    }

    /// Everyone in every room, as last told.
    pub fn everyone(&self) -> impl Iterator<Item = (&RoomKey, &UserId, Standing)> {
        self.rooms.iter().flat_map(|(key, room)| {
            let users = room.users.iter();
            users.map(move |(user, place)| (key, user, place.told))
        })
    }
}

// === impl Room, Place ===

impl Room {
    fn view(&self) -> View {
        let names = if self.is_sample {
            SAMPLE_NAMES
        } else {
            usize::MAX
        };
        let of = |is_in: fn(Standing) -> bool| {
            let users = self.users.iter();
            let users = users.filter(move |(_, place)| is_in(place.told));
            users.map(|(user, _)| user.clone()).take(names).collect()
        };
        View {
            online: of(|told| told.online),
            online_total: self.online,
            viewing: of(|told| told.viewing),
            viewing_total: self.viewing,
            is_sample: self.is_sample,
        }
    }
}

impl Place {
    fn standing(&self) -> Standing {
        let declared = self.declared.iter();
        declared.fold(Standing::NONE, |all, (_, standing)| all.or(*standing))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const LEASE_MS: u64 = 30;

    fn user(number: u64) -> UserId {
        UserId::parse(&format!("u{number:03}")).unwrap()
    }

    fn declaration(room: u8, who: u64, online: bool, viewing: bool) -> Declaration {
        Declaration {
            key: RoomKey::parse(&format!("r{room}")).unwrap(),
            user: user(who),
            standing: Standing { online, viewing },
        }
    }

    #[test]
    fn a_gateway_that_comes_back_within_its_lease_changes_nothing() {
        let mut roster = Roster::new(LEASE_MS, 100);
        roster.declare(GatewayId(1), declaration(1, 1, true, false));
        assert_eq!(roster.changes().len(), 1);
        roster.detach(GatewayId(1), 0);
        roster.declare(GatewayId(2), declaration(1, 1, true, false));
        roster.expire(LEASE_MS);
        assert_eq!(roster.changes(), []);
    }

    #[test]
    fn a_dead_gateways_users_go_after_its_lease() {
        let mut roster = Roster::new(LEASE_MS, 100);
        roster.declare(GatewayId(1), declaration(1, 1, true, true));
        roster.changes();
        roster.detach(GatewayId(1), 5);
        roster.expire(4 + LEASE_MS);
        assert_eq!(roster.changes(), []);
        roster.expire(5 + LEASE_MS);
        let changes = roster.changes();
        assert_eq!(changes[0].users, [(user(1), Standing::NONE)]);
        assert_eq!((roster.places, roster.rooms.len()), (0, 0));
    }

    #[test]
    fn a_large_room_is_told_by_numbers_and_a_sample() {
        let mut roster = Roster::new(LEASE_MS, 30);
        for who in 0..31 {
            roster.declare(GatewayId(1), declaration(1, who, true, false));
        }
        let whole = roster.changes()[0].whole.clone().unwrap();
        assert_eq!(
            (whole.online.len(), whole.online_total, whole.is_sample),
            (SAMPLE_NAMES, 31, true)
        );
        roster.declare(GatewayId(1), declaration(1, 7, false, false));
        let whole = roster.changes()[0].whole.clone().unwrap();
        assert_eq!((whole.online.len(), whole.is_sample), (30, false));
        roster.declare(GatewayId(1), declaration(1, 8, false, false));
        assert_eq!(roster.changes()[0].whole, None);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Declare(u64, u8, u64, bool, bool),
        Detach(u64),
        Wait(u64),
        Tell,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0_u64..3, 0_u8..2, 0_u64..6, any::<bool>(), any::<bool>())
                .prop_map(|(gateway, room, who, online, viewing)| {
                    Step::Declare(gateway, room, who, online, viewing)
                }),
            1 => (0_u64..3).prop_map(Step::Detach),
            2 => (0_u64..25).prop_map(Step::Wait),
            3 => Just(Step::Tell),
        ];
        prop::collection::vec(step, 0..100)
    }

    proptest! {
        /// Presence is a replay of the leases: whatever happened, who is shown is who holds a declaration whose
        /// gateway is attached or within its lease; and what was told adds up to it.
        #[test]
        fn presence_is_a_replay_of_the_leases(steps in steps(), names_max in 1_usize..6) {
            let mut roster = Roster::new(LEASE_MS, names_max);
            let mut leases: BTreeMap<(u64, u8, u64), (Standing, Option<u64>)> = BTreeMap::new();
            let mut told: BTreeMap<RoomKey, BTreeMap<UserId, Standing>> = BTreeMap::new();
            // A stream that ended never speaks again: its gateway comes back as another one.
            let mut stream = BTreeMap::new();
            let (mut next, mut now_ms) = (10, 0);
            for step in steps {
                match step {
                    Step::Declare(gateway, room, who, online, viewing) => {
                        let id = *stream.entry(gateway).or_insert_with(|| { next += 1; next });
                        let standing = Standing { online, viewing };
                        prop_assert!(roster.declare(GatewayId(id), declaration(room, who, online, viewing)));
                        leases.insert((id, room, who), (standing, None));
                    }
                    Step::Detach(gateway) => if let Some(id) = stream.remove(&gateway) {
                        roster.detach(GatewayId(id), now_ms);
                        for ((holder, ..), (_, until)) in &mut leases {
                            if *holder == id { *until = Some(now_ms + LEASE_MS); }
                        }
                    },
                    Step::Wait(ms) => {
                        now_ms += ms;
                        roster.expire(now_ms);
                        leases.retain(|_, (_, until)| until.is_none_or(|at_ms| at_ms > now_ms));
                    }
                    Step::Tell => for change in roster.changes() {
                        let room = told.entry(change.key.clone()).or_default();
                        for (user, standing) in change.users {
                            prop_assert_ne!(room.insert(user, standing).unwrap_or_default(), standing);
                        }
                        room.retain(|_, standing| *standing != Standing::NONE);
                        let online = room.values().filter(|standing| standing.online).count() as u64;
                        prop_assert_eq!(change.online_total, online);
                        prop_assert_eq!(roster.online_total(&change.key), online);
                        prop_assert_eq!(change.whole.is_some_and(|whole| whole.is_sample), room.len() > names_max);
                    },
                }
            }
            for change in roster.changes() {
                told.entry(change.key).or_default().extend(change.users);
            }
            for room in 0..2 {
                let key = declaration(room, 0, true, true).key;
                let mut held: BTreeMap<UserId, Standing> = BTreeMap::new();
                for ((_, _, who), (standing, _)) in leases.iter().filter(|((_, of, _), _)| *of == room) {
                    let all = held.entry(user(*who)).or_default();
                    *all = all.or(*standing);
                }
                held.retain(|_, standing| *standing != Standing::NONE);
                let mut told = told.remove(&key).unwrap_or_default();
                told.retain(|_, standing| *standing != Standing::NONE);
                prop_assert_eq!(&told, &held);
                let view = roster.view(&key);
                if !view.is_sample {
                    let online: BTreeSet<UserId> = held.iter().filter(|(_, it)| it.online).map(|(user, _)| user.clone()).collect();
                    prop_assert_eq!(view.online, online);
                }
            }
        }
    }
}
