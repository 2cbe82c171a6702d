//! Records: in by an idempotent producer, out from exact offsets.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::try_join_all;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;
use rdkafka::{Message, Offset, Timestamp, TopicPartitionList};

use super::{
    CALL, admin, assign, blocking, client, create_topic, options, producer, reader, send,
    watermarks,
};
use crate::probe::{Failure, Outcome, Report, ensure, fresh, same};

/// Records per round trip: enough for several batches.
const RECORDS: usize = 300;

pub(super) async fn run(addr: &str, report: &mut Report) {
    report
        .check(
            "records come back as they were sent, plain",
            round_trip(addr, "none"),
        )
        .await;
    report
        .check(
            "records come back as they were sent, zstd",
            round_trip(addr, "zstd"),
        )
        .await;
    report
        .check(
            "records come back as they were sent, lz4",
            round_trip(addr, "lz4"),
        )
        .await;
    report
        .check("a reader starts at the exact offset", exact_offset(addr))
        .await;
    report
        .check("records arrive while a reader waits", long_poll(addr))
        .await;
    report.check("watermarks show the ends", ends(addr)).await;
    report
        .check("deleted records move the low watermark", deletes(addr))
        .await;
    report
        .check("offsets are found by append time", by_time(addr))
        .await;
    report
        .check("reading beyond the ends is an error", out_of_range(addr))
        .await;
    report
        .check("a record that is too large is refused", too_large(addr))
        .await;
    report
        .check("the end of a partition is reported", end_of_partition(addr))
        .await;
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

async fn send_many(
    producer: &FutureProducer,
    topic: &str,
) -> Result<BTreeSet<(i32, i64)>, Failure> {
    let sent = (0..RECORDS).map(|number| async move {
        let (key, value) = (format!("room-{}", number % 7), format!("value-{number}"));
        let trace = format!("00-{number}");
        let headers = OwnedHeaders::new()
            .insert(Header {
                key: "traceparent",
                value: Some(&trace),
            })
            .insert(Header {
                key: "nothing",
                value: None::<&[u8]>,
            });
        // The producer's own time must give way to the broker's.
        let record = FutureRecord::to(topic)
            .key(&key)
            .payload(&value)
            .headers(headers)
            .timestamp(1_000);
        let delivery = producer
            .send(record, Timeout::After(CALL))
            .await
            .map_err(|(error, _)| error)?;
        Ok::<_, Failure>((delivery.partition, delivery.offset))
    });
    Ok(try_join_all(sent).await?.into_iter().collect())
}

async fn round_trip(addr: &str, codec: &str) -> Outcome {
    let topic = fresh("round-trip");
    create_topic(addr, &topic, 3).await?;
    let before = now_ms();
    let places = send_many(&producer(addr, codec)?, &topic).await?;
    same("distinct places", places.len(), RECORDS)?;
    let mut seen = BTreeSet::new();
    for partition in 0..3 {
        let (low, high) = watermarks(addr, &topic, partition).await?;
        same("low watermark", low, 0)?;
        let reader = reader(addr)?;
        assign(&reader, &topic, partition, 0)?;
        let mut last_time = before - 1000;
        let mut last_number = None;
        for offset in 0..high {
            let message = reader.recv().await?;
            same("offset", message.offset(), offset)?;
            seen.insert((partition, offset));
            let number = check_record(&message)?;
            let by_room = (number % 7, number);
            ensure(
                last_number.is_none_or(|(room, last)| room != by_room.0 || last < by_room.1),
                "records of a room changed places",
            )?;
            last_number = Some(by_room);
            let Timestamp::LogAppendTime(time) = message.timestamp() else {
                return Err(format!("timestamp {:?}", message.timestamp()).into());
            };
            ensure(
                last_time <= time && time <= now_ms() + 1000,
                "append times ran backwards",
            )?;
            last_time = time;
        }
    }
    same("places read", seen, places)
}

/// Gives the record's number when all of it fits together.
fn check_record(message: &impl Message) -> Result<usize, Failure> {
    let value = std::str::from_utf8(message.payload().ok_or("no value")?)?;
    let number: usize = value.trim_start_matches("value-").parse()?;
    let key = format!("room-{}", number % 7);
    same("key", message.key(), Some(key.as_bytes()))?;
    let headers = message.headers().ok_or("no headers")?;
    same("headers", headers.count(), 2)?;
    let trace = format!("00-{number}");
    same("traceparent", headers.get(0).value, Some(trace.as_bytes()))?;
    same("header without value", headers.get(1).value, None)?;
    Ok(number)
}

async fn exact_offset(addr: &str) -> Outcome {
    let topic = fresh("exact");
    create_topic(addr, &topic, 1).await?;
    let places = send_many(&producer(addr, "lz4")?, &topic).await?;
    let last = places.last().ok_or("nothing sent")?.1;
    let reader = reader(addr)?;
    // Offsets inside of batches, too.
    for offset in [0, 1, 7, last / 2, last] {
        assign(&reader, &topic, 0, offset)?;
        same("first record", reader.recv().await?.offset(), offset)?;
    }
    Ok(())
}

async fn long_poll(addr: &str) -> Outcome {
    let topic = fresh("long-poll");
    create_topic(addr, &topic, 1).await?;
    let producer = producer(addr, "none")?;
    let reader = reader(addr)?;
    assign(&reader, &topic, 0, 0)?;
    for number in 0..20 {
        let value = number.to_string();
        let (sent, received) = tokio::join!(send(&producer, &topic, "key", &value), reader.recv());
        sent?;
        same("value", received?.payload(), Some(value.as_bytes()))?;
    }
    Ok(())
}

async fn ends(addr: &str) -> Outcome {
    let topic = fresh("ends");
    create_topic(addr, &topic, 2).await?;
    same("empty", watermarks(addr, &topic, 0).await?, (0, 0))?;
    let producer = producer(addr, "none")?;
    let mut highest = [0, 0];
    for number in 0..20 {
        let (partition, offset) =
            send(&producer, &topic, &format!("key-{number}"), "value").await?;
        highest[usize::try_from(partition)?] = offset + 1;
    }
    for partition in 0..2 {
        let found = watermarks(addr, &topic, partition).await?;
        same("ends", found, (0, highest[usize::try_from(partition)?]))?;
    }
    Ok(())
}

async fn deletes(addr: &str) -> Outcome {
    let topic = fresh("delete-records");
    create_topic(addr, &topic, 1).await?;
    let producer = producer(addr, "none")?;
    for _ in 0..10 {
        send(&producer, &topic, "key", "value").await?;
    }
    let mut upto = TopicPartitionList::new();
    upto.add_partition_offset(&topic, 0, Offset::Offset(4))?;
    admin(addr)?.delete_records(&upto, &options()).await?;
    same("ends", watermarks(addr, &topic, 0).await?, (4, 10))?;
    let reader = reader(addr)?;
    assign(&reader, &topic, 0, 4)?;
    same("first record", reader.recv().await?.offset(), 4)
}

async fn by_time(addr: &str) -> Outcome {
    let topic = fresh("by-time");
    create_topic(addr, &topic, 1).await?;
    let producer = producer(addr, "none")?;
    for _ in 0..30 {
        send(&producer, &topic, "key", "value").await?;
    }
    let reader = reader(addr)?;
    assign(&reader, &topic, 0, 0)?;
    let mut times = Vec::new();
    for _ in 0..30 {
        times.push(
            reader
                .recv()
                .await?
                .timestamp()
                .to_millis()
                .ok_or("no time")?,
        );
    }
    for wanted in [
        times[0] - 1,
        times[0],
        times[15],
        times[29],
        times[29] + 1_000_000,
    ] {
        let first = times.iter().position(|time| *time >= wanted);
        let expected = first.map_or(Offset::End, |index| Offset::Offset(index as i64));
        let topic = topic.clone();
        let found = blocking(addr, move |consumer| {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&topic, 0, Offset::Offset(wanted))?;
            let found = consumer.offsets_for_times(list, CALL)?;
            Ok(found.elements()[0].offset())
        });
        same("offset", found.await?, expected)?;
    }
    Ok(())
}

