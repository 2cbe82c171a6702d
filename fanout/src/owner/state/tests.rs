//! The owner's decisions, without a log, a store or a link.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use roomlog_core::{
    event::{Body, Event, MemberChange, MemberEvent, Message, Sender},
    ids::{MessageId, UserId},
    room_log::{Position, Spec},
};
use roomlog_platform::link::{RoomHead, RoomInterest};
use tokio::sync::oneshot;

use super::*;
use crate::outbox::Sendable;

const SPEC: Spec = Spec {
    partition: 0,
    partition_count: 1,
    window_offsets: 1_000,
};

/// An owner whose log is written as it is read.
struct Bench {
    state: State,
    offset: i64,
}

/// A gateway's end.
struct Gateway {
    id: GatewayId,
    outbox: Arc<Outbox>,
}

fn presence() -> Presence {
    let config = roomlog_platform::config::Presence {
        lease: roomlog_platform::config::Span(Duration::from_millis(100)),
        hold: roomlog_platform::config::Span(Duration::from_millis(100)),
        names_max: 100,
    };
    Presence::new(&config)
}

fn key(room: &str) -> RoomKey {
    RoomKey::parse(room).unwrap()
}

impl Bench {
    fn new() -> Self {
        Self::on(RoomLog::empty(SPEC, 1))
    }

    fn on(log: RoomLog) -> Self {
        let offset = log.next().offset;
        let mut state = State::new(log, true, presence(), 0);
        state.go_live();
        Self { state, offset }
    }

    fn record(&mut self, room: &str, kind: &str, body: Body) -> LogRecord {
        let event = Event {
            key: key(room),
            id: MessageId::parse(&format!("id-{}", self.offset)).unwrap(),
            sender: Sender {
                id: UserId::parse("alice").unwrap(),
                name: "Alice".into(),
                avatar: None,
            },
            body,
            headers: vec![],
            by_admin: false,
        };
        let headers = [
            ("id", event.id.as_str().as_bytes()),
            ("sender", b"alice".as_slice()),
            ("type", kind.as_bytes()),
        ];
        let value = roomlog_schemas::encode_event(&event);
        let record = LogRecord::new(
            (0, self.offset),
            0,
            room.as_bytes(),
            &value,
            headers.into_iter(),
        );
        self.offset += 1;
        record
    }

    fn message(&mut self, room: &str) -> Applied {
        let record = self.record(room, "message", Body::Message(Message::default()));
        self.state.apply(&record, 0)
    }

    fn join(&mut self, room: &str) -> Applied {
        let user = UserId::parse("bob").unwrap();
        let change = MemberChange::Joined;
        let record = self.record(room, "member", Body::Member(MemberEvent { user, change }));
        self.state.apply(&record, 0)
    }

    fn attach(&mut self, id: u64, level: Level, room: &str, seq: Option<u64>) -> Gateway {
        let gateway = Gateway {
            id: GatewayId(id),
            outbox: Arc::new(Outbox::new()),
        };
        self.declare(&gateway, level, room, seq);
        gateway
    }

    fn declare(&mut self, gateway: &Gateway, level: Level, room: &str, seq: Option<u64>) {
        let interest = RoomInterest {
            key: key(room),
            level,
            seq: seq.map(Seq),
            signals: false,
        };
        self.state
            .set_interest(gateway.id, Arc::clone(&gateway.outbox), vec![interest]);
    }

    fn ask_head(&mut self, room: &str) -> oneshot::Receiver<RoomHead> {
        let (reply, answer) = oneshot::channel();
        self.state.fresh.ask(Question {
            key: key(room),
            reply,
        });
        answer
    }
}

