//! The three machines together: users with several devices come, go, join and leave over several gateways and owners,
//! any of which dies, and what is shown in the end is what a naive recount of sessions and members says.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{
    ids::{RoomKey, Seq},
    interest::GatewayId,
};

const GATEWAYS: usize = 3;
const OWNERS: usize = 2;
const USERS: u8 = 4;
const ROOMS: u8 = 2;
const HOLD_MS: u64 = 10;
const LEASE_MS: u64 = 30;
/// Longer than a hold, a lease and the time a new owner is given to hear from all gateways.
const LONG_MS: u64 = 10_000;

#[derive(Clone, Debug)]
enum Step {
    Connect(u8, usize),
    /// One of those who are connected goes; whether the connection was lost.
    Disconnect(usize, bool),
    /// Joins or leaves; whether the gateways have the room open, hear of it, or miss it.
    Move(u8, u8, bool, [Learns; GATEWAYS]),
    Store(u8),
    KillGateway(usize),
    KillOwner(usize),
    Wait(u64),
    Pass,
}

/// What a gateway learns of an event.
#[derive(Clone, Copy, Debug)]
enum Learns {
    Sees,
    Hears,
    Misses,
}

struct Gateway {
    local: Local,
    /// Names this life of it at the owners.
    id: u64,
    /// What was declared and has not arrived, by owner.
    pending: Vec<BTreeMap<(RoomKey, UserId), Standing>>,
    mirrors: BTreeMap<RoomKey, Mirror>,
    /// What a client shows that began with a snapshot and took every change since.
    shown: BTreeMap<RoomKey, BTreeSet<UserId>>,
}

struct Owner {
    roster: Roster,
    id: u64,
}

struct World {
    gateways: Vec<Gateway>,
    owners: Vec<Owner>,
    /// Every move of each room, in order: the log.
    logs: BTreeMap<RoomKey, Vec<(UserId, bool)>>,
    stored: BTreeMap<RoomKey, usize>,
    sessions: Vec<(UserId, usize, SessionId)>,
    now_ms: u64,
    next: u64,
}

fn user(number: u8) -> UserId {
    UserId::parse(&format!("u{number}")).unwrap()
}

fn room(number: u8) -> RoomKey {
    RoomKey::parse(&format!("r{number}")).unwrap()
}

fn rooms() -> impl Iterator<Item = RoomKey> {
    (0..ROOMS).map(room)
}

// === impl World ===

