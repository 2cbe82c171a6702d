//! One consumer group: who is in it, which generation it is in, and when a rebalance is complete.
//!
//! The classic protocol: all members join, the leader gets the list of them, hands out the assignment, all fetch theirs.
//! Time comes in as an argument; answers that have to wait go out by one-shot channels.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::error_code;

/// Members per group; one more is refused.
const MEMBERS_MAX: usize = 1000;

/// What a member asks when it joins.
#[derive(Clone, Debug)]
pub(super) struct Join {
    /// The id given to the member before, or empty.
    pub(super) member: String,
    /// The fixed name of a static member.
    pub(super) instance: Option<String>,
    pub(super) client: String,
    pub(super) host: String,
    /// How long the member may be silent.
    pub(super) session: Duration,
    /// How long a rebalance waits for the member to join again.
    pub(super) rebalance: Duration,
    pub(super) protocol_type: String,
    /// Assignment strategies in the member's order, each with the member's subscription.
    pub(super) protocols: Vec<(String, Bytes)>,
    /// Whether a new member must come back with the id it is given (newer clients do).
    pub(super) must_know_id: bool,
    /// Whether a leader may be told to skip the assignment (newer clients only).
    pub(super) can_skip_assignment: bool,
}

/// The answer to a join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Joined {
    pub(super) error: i16,
    pub(super) generation: i32,
    pub(super) protocol: String,
    pub(super) leader: String,
    pub(super) member: String,
    pub(super) skip_assignment: bool,
    /// Id, instance and subscription of all members, for the leader only.
    pub(super) members: Vec<(String, Option<String>, Bytes)>,
}

/// The answer to a sync: the member's assignment or an error code.
pub(super) type Synced = Result<Bytes, i16>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody is in it; committed offsets may still be.
    Empty,
    /// Waiting for the members to join again.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

pub(super) struct Member {
    pub(super) instance: Option<String>,
    pub(super) client: String,
    pub(super) host: String,
    session: Duration,
    rebalance: Duration,
    protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    last_seen: Instant,
    joining: Option<oneshot::Sender<Joined>>,
    syncing: Option<oneshot::Sender<Synced>>,
}

pub(super) struct Group {
    pub(super) state: State,
    pub(super) generation: i32,
    pub(super) protocol_type: String,
    pub(super) protocol: String,
    leader: String,
    pub(super) members: BTreeMap<String, Member>,
    /// Ids given to members that have not come back with them yet, and when they lapse.
    expected: HashMap<String, Instant>,
    /// The first rebalance of an empty group waits until then, so that members started together get one assignment.
    not_before: Instant,
    /// When the present phase of the rebalance goes on without those who are missing.
    deadline: Instant,
    /// How long that first rebalance waits.
    initial_delay: Duration,
}

// === impl State ===

impl State {
    /// The name that tools show.
    pub(super) fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

// === impl Joined ===

impl Joined {
    fn refused(error: i16, member: &str) -> Joined {
        let (generation, member) = (-1, member.into());
        Joined {
            error,
            generation,
            member,
            ..Joined::default()
        }
    }
}

// === impl Member ===

impl Member {
    fn new(join: Join, now: Instant, reply: oneshot::Sender<Joined>) -> Member {
        Member {
            instance: join.instance,
            client: join.client,
            host: join.host,
            session: join.session,
            rebalance: join.rebalance,
            protocols: join.protocols,
            assignment: Bytes::new(),
            last_seen: now,
            joining: Some(reply),
            syncing: None,
        }
    }

    /// The member's subscription under an assignment strategy.
    pub(super) fn subscription(&self, protocol: &str) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found
            .map(|(_, subscription)| subscription.clone())
            .unwrap_or_default()
    }

    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Whether the member's time is over. One that waits for an answer is alive as long as its connection is.
    fn is_gone(&self, now: Instant) -> bool {
        match (&self.joining, &self.syncing) {
            (Some(reply), _) => reply.is_closed(),
            (None, Some(reply)) if !reply.is_closed() => false,
            _ => now > self.last_seen + self.session,
        }
    }
}

// === impl Group ===

impl Group {
    pub(super) fn new(initial_delay: Duration, now: Instant) -> Group {
        Group {
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            expected: HashMap::new(),
            not_before: now,
            deadline: now,
            initial_delay,
        }
    }

    /// Whether nothing would be lost by forgetting the group.
    pub(super) fn is_idle(&self) -> bool {
        self.members.is_empty() && self.expected.is_empty()
    }