impl Gateway {
    /// The seqs of the events, and the heads, that wait for it now.
    fn received(&self) -> (Vec<u64>, Vec<u64>) {
        // A closed queue ends instead of waiting, so everything in it is there at once.
        self.outbox.close();
        let (mut events, mut heads) = (vec![], vec![]);
        let next = || futures_util::FutureExt::now_or_never(self.outbox.next()).flatten();
        while let Some(Sendable {
            events: records,
            heads: now,
            ..
        }) = next()
        {
            events.extend(
                records
                    .iter()
                    .map(|record| EncodedEvent::decode(record).unwrap().seq.0),
            );
            heads.extend(now.iter().map(|head| head.seq.0));
        }
        (events, heads)
    }
}

#[test]
fn an_event_goes_once_to_each_gateway_that_looks() {
    let mut bench = Bench::new();
    let here = bench.attach(1, Level::Live, "room", Some(0));
    let there = bench.attach(2, Level::Live, "room", Some(0));
    let elsewhere = bench.attach(3, Level::Live, "other", Some(0));
    bench.message("room");
    bench.message("room");
    assert_eq!(here.received().0, [1, 2]);
    assert_eq!(there.received().0, [1, 2]);
    assert_eq!(elsewhere.received().0, [0; 0]);
}

#[test]
fn a_badge_is_the_last_message_however_many_and_every_member_event() {
    let mut bench = Bench::new();
    let gateway = bench.attach(1, Level::Badge, "room", None);
    bench.message("room");
    bench.join("room");
    bench.message("room");
    bench.message("room");
    bench.state.tick(0);
    assert_eq!(gateway.received(), (vec![2, 4], vec![4]));
}

#[test]
fn a_quiet_rooms_head_is_repeated_once() {
    let mut bench = Bench::new();
    let gateway = bench.attach(1, Level::Live, "room", Some(0));
    bench.message("room");
    for _ in 0..5 {
        bench.state.tick(0);
    }
    assert_eq!(gateway.received(), (vec![1], vec![1]));
}

#[test]
fn a_gateway_that_is_behind_gets_what_it_lacks_or_the_head() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.message("room");
    }
    let behind = bench.attach(1, Level::Live, "room", Some(3));
    let level = bench.attach(2, Level::Live, "room", Some(5));
    let knows_nothing = bench.attach(3, Level::Live, "room", None);
    assert_eq!(behind.received(), (vec![4, 5], vec![]));
    assert_eq!(level.received(), (vec![], vec![5]));
    assert_eq!(knows_nothing.received(), (vec![], vec![5]));
    for _ in 0..2_000 {
        bench.message("room");
    }
    let far_behind = bench.attach(4, Level::Live, "room", Some(5));
    assert_eq!(far_behind.received(), (vec![], vec![2_005]));
}

#[test]
fn a_gateway_that_is_gone_is_forgotten() {
    let mut bench = Bench::new();
    let gateway = bench.attach(1, Level::Live, "room", Some(0));
    gateway.outbox.close();
    bench.state.tick(0);
    assert!(bench.state.gateways.is_empty());
    assert_eq!(bench.state.interest.rooms().count(), 0);
}

#[test]
fn withdrawn_interest_ends_the_events() {
    let mut bench = Bench::new();
    let gateway = bench.attach(1, Level::Live, "room", Some(0));
    bench.message("room");
    bench.declare(&gateway, Level::None, "room", None);
    bench.message("room");
    assert_eq!(gateway.received().0, [1]);
}

#[test]
fn a_retry_is_shown_once() {
    let mut bench = Bench::new();
    let gateway = bench.attach(1, Level::Live, "room", Some(0));
    let mut record = bench.record("room", "message", Body::Message(Message::default()));
    assert!(matches!(bench.state.apply(&record, 0), Applied::Done));
    record.offset += 1;
    assert!(matches!(bench.state.apply(&record, 0), Applied::Done));
    assert_eq!(gateway.received().0, [1]);
}

