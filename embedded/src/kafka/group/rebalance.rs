//! The phases of a rebalance: beginning it, ending the wait for members, telling them, and letting go of who is gone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::error_code;
use super::{Group, Joined, Member, State, answer};

impl Group {
    /// Lets time pass: removes who is gone, ends waits that have lasted too long.
    pub(in crate::kafka) fn tick(&mut self, now: Instant) {
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

    pub(super) fn remove(&mut self, id: &str, now: Instant) {
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
    pub(super) fn prepare(&mut self, now: Instant) {
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
    pub(super) fn try_complete(&mut self, now: Instant) {
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

    pub(super) fn joined(&self, id: &str) -> Joined {
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
    pub(super) fn choose_protocol(&self) -> String {
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
}
