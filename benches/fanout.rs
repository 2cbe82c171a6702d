//! What one event costs on its way out: encoded for the link once, forwarded once to each interested gateway, and sealed
//! there once for each distinct subscription id. And what it costs to learn who is interested.
//!
//! The control copies the same number of bytes and does nothing else: what every gateway would cost if it got bytes of
//! its own.
//!
//! `cargo bench --bench fanout -- --write` puts the figures into docs/benchmarks.md.

mod figures;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use figures::{
    Row,
    message::{TEXT_BYTES, body, message},
};
use roomlog_core::{
    event::Kind,
    ids::{Count, RoomKey, Seq},
    interest::{GatewayId, InterestTable, Level},
    stomp::{Envelope, Provenance, Version},
};
use roomlog_platform::{link::EncodedEvent, stored_event::StoredEvent};

/// What the log's value takes beside the text.
const VALUE_OVERHEAD_BYTES: usize = 80;
/// Rooms that somebody is interested in.
const ROOMS: usize = 10_000;

fn room(number: usize) -> RoomKey {
    RoomKey::parse(&format!("room-{number}")).expect("alphabet")
}

fn event() -> StoredEvent {
    StoredEvent {
        key: room(0),
        seq: Seq(42),
        count: Count(40),
        at_ms: 1_763_700_000_000,
        partition: 0,
        offset: 17,
        id: "0190c5a8-7d1e-7000-8000-000000000000".to_owned(),
        sender: "alice".to_owned(),
        kind: Kind::Message,
        traceparent: None,
        value: Bytes::from(vec![b'x'; TEXT_BYTES + VALUE_OVERHEAD_BYTES]),
    }
}

fn forward(criterion: &mut Criterion) {
    let event = event();
    let encoded = EncodedEvent::encode(&event);
    let mut group = criterion.benchmark_group(FORWARD);
    group.throughput(Throughput::Elements(1));
    group.bench_function("control: copy", |bencher| {
        bencher.iter(|| Bytes::copy_from_slice(black_box(&encoded.record)));
    });
    group.bench_function("encode, once an event", |bencher| {
        bencher.iter(|| EncodedEvent::encode(black_box(&event)));
    });
    for (gateways, name) in [(1, "to 1 gateway"), (10, "to 10"), (100, "to 100")] {
        let mut interest = InterestTable::new();
        for gateway in 0..gateways {
            interest.set(GatewayId(gateway), &event.key, Level::Live);
        }
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for gateway in interest.live(black_box(&event.key)) {
                    drop(black_box((gateway, encoded.clone())));
                }
            });
        });
    }
    group.finish();
}

fn interest(criterion: &mut Criterion) {
    let rooms: Vec<RoomKey> = (0..ROOMS).map(room).collect();
    let mut table = InterestTable::new();
    for room in &rooms {
        table.set(GatewayId(1), room, Level::Live);
    }
    let mut turns = rooms.iter().cycle();
    let mut group = criterion.benchmark_group(INTEREST);
    group.throughput(Throughput::Elements(1));
    group.bench_function("repeated", |bencher| {
        bencher.iter(|| {
            let room = turns.next().expect("an endless cycle");
            table.set(GatewayId(1), black_box(room), Level::Live)
        });
    });
    group.bench_function("begun and ended", |bencher| {
        bencher.iter(|| {
            let room = turns.next().expect("an endless cycle");
            table.set(GatewayId(2), black_box(room), Level::Live);
            table.set(GatewayId(2), black_box(room), Level::None)
        });
    });
    group.finish();
}

fn seal(criterion: &mut Criterion) {
    let body = body();
    let mut group = criterion.benchmark_group(SEAL);
    group.throughput(Throughput::Elements(1));
    for (count, name) in [
        (1, "for 1 subscription id"),
        (10, "for 10"),
        (100, "for 100"),
    ] {
        let envelope = |number| Envelope::new(Version::V1_2, Some(&format!("sub-{number}")), None);
        let envelopes: Vec<Envelope> = (0..count).map(envelope).collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let frame = message(black_box(&body));
                for envelope in &envelopes {
                    drop(black_box(frame.sealed(envelope, Provenance::Live)));
                }
            });
        });
    }
    group.finish();
}

/// The groups, as the page's rows name them.
const FORWARD: &str = "forward an event of 200 B";
const INTEREST: &str = "interest in one of 10,000 rooms";
const SEAL: &str = "seal a MESSAGE of 200 B";

/// What the figures mean, for who reads only the page.
const PREFACE: &str = "\
## Fan-out

One event with a text of 200 bytes, on its way from an owner to subscribers: median nanoseconds on one core. The
control copies as many bytes as one gateway is sent.
";

const ROWS: &[Row] = &[
    Row::of(
        FORWARD,
        "encode, once an event",
        "encode an event for the link, once",
    ),
    Row::of(
        FORWARD,
        "to 1 gateway",
        "look up who is interested, and forward it to 1 gateway",
    ),
    Row::of(FORWARD, "to 10", "the same to 10"),
    Row::of(FORWARD, "to 100", "the same to 100"),
    Row::of(FORWARD, "control: copy", "control"),
    Row::of(
        INTEREST,
        "repeated",
        "a gateway repeats its interest in a room",
    ),
    Row::of(
        INTEREST,
        "begun and ended",
        "a gateway's interest in a room begins and ends",
    ),
    Row::of(
        SEAL,
        "for 1 subscription id",
        "build the MESSAGE and seal it for 1 subscription id",
    ),
    Row::of(SEAL, "for 10", "the same for 10"),
    Row::of(SEAL, "for 100", "the same for 100"),
];

fn main() {
    figures::run("fanout", &[forward, interest, seal], PREFACE, ROWS);
}