    /// A member joins or joins again; the answer comes when the rebalance is complete, or at once.
    pub(super) fn join(
        &mut self,
        join: Join,
        fresh_id: String,
        now: Instant,
        reply: oneshot::Sender<Joined>,
    ) {
        if let Err(error) = self.check_join(&join) {
            answer(reply, Joined::refused(error, &join.member));
        } else if join.member.is_empty() {
            self.join_new(join, fresh_id, now, reply);
        } else if self.members.contains_key(&join.member) {
            self.join_again(join, now, reply);
        } else {
            self.expected.remove(&join.member);
            let id = join.member.clone();
            self.admit(id, join, now, reply);
        }
    }

    fn check_join(&self, join: &Join) -> Result<(), i16> {
        let is_known = self.members.contains_key(&join.member);
        if !is_known && self.members.len() + self.expected.len() >= MEMBERS_MAX {
            return Err(error_code::GROUP_MAX_SIZE_REACHED);
        }
        if join.protocols.is_empty() || join.protocol_type.is_empty() {
            return Err(error_code::INCONSISTENT_GROUP_PROTOCOL);
        }
        let others = self.members.iter().filter(|(id, _)| **id != join.member);
        let others: Vec<&Member> = others.map(|(_, member)| member).collect();
        let shared = |(name, _): &(String, Bytes)| others.iter().all(|other| other.supports(name));
        let same_type = others.is_empty() || self.protocol_type == join.protocol_type;
        if !same_type || !join.protocols.iter().any(shared) {
            return Err(error_code::INCONSISTENT_GROUP_PROTOCOL);
        }
        if join.member.is_empty() {
            return Ok(());
        }
        self.check_instance(&join.member, join.instance.as_deref())?;
        if is_known || self.expected.contains_key(&join.member) {
            Ok(())
        } else {
            Err(error_code::UNKNOWN_MEMBER_ID)
        }
    }

    fn join_new(&mut self, join: Join, id: String, now: Instant, reply: oneshot::Sender<Joined>) {
        let instance = join.instance.as_deref();
        if let Some(old) = instance.and_then(|instance| self.member_of_instance(instance)) {
            return self.replace_static(&old, id, join, now, reply);
        }
        if join.must_know_id && join.instance.is_none() {
            self.expected.insert(id.clone(), now + join.session);
            return answer(reply, Joined::refused(error_code::MEMBER_ID_REQUIRED, &id));
        }
        self.admit(id, join, now, reply);
    }

    fn admit(&mut self, id: String, join: Join, now: Instant, reply: oneshot::Sender<Joined>) {
        self.protocol_type.clone_from(&join.protocol_type);
        self.members.insert(id, Member::new(join, now, reply));
        self.prepare(now);
        self.try_complete(now);
    }

    fn join_again(&mut self, join: Join, now: Instant, reply: oneshot::Sender<Joined>) {
        let id = join.member.clone();
        let is_leader = self.leader == id;
        let state = self.state;
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        let is_same = member.protocols == join.protocols;
        member.last_seen = now;
        member.session = join.session;
        member.rebalance = join.rebalance;
        member.protocols = join.protocols;
        // A repeated request whose answer got lost gets the same answer; the leader of a stable group asks for a rebalance.
        let repeats = state == State::CompletingRebalance || (state == State::Stable && !is_leader);
        if is_same && repeats {
            let joined = self.joined(&id);
            return answer(reply, joined);
        }
        if let Some(older) = member.joining.replace(reply) {
            answer(older, Joined::refused(error_code::UNKNOWN_MEMBER_ID, &id));
        }
        self.prepare(now);
        self.try_complete(now);
    }

    /// A static member is back under a new id: it keeps its place and its partitions, the old id is fenced.
    fn replace_static(
        &mut self,
        old: &str,
        id: String,
        join: Join,
        now: Instant,
        reply: oneshot::Sender<Joined>,
    ) {
        let Some(mut replaced) = self.members.remove(old) else {
            return;
        };
        if let Some(reply) = replaced.joining.take() {
            answer(reply, Joined::refused(error_code::FENCED_INSTANCE_ID, old));
        }
        if let Some(reply) = replaced.syncing.take() {
            answer(reply, Err(error_code::FENCED_INSTANCE_ID));
        }
        let was_leader = self.leader == old;
        let can_skip = join.can_skip_assignment;
        let mut member = Member::new(join, now, reply);
        member.assignment = replaced.assignment;
        let reply = member.joining.take();
        self.members.insert(id.clone(), member);
        if was_leader {
            self.leader.clone_from(&id);
        }
        let goes_on = self.state == State::Stable && self.choose_protocol() == self.protocol;
        if !goes_on {
            if let Some(member) = self.members.get_mut(&id) {
                member.joining = reply;
            }
            self.prepare(now);
            return self.try_complete(now);
        }
        let mut joined = self.joined(&id);
        if was_leader && can_skip {
            joined.skip_assignment = true;
        } else if was_leader {
            // An older client that finds itself leader would hand out partitions anew; told the old leader's id, it just syncs.
            joined.leader = old.into();
            joined.members.clear();
        }
        if let Some(reply) = reply {
            answer(reply, joined);
        }
    }

