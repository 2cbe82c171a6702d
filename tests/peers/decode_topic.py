"""A data engineer's consumer: confluent-kafka and fastavro decode every record of the topic with the schemas of schemas/golden alone.

    decode_topic.py BROKERS SCHEMAS_FOLDER ROOM SENDER TEXT...

Checks the framing, key and headers of every record, and that the room holds exactly these texts of the sender, in order.
"""

import io
import json
import pathlib
import struct
import sys

import fastavro
from confluent_kafka import Consumer, TopicPartition

TOPIC = "chat.events.v1"
DEADLINE_S = 30
HEADERS = {"id", "sender", "type", "origin", "ce_specversion", "ce_id", "ce_type", "ce_source"}


def schemas_by_id(folder):
    """What the registry would answer: the schema of each id."""
    schemas = {}
    for subject, versions in json.loads((folder / "ids.json").read_text()).items():
        for version in versions:
            written = folder / "golden" / f"{subject}.{version['version']}.avsc"
            schemas[version["id"]] = fastavro.parse_schema(json.loads(written.read_text()))
    return schemas


def records(brokers):
    """Every record between the beginning and the end as of now."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "decoder", "enable.auto.commit": False})
    partitions = consumer.list_topics(TOPIC, timeout=DEADLINE_S).topics[TOPIC].partitions
    for partition in sorted(partitions):
        low, high = consumer.get_watermark_offsets(TopicPartition(TOPIC, partition), timeout=DEADLINE_S)
        consumer.assign([TopicPartition(TOPIC, partition, low)])
        offset = low
        while offset < high:
            record = consumer.poll(DEADLINE_S)
            assert record is not None, f"nothing after offset {offset} of partition {partition}"
            assert record.error() is None, record.error()
            offset = record.offset() + 1
            yield record
    consumer.close()


def decode(value, schemas):
    magic, schema_id = struct.unpack(">bI", value[:5])
    assert magic == 0, f"magic byte {magic}"
    body = io.BytesIO(value[5:])
    event = fastavro.schemaless_reader(body, schemas[schema_id])
    assert body.read() == b"", "bytes after the value"
    return event


def main():
    brokers, folder, room, sender, *expected = sys.argv[1:]
    schemas = schemas_by_id(pathlib.Path(folder))
    decoded, texts = 0, []
    for record in records(brokers):
        event = decode(record.value(), schemas)
        headers = {name: value.decode() for name, value in record.headers()}
        assert HEADERS <= headers.keys(), f"missing headers: {HEADERS - headers.keys()}"
        assert record.key().decode() == event["room"], (record.key(), event["room"])
        assert (headers["id"], headers["sender"], headers["type"]) == (event["id"], event["sender"]["id"], event["type"])
        decoded += 1
        if event["room"] == room and event["type"] == "message" and event["sender"]["id"] == sender:
            texts.append(event["message"]["text"])
            assert event["headers"] == [{"name": "x-own", "value": "kept"}], event["headers"]
    assert texts == expected, texts
    print(f"ok: {decoded} records decoded")


if __name__ == "__main__":
    main()