#[test]
fn an_unreadable_value_keeps_its_seq_and_waits_to_be_shown() {
    let mut bench = Bench::new();
    let gateway = bench.attach(1, Level::Live, "room", Some(0));
    let mut record = bench.record("room", "message", Body::Message(Message::default()));
    record.value = Bytes::from_static(b"\0\0\0\0\x07not avro");
    let Applied::Unreadable(event, _) = bench.state.apply(&record, 0) else {
        panic!("it can't be decoded");
    };
    assert_eq!((event.seq, event.kind), (Seq(1), Kind::Unreadable));
    bench.state.show(&event, None);
    bench.message("room");
    assert_eq!(gateway.received().0, [1, 2]);
}

#[test]
fn a_fresh_head_is_answered_when_the_end_is_passed() {
    let mut bench = Bench::new();
    bench.message("room");
    let mut answer = bench.ask_head("room");
    let mut empty = bench.ask_head("empty");
    assert!(bench.state.fresh.begin_look());
    bench.state.fresh.looked(Some(2));
    bench.state.answer(1);
    assert!(answer.try_recv().is_err());
    bench.message("room");
    bench.state.answer(2);
    assert_eq!(answer.try_recv().unwrap().seq, Seq(2));
    assert_eq!(empty.try_recv().unwrap().seq, Seq::ZERO);
}

#[test]
fn a_partial_base_waits_for_the_row_of_a_room_and_tells_its_head() {
    let position = Position {
        generation: 1,
        offset: 10,
    };
    let mut bench = Bench::on(RoomLog::partial(SPEC, position, 3));
    let gateway = bench.attach(1, Level::Live, "room", Some(1));
    let record = bench.record("room", "message", Body::Message(Message::default()));
    assert!(matches!(
        bench.state.apply(&record, 0),
        Applied::HeadUnknown
    ));
    assert_eq!(bench.state.loads.begin_load(), Some(vec![key("room")]));
    assert_eq!(bench.state.loads.begin_load(), None, "it is read once");
    let stored = Head {
        seq: Seq(3),
        count: Count(3),
        position: Position {
            generation: 1,
            offset: 9,
        },
    };
    bench.state.heads_loaded(vec![(key("room"), Some(stored))]);
    assert!(matches!(bench.state.apply(&record, 0), Applied::Done));
    assert_eq!(gateway.received(), (vec![4], vec![3]));
    bench.state.notice_completeness();
    assert!(bench.state.log.is_complete());
}

#[test]
fn a_question_about_an_unloaded_room_is_answered_once_its_row_is_read() {
    let position = Position {
        generation: 1,
        offset: 10,
    };
    let mut bench = Bench::on(RoomLog::partial(SPEC, position, 3));
    let mut answer = bench.ask_head("nowhere");
    assert!(bench.state.fresh.begin_look());
    bench.state.fresh.looked(Some(10));
    bench.state.answer(10);
    assert!(answer.try_recv().is_err());
    assert_eq!(bench.state.loads.begin_load(), Some(vec![key("nowhere")]));
    bench.state.heads_loaded(vec![(key("nowhere"), None)]);
    assert_eq!(answer.try_recv().unwrap().seq, Seq::ZERO);
}

#[test]
fn so_many_questions_wait_for_rows_and_no_more() {
    let position = Position {
        generation: 1,
        offset: 10,
    };
    let mut bench = Bench::on(RoomLog::partial(SPEC, position, 3));
    let ask = |bench: &mut Bench| {
        let answer = bench.ask_head("nowhere");
        assert!(bench.state.fresh.begin_look());
        bench.state.fresh.looked(Some(10));
        bench.state.answer(10);
        answer
    };
    let mut waiting: Vec<_> = (0..asked::UNANSWERED_MAX)
        .map(|_| ask(&mut bench))
        .collect();
    let mut dropped = ask(&mut bench);
    assert_eq!(
        dropped.try_recv(),
        Err(oneshot::error::TryRecvError::Closed)
    );
    assert_eq!(bench.state.loads.begin_load(), Some(vec![key("nowhere")]));
    bench.state.heads_loaded(vec![(key("nowhere"), None)]);
    assert!(waiting.iter_mut().all(|answer| answer.try_recv().is_ok()));
}
