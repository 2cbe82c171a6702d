//! Rebalances step by step, with the clock in hand.

#![allow(clippy::unwrap_used)]

use super::*;

const SESSION: Duration = Duration::from_secs(6);
const REBALANCE: Duration = Duration::from_secs(30);

struct Bench {
    group: Group,
    now: Instant,
    next_id: usize,
}

impl Bench {
    fn new() -> Bench {
        let now = Instant::now();
        Bench {
            group: Group::new(Duration::ZERO, now),
            now,
            next_id: 0,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.tick(self.now);
    }

    fn join(&mut self, member: &str, instance: Option<&str>) -> oneshot::Receiver<Joined> {
        self.next_id += 1;
        let (reply, joined) = oneshot::channel();
        let join = Join {
            member: member.into(),
            instance: instance.map(Into::into),
            client: "test".into(),
            host: "/127.0.0.1".into(),
            session: SESSION,
            rebalance: REBALANCE,
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), Bytes::from_static(b"topics"))],
            must_know_id: true,
            can_skip_assignment: false,
        };
        let fresh = format!("member-{}", self.next_id);
        self.group.join(join, fresh, self.now, reply);
        joined
    }

    /// Joins as a newcomer does: first for an id, then with it.
    fn join_new(&mut self) -> (String, oneshot::Receiver<Joined>) {
        let refused = self.join("", None).try_recv().unwrap();
        assert_eq!(refused.error, error_code::MEMBER_ID_REQUIRED);
        let joined = self.join(&refused.member, None);
        (refused.member, joined)
    }

    fn sync(
        &mut self,
        member: &str,
        assignments: &[(&str, &'static [u8])],
    ) -> oneshot::Receiver<Synced> {
        let (reply, synced) = oneshot::channel();
        let assignments = assignments.iter();
        let assignments = assignments
            .map(|(id, bytes)| ((*id).into(), Bytes::from_static(bytes)))
            .collect();
        let generation = self.group.generation;
        self.group
            .sync((member, None), generation, assignments, self.now, reply);
        synced
    }

    fn heartbeat(&mut self, member: &str) -> i16 {
        let generation = self.group.generation;
        self.group.heartbeat(member, None, generation, self.now)
    }
}

#[test]
fn two_members_share_by_the_leaders_word() {
    let mut bench = Bench::new();
    let (a, joined) = bench.join_new();
    let mut joined = joined;
    assert_eq!(joined.try_recv().unwrap().leader, a);
    bench.sync(&a, &[(&a, b"all")]).try_recv().unwrap().unwrap();

    let (b, mut joined_b) = bench.join_new();
    assert_eq!(bench.heartbeat(&a), error_code::REBALANCE_IN_PROGRESS);
    assert!(joined_b.try_recv().is_err(), "a has not joined again yet");
    let joined_a = bench.join(&a, None).try_recv().unwrap();
    assert_eq!((joined_a.generation, joined_a.members.len()), (2, 2));
    assert!(joined_b.try_recv().unwrap().members.is_empty());

    let mut synced_b = bench.sync(&b, &[]);
    assert!(
        synced_b.try_recv().is_err(),
        "the leader has not spoken yet"
    );
    bench.sync(&a, &[(&a, b"left"), (&b, b"right")]);
    assert_eq!(
        synced_b.try_recv().unwrap().unwrap(),
        Bytes::from_static(b"right")
    );
    assert_eq!(bench.group.state, State::Stable);
}

#[test]
fn a_silent_member_is_removed_and_the_others_rebalance() {
    let mut bench = Bench::new();
    let (a, _joined) = bench.join_new();
    bench.sync(&a, &[]);
    bench.pass(SESSION / 2);
    assert_eq!(bench.heartbeat(&a), error_code::NONE);
    bench.pass(SESSION + Duration::from_millis(1));
    assert_eq!(bench.group.state, State::Empty);
    assert_eq!(bench.heartbeat(&a), error_code::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_rebalance_goes_on_without_who_does_not_join_again() {
    let mut bench = Bench::new();
    let (a, _joined) = bench.join_new();
    bench.sync(&a, &[]);
    let (b, mut joined_b) = bench.join_new();
    for _ in 0..29 {
        bench.pass(Duration::from_secs(1));
        assert_eq!(bench.heartbeat(&a), error_code::REBALANCE_IN_PROGRESS);
    }
    assert!(joined_b.try_recv().is_err());
    bench.pass(Duration::from_secs(1));
    assert_eq!(joined_b.try_recv().unwrap().leader, b);
    assert_eq!(bench.heartbeat(&a), error_code::UNKNOWN_MEMBER_ID);
}

#[test]
fn a_static_member_that_returns_keeps_its_partitions_without_a_rebalance() {
    let mut bench = Bench::new();
    let first = bench.join("", Some("one")).try_recv().unwrap();
    bench.sync(&first.member, &[(&first.member, b"mine")]);
    let again = bench.join("", Some("one")).try_recv().unwrap();
    assert_eq!(again.generation, first.generation);
    assert_ne!(again.member, first.member);
    assert_eq!(
        again.leader, first.member,
        "an old client must not assign anew"
    );
    let assignment = bench.sync(&again.member, &[]).try_recv().unwrap().unwrap();
    assert_eq!(assignment, Bytes::from_static(b"mine"));
    let fenced = bench
        .group
        .heartbeat(&first.member, Some("one"), first.generation, bench.now);
    assert_eq!(fenced, error_code::FENCED_INSTANCE_ID);
}

#[test]
fn an_id_that_was_never_given_is_refused() {
    let mut bench = Bench::new();
    let refused = bench.join("made-up", None).try_recv().unwrap();
    assert_eq!(refused.error, error_code::UNKNOWN_MEMBER_ID);
}

#[test]
fn commits_outside_a_generation_need_an_empty_group() {
    let mut bench = Bench::new();
    let now = bench.now;
    assert_eq!(bench.group.check_commit("", None, -1, now), Ok(()));
    let (a, _joined) = bench.join_new();
    bench.sync(&a, &[]);
    let refused = bench.group.check_commit("", None, -1, now);
    assert_eq!(refused, Err(error_code::UNKNOWN_MEMBER_ID));
    assert_eq!(bench.group.check_commit(&a, None, 1, now), Ok(()));
}

#[test]
fn the_last_to_leave_empties_the_group() {
    let mut bench = Bench::new();
    let (a, _joined) = bench.join_new();
    bench.sync(&a, &[]);
    assert_eq!(bench.group.leave(&a, None, bench.now), error_code::NONE);
    assert_eq!(bench.group.state, State::Empty);
    assert_eq!(
        bench.group.leave(&a, None, bench.now),
        error_code::UNKNOWN_MEMBER_ID
    );
}
