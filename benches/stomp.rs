//! What STOMP costs a gateway: reading a SEND, building an event's MESSAGE once, and one more subscription id.
//!
//! The controls copy the same number of bytes and do nothing else: they are the floor under each figure.
//!
//! `cargo bench --bench stomp -- --write` puts the figures into docs/benchmarks.md.

mod figures;

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use figures::{
    Row,
    message::{TEXT_BYTES, body, message},
};
use roomlog_core::{
    limits::Limits,
    stomp::{Bounds, Decoder, Envelope, Provenance, Version},
};

/// A SEND as a client library writes it.
fn send() -> Vec<u8> {
    let text = "x".repeat(TEXT_BYTES);
    let headers = "destination:/app/rooms/lobby\nreceipt:message-17\nid:0190c5a8-7d1e";
    format!("SEND\n{headers}\ncontent-length:{TEXT_BYTES}\n\n{text}\0").into_bytes()
}

fn decode(criterion: &mut Criterion) {
    let bytes = send();
    let mut group = criterion.benchmark_group(DECODE);
    group.throughput(Throughput::Elements(1));
    group.bench_function("control: copy", |bencher| {
        bencher.iter(|| Bytes::copy_from_slice(black_box(&bytes)));
    });
    let mut decoder = Decoder::new(Bounds::signed_in(&Limits::default()));
    group.bench_function("one piece", |bencher| {
        bencher.iter(|| decoder.decode(&mut black_box(&bytes[..])));
    });
    group.bench_function("two pieces", |bencher| {
        let (first, second) = bytes.split_at(40);
        bencher.iter(|| {
            let start = decoder.decode(&mut black_box(first));
            (start, decoder.decode(&mut black_box(second)))
        });
    });
    group.finish();
}

fn encode(criterion: &mut Criterion) {
    let body = body();
    let frame = message(&body);
    let envelope = Envelope::new(Version::V1_2, Some("sub-0"), None);
    let acknowledged = Envelope::new(Version::V1_2, Some("sub-0"), Some(0));
    let sealed = frame.sealed(&envelope, Provenance::Live);

    let mut group = criterion.benchmark_group(ENCODE);
    group.throughput(Throughput::Elements(1));
    group.bench_function("control: copy", |bencher| {
        bencher.iter(|| Bytes::copy_from_slice(black_box(&sealed)));
    });
    group.bench_function("shared part, once an event", |bencher| {
        bencher.iter(|| message(black_box(&body)));
    });
    group.bench_function("one more subscription id", |bencher| {
        bencher.iter(|| frame.sealed(black_box(&envelope), Provenance::Live));
    });
    group.bench_function("one more subscription id with ack", |bencher| {
        bencher.iter(|| frame.sealed(black_box(&acknowledged), Provenance::Live));
    });
    group.bench_function("one more subscriber with the same id", |bencher| {
        bencher.iter(|| black_box(&sealed).clone());
    });
    group.finish();
}

/// The groups, as the page's rows name them.
const DECODE: &str = "decode SEND 200 B";
const ENCODE: &str = "encode MESSAGE 200 B";

/// What the figures mean, for who reads only the page.
const PREFACE: &str = "\
## The STOMP codec

Frames with a text of 200 bytes: median nanoseconds on one core. The controls copy as many bytes and do nothing else.
";

const ROWS: &[Row] = &[
    Row::of(DECODE, "one piece", "read a SEND"),
    Row::of(DECODE, "two pieces", "read a SEND that comes in two pieces"),
    Row::of(DECODE, "control: copy", "control: copy a SEND"),
    Row::of(
        ENCODE,
        "shared part, once an event",
        "build what all subscribers share of an event's MESSAGE, once",
    ),
    Row::of(
        ENCODE,
        "one more subscription id",
        "complete it for one more subscription id",
    ),
    Row::of(
        ENCODE,
        "one more subscription id with ack",
        "the same for one that acknowledges",
    ),
    Row::of(
        ENCODE,
        "one more subscriber with the same id",
        "one more subscriber with the same id",
    ),
    Row::of(ENCODE, "control: copy", "control: copy a MESSAGE"),
];

fn main() {
    figures::run("stomp", &[decode, encode], PREFACE, ROWS);
}