    /// A member asks for its assignment; the leader brings those of all.
    pub(super) fn sync(
        &mut self,
        (member, instance): (&str, Option<&str>),
        generation: i32,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
        reply: oneshot::Sender<Synced>,
    ) {
        if let Err(error) = self.check_member(member, instance, generation) {
            return answer(reply, Err(error));
        }
        let is_leader = self.leader == member;
        let Some(known) = self.members.get_mut(member) else {
            return;
        };
        known.last_seen = now;
        match self.state {
            State::Stable => answer(reply, Ok(known.assignment.clone())),
            State::CompletingRebalance => {
                if let Some(older) = known.syncing.replace(reply) {
                    answer(older, Err(error_code::UNKNOWN_MEMBER_ID));
                }
                if is_leader {
                    self.assign(assignments, now);
                }
            }
            State::Empty | State::PreparingRebalance => {
                answer(reply, Err(error_code::REBALANCE_IN_PROGRESS));
            }
        }
    }

    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Instant) {
        let mut assignments: HashMap<String, Bytes> = assignments.into_iter().collect();
        for (id, member) in &mut self.members {
            member.assignment = assignments.remove(id).unwrap_or_default();
            if let Some(reply) = member.syncing.take() {
                member.last_seen = now;
                answer(reply, Ok(member.assignment.clone()));
            }
        }
        self.state = State::Stable;
    }

    /// A sign of life; answers with what the member should know.
    pub(super) fn heartbeat(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> i16 {
        match self.check_member(member, instance, generation) {
            Err(error) => error,
            Ok(()) => {
                self.touch(member, now);
                match self.state {
                    State::PreparingRebalance => error_code::REBALANCE_IN_PROGRESS,
                    _ => error_code::NONE,
                }
            }
        }
    }

    /// Whether this member may commit offsets now. Outside a generation only an empty group takes them.
    pub(super) fn check_commit(
        &mut self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        now: Instant,
    ) -> Result<(), i16> {
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        self.check_member(member, instance, generation)?;
        self.touch(member, now);
        // Members commit what they give away while the rebalance is being prepared, not after it.
        match self.state {
            State::CompletingRebalance => Err(error_code::REBALANCE_IN_PROGRESS),
            _ => Ok(()),
        }
    }

    /// A member, named by id or by instance, leaves.
    pub(super) fn leave(&mut self, member: &str, instance: Option<&str>, now: Instant) -> i16 {
        let id = match instance {
            Some(instance) if member.is_empty() => self.member_of_instance(instance),
            _ => Some(member.into()),
        };
        let Some(id) = id else {
            return error_code::UNKNOWN_MEMBER_ID;
        };
        if self.expected.remove(&id).is_some() {
            return error_code::NONE;
        }
        if let Err(error) = self.check_instance(&id, instance) {
            return error;
        }
        if !self.members.contains_key(&id) {
            return error_code::UNKNOWN_MEMBER_ID;
        }
        self.remove(&id, now);
        self.try_complete(now);
        error_code::NONE
    }

    /// Lets time pass: removes who is gone, ends waits that have lasted too long.
    pub(super) fn tick(&mut self, now: Instant) {
        self.expected.retain(|_, lapses| *lapses > now);
        let is_late = self.state == State::CompletingRebalance && now >= self.deadline;
        let gone = self
            .members
            .iter()
            .filter(|(_, member)| member.is_gone(now) || (is_late && member.syncing.is_none()));
        let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(&id, now);
        }
        self.try_complete(now);
    }

    /// Refuses everybody who waits, as the broker stops or the group is deleted.
    pub(super) fn release(&mut self) {
        for member in self.members.values_mut() {
            member.joining = None;
            member.syncing = None;
        }
    }

    fn remove(&mut self, id: &str, now: Instant) {
        let Some(mut member) = self.members.remove(id) else {
            return;
        };
        if let Some(reply) = member.joining.take() {
            answer(reply, Joined::refused(error_code::UNKNOWN_MEMBER_ID, id));
        }
        if matches!(self.state, State::Stable | State::CompletingRebalance) {
            self.prepare(now);
        }
    }

    /// Begins a rebalance unless one has begun.
    fn prepare(&mut self, now: Instant) {
        if self.state == State::PreparingRebalance {
            return;
        }
        self.not_before = match self.state {
            State::Empty => now + self.initial_delay,
            _ => now,
        };
        for member in self.members.values_mut() {
            if let Some(reply) = member.syncing.take() {
                answer(reply, Err(error_code::REBALANCE_IN_PROGRESS));
            }
        }
        self.deadline = now + self.patience();
        self.state = State::PreparingRebalance;
    }

    /// Ends the joining phase when all are there or time is up.
    fn try_complete(&mut self, now: Instant) {
        if self.state != State::PreparingRebalance {
            return;
        }
        let complete = self.members.values().all(|member| member.joining.is_some());
        if self.members.is_empty() {
            self.generation = self.generation.wrapping_add(1).max(1);
            self.state = State::Empty;
            self.leader.clear();
            self.protocol.clear();
            return;
        }
        if now < self.not_before || (!complete && now < self.deadline) {
            return;
        }
        // A static member that is late keeps its place until its session ends.
        self.members
            .retain(|_, member| member.joining.is_some() || member.instance.is_some());
        if self.members.is_empty() {
            return self.try_complete(now);
        }
        self.generation = self.generation.wrapping_add(1).max(1);
        self.protocol = self.choose_protocol();
        let is_present = |id: &String| {
            self.members
                .get(id)
                .is_some_and(|member| member.joining.is_some())
        };
        if !is_present(&self.leader) {
            let present = self.members.keys().find(|id| is_present(id));
            self.leader = present.cloned().unwrap_or_default();
        }
        self.state = State::CompletingRebalance;
        self.deadline = now + self.patience();
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id)
                && let Some(reply) = member.joining.take()
            {
                member.last_seen = now;
                answer(reply, joined);
            }
        }
    }

    fn joined(&self, id: &str) -> Joined {
        let listed = |(id, member): (&String, &Member)| {
            (
                id.clone(),
                member.instance.clone(),
                member.subscription(&self.protocol),
            )
        };
        let members = if self.leader == id {
            self.members.iter().map(listed).collect()
        } else {
            Vec::new()
        };
        Joined {
            error: error_code::NONE,
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member: id.into(),
            skip_assignment: false,
            members,
        }
    }

    /// The strategy that all members know and most prefer.
    fn choose_protocol(&self) -> String {
        let shared = |name: &str| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let preferred = member.protocols.iter().find(|(name, _)| shared(name));
            if let Some((name, _)) = preferred {
                *votes.entry(name).or_default() += 1;
            }
        }
        let chosen = votes.into_iter().max_by_key(|(_, votes)| *votes);
        chosen.map(|(name, _)| name.into()).unwrap_or_default()
    }

    fn patience(&self) -> Duration {
        let longest = self.members.values().map(|member| member.rebalance).max();
        longest.unwrap_or_default()
    }

    fn member_of_instance(&self, instance: &str) -> Option<String> {
        let same = |member: &Member| member.instance.as_deref() == Some(instance);
        let found = self.members.iter().find(|(_, member)| same(member));
        found.map(|(id, _)| id.clone())
    }

    /// A static member's name belongs to one id at a time.
    fn check_instance(&self, member: &str, instance: Option<&str>) -> Result<(), i16> {
        let Some(instance) = instance else {
            return Ok(());
        };
        match self.member_of_instance(instance) {
            Some(id) if id == member => Ok(()),
            Some(_) => Err(error_code::FENCED_INSTANCE_ID),
            None => Err(error_code::UNKNOWN_MEMBER_ID),
        }
    }

    fn check_member(
        &self,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), i16> {
        self.check_instance(member, instance)?;
        if !self.members.contains_key(member) {
            return Err(error_code::UNKNOWN_MEMBER_ID);
        }
        if generation != self.generation {
            return Err(error_code::ILLEGAL_GENERATION);
        }
        Ok(())
    }

    fn touch(&mut self, member: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member) {
            member.last_seen = now;
        }
    }
}

/// Answers a request; whoever asked may be gone by now, which the next tick notices.
fn answer<T>(reply: oneshot::Sender<T>, value: T) {
    drop(reply.send(value));
}

#[cfg(test)]
mod tests;