async fn out_of_range(addr: &str) -> Outcome {
    let topic = fresh("out-of-range");
    create_topic(addr, &topic, 1).await?;
    send(&producer(addr, "none")?, &topic, "key", "value").await?;
    let reader = reader(addr)?;
    assign(&reader, &topic, 0, 1000)?;
    match reader.recv().await {
        Err(KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
        )) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(message) => Err(format!("got offset {}", message.offset()).into()),
    }
}

async fn too_large(addr: &str) -> Outcome {
    let topic = fresh("too-large");
    create_topic(addr, &topic, 1).await?;
    let mut config = client(addr);
    config
        .set("enable.idempotence", "true")
        .set("message.max.bytes", "10000000")
        .set("message.timeout.ms", "30000");
    let producer: FutureProducer = config.create()?;
    let big = "x".repeat(2_000_000);
    let record = FutureRecord::to(&topic).key("key").payload(&big);
    match producer.send(record, Timeout::After(CALL)).await {
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => Ok(()),
        Err((error, _)) => Err(error.into()),
        Ok(_) => Err("two megabytes were taken".into()),
    }
}

async fn end_of_partition(addr: &str) -> Outcome {
    let topic = fresh("end");
    create_topic(addr, &topic, 1).await?;
    send(&producer(addr, "none")?, &topic, "key", "value").await?;
    let mut config = super::reader_config(addr);
    config.set("enable.partition.eof", "true");
    let reader: rdkafka::consumer::StreamConsumer = config.create()?;
    assign(&reader, &topic, 0, 0)?;
    same("record", reader.recv().await?.offset(), 0)?;
    match reader.recv().await {
        Err(KafkaError::PartitionEOF(0)) => Ok(()),
        other => Err(format!("{:?}", other.map(|message| message.offset())).into()),
    }
}