impl World {
    fn new() -> Self {
        let mut world = Self {
            gateways: Vec::new(),
            owners: Vec::new(),
            logs: rooms().map(|key| (key, Vec::new())).collect(),
            stored: BTreeMap::new(),
            sessions: Vec::new(),
            now_ms: 0,
            next: 0,
        };
        world.owners = (0..OWNERS).map(|_| world.new_owner()).collect();
        world.gateways = (0..GATEWAYS).map(|_| world.new_gateway()).collect();
        world
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn new_owner(&mut self) -> Owner {
        Owner {
            roster: Roster::new(LEASE_MS, 100),
            id: self.number(),
        }
    }

    fn new_gateway(&mut self) -> Gateway {
        let mut gateway = Gateway {
            local: Local::new(HOLD_MS),
            id: self.number(),
            pending: vec![BTreeMap::new(); OWNERS],
            mirrors: rooms().map(|key| (key, Mirror::default())).collect(),
            shown: rooms().map(|key| (key, BTreeSet::new())).collect(),
        };
        for owner in &self.owners {
            gateway.hear_whole(owner, self.now_ms);
        }
        gateway
    }

    /// How a user belongs to a room after so many moves of it.
    fn belonging(&self, who: &UserId, key: &RoomKey, upto: usize) -> Option<Belonging> {
        let moves = self.logs[key][..upto].iter().enumerate();
        let mut theirs = moves.filter(|(_, (user, _))| user == who);
        let (index, (_, is_in)) = theirs.next_back()?;
        Some(Belonging {
            is_in: *is_in,
            at: Seq(index as u64 + 1),
        })
    }

    fn look_up(&mut self, index: usize, who: &UserId) {
        let found = rooms().filter_map(|key| {
            let upto = self.stored.get(&key).copied().unwrap_or(0);
            Some((key.clone(), self.belonging(who, &key, upto)?))
        });
        let found: Vec<_> = found.collect();
        let effects = self.gateways[index].local.found(who, found);
        self.follow(index, effects);
    }

    /// Does what a gateway's machine asks for.
    fn follow(&mut self, index: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Declare(it) => {
                    for pending in &mut self.gateways[index].pending {
                        pending.insert((it.key.clone(), it.user.clone()), it.standing);
                    }
                }
                Effect::Arrived(who) => self.look_up(index, &who),
                Effect::Doubt(who, key) => {
                    let known = self.belonging(&who, &key, self.logs[&key].len());
                    let found = known.map(|belonging| (key, belonging));
                    let effects = self.gateways[index].local.found(&who, found);
                    self.follow(index, effects);
                }
                Effect::Left(_) => {}
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Connect(who, index) => {
                let session = SessionId(self.number());
                self.sessions.push((user(who), index, session));
                let effects = self.gateways[index].local.open(&user(who), session);
                self.follow(index, effects);
            }
            Step::Disconnect(nth, is_lost) => {
                if self.sessions.is_empty() {
                    return;
                }
                let nth = nth % self.sessions.len();
                let (who, index, session) = self.sessions.swap_remove(nth);
                let ending = match is_lost {
                    true => Ending::Lost,
                    false => Ending::Explicit,
                };
                let local = &mut self.gateways[index].local;
                let effects = local.close(&who, session, ending, self.now_ms);
                self.follow(index, effects);
            }
            Step::Move(who, key, is_in, news) => {
                self.move_user(&user(who), &room(key), is_in, news)
            }
            Step::Store(key) => {
                let len = self.logs[&room(key)].len();
                self.stored.insert(room(key), len);
            }
            Step::KillGateway(index) => {
                let id = GatewayId(self.gateways[index].id);
                for owner in &mut self.owners {
                    owner.roster.detach(id, self.now_ms);
                }
                self.sessions.retain(|(_, at, _)| *at != index);
                self.gateways[index] = self.new_gateway();
            }
            Step::KillOwner(index) => {
                let dead = self.owners[index].id;
                self.owners[index] = self.new_owner();
                for gateway in &mut self.gateways {
                    gateway.mirrors.values_mut().for_each(|it| it.lose(dead));
                    // It is told everything anew, in the place of what was on its way.
                    let all = gateway.local.declarations();
                    gateway.pending[index] =
                        all.map(|it| ((it.key, it.user), it.standing)).collect();
                    gateway.hear_whole(&self.owners[index], self.now_ms);
                }
            }
            Step::Wait(ms) => {
                self.now_ms += ms;
                for index in 0..GATEWAYS {
                    let effects = self.gateways[index].local.expire(self.now_ms);
                    self.follow(index, effects);
                }
                let owners = self.owners.iter_mut();
                owners.for_each(|owner| owner.roster.expire(self.now_ms));
            }
            Step::Pass => self.pass(),
        }
    }

    fn move_user(&mut self, who: &UserId, key: &RoomKey, is_in: bool, news: [Learns; GATEWAYS]) {
        let log = self.logs.get_mut(key).unwrap();
        log.push((who.clone(), is_in));
        let at = Seq(log.len() as u64);
        let belonging = Belonging { is_in, at };
        for (index, news) in news.into_iter().enumerate() {
            let local = &mut self.gateways[index].local;
            let effects = match news {
                Learns::Sees => local.moved(who, key, belonging),
                Learns::Hears => local.heard(who, key, belonging),
                Learns::Misses => continue,
            };
            self.follow(index, effects);
        }
    }

    /// Everything that is on its way arrives.
    fn pass(&mut self) {
        for (index, owner) in self.owners.iter_mut().enumerate() {
            for gateway in &mut self.gateways {
                for ((key, user), standing) in std::mem::take(&mut gateway.pending[index]) {
                    let declaration = Declaration {
                        key,
                        user,
                        standing,
                    };
                    assert!(owner.roster.declare(GatewayId(gateway.id), declaration));
                }
            }
            for change in owner.roster.changes() {
                for gateway in &mut self.gateways {
                    let mirror = gateway.mirrors.get_mut(&change.key).unwrap();
                    mirror.change(owner.id, change.clone());
                    gateway.show(&change.key, self.now_ms);
                }
            }
        }
        for gateway in &mut self.gateways {
            rooms().for_each(|key| gateway.show(&key, self.now_ms));
        }
    }

    /// What was missed is looked up again, nothing happens for long, and everything arrives.
    fn settle(&mut self) {
        (0..ROOMS).for_each(|key| self.take(Step::Store(key)));
        for index in 0..GATEWAYS {
            let users: Vec<UserId> = self.gateways[index].local.users().cloned().collect();
            users.iter().for_each(|who| self.look_up(index, who));
        }
        for _ in 0..3 {
            self.pass();
            self.take(Step::Wait(LONG_MS));
        }
        self.pass();
    }

    fn online(&self, key: &RoomKey) -> BTreeSet<UserId> {
        let connected = self.sessions.iter().map(|(who, ..)| who);
        let members = connected.filter(|who| {
            let newest = self.belonging(who, key, self.logs[key].len());
            newest.is_some_and(|newest| newest.is_in)
        });
        members.cloned().collect()
    }
}

// === impl Gateway ===

impl Gateway {
    fn hear_whole(&mut self, owner: &Owner, now_ms: u64) {
        for key in rooms() {
            let mirror = self.mirrors.get_mut(&key).unwrap();
            mirror.state(owner.id, owner.roster.view(&key));
            self.show(&key, now_ms);
        }
    }

    /// Takes what is news to clients; each change is one.
    fn show(&mut self, key: &RoomKey, now_ms: u64) {
        let shown = self.shown.get_mut(key).unwrap();
        for news in self.mirrors.get_mut(key).unwrap().news(now_ms) {
            match news {
                News::Presence(who, true) => assert!(shown.insert(who), "nobody comes twice"),
                News::Presence(who, false) => assert!(shown.remove(&who), "nobody goes twice"),
                News::Viewers | News::Sample => {}
            }
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let news = prop_oneof![
        2 => Just(Learns::Sees),
        4 => Just(Learns::Hears),
        1 => Just(Learns::Misses),
    ];
    let moves = (
        0..USERS,
        0..ROOMS,
        any::<bool>(),
        [news.clone(), news.clone(), news],
    );
    let step = prop_oneof![
        4 => (0..USERS, 0..GATEWAYS).prop_map(|(who, at)| Step::Connect(who, at)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(nth, lost)| Step::Disconnect(nth, lost)),
        4 => moves.prop_map(|(who, key, is_in, news)| Step::Move(who, key, is_in, news)),
        2 => (0..ROOMS).prop_map(Step::Store),
        1 => (0..GATEWAYS).prop_map(Step::KillGateway),
        1 => (0..OWNERS).prop_map(Step::KillOwner),
        2 => (0_u64..40).prop_map(Step::Wait),
        4 => Just(Step::Pass),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever happened, every gateway comes to show who has a session and is a member; and a client that began with a
    /// snapshot and took every change shows the same, having seen nobody come or go twice.
    #[test]
    fn what_is_shown_is_a_recount_of_sessions_and_members(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.settle();
        for key in rooms() {
            let online = world.online(&key);
            for gateway in &world.gateways {
                prop_assert_eq!(&gateway.mirrors[&key].view().online, &online);
                prop_assert_eq!(&gateway.shown[&key], &online);
            }
        }
    }
}
