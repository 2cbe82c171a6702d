"""stomp.py, unchanged, against a running gateway: signs in, is receipted, chats in order, replays, beats, is refused.

    stomp_py.py HTTP ALICE_TOKEN BOB_TOKEN EXPIRED_TOKEN ROOM

Ends with exit code 0 when everything was as it should be, and otherwise says what was not.
"""

import json
import queue
import sys
import time
from urllib.parse import urlparse

import stomp

DEADLINE_S = 30
POSTS = 20


class Inbox(stomp.ConnectionListener):
    """Keeps every frame the server sends."""

    def __init__(self):
        self.frames = queue.Queue()
        self.beats = 0

    def on_connected(self, frame):
        self.frames.put(("CONNECTED", frame))

    def on_message(self, frame):
        self.frames.put(("MESSAGE", frame))

    def on_receipt(self, frame):
        self.frames.put(("RECEIPT", frame))

    def on_error(self, frame):
        self.frames.put(("ERROR", frame))

    def on_heartbeat(self):
        self.beats += 1

    def next(self, command):
        """The next frame, which must be this one."""
        got, frame = self.frames.get(timeout=DEADLINE_S)
        assert got == command, f"expected {command}, got {got}: {frame.headers} {frame.body}"
        return frame


def connect(http, token, heartbeats=(0, 0)):
    address = urlparse(http)
    connection = stomp.WSStompConnection(
        [(address.hostname, address.port)],
        ws_path="/ws",
        heartbeats=heartbeats,
        reconnect_attempts_max=1,
    )
    inbox = Inbox()
    connection.set_listener("inbox", inbox)
    connection.connect(wait=False, headers={"Authorization": f"Bearer {token}", "host": address.hostname})
    return connection, inbox


def posts_arrive_in_order(http, alice, bob, room):
    reader, seen = connect(http, bob)
    seen.next("CONNECTED")
    reader.subscribe(f"/topic/rooms/{room}", id="live", ack="auto", headers={"receipt": "subscribed"})
    head = int(seen.next("RECEIPT").headers["head"])
    writer, acknowledged = connect(http, alice)
    acknowledged.next("CONNECTED")
    for number in range(POSTS):
        writer.send(f"/app/rooms/{room}", f"post {number}", content_type="text/plain", headers={"receipt": f"r{number}"})
    receipts = [acknowledged.next("RECEIPT").headers["receipt-id"] for _ in range(POSTS)]
    assert receipts == [f"r{number}" for number in range(POSTS)], receipts
    for number in range(POSTS):
        message = seen.next("MESSAGE")
        body = json.loads(message.body)
        assert int(message.headers["seq"]) == head + 1 + number, message.headers
        assert body["text"] == f"post {number}", body
    writer.disconnect(receipt="bye")
    assert acknowledged.next("RECEIPT").headers["receipt-id"] == "bye"
    reader.disconnect()
    return head


def history_is_replayed(http, bob, room, head):
    reader, seen = connect(http, bob)
    seen.next("CONNECTED")
    reader.subscribe(f"/topic/rooms/{room}", id="again", ack="client", headers={"since": str(head)})
    for number in range(POSTS):
        message = seen.next("MESSAGE")
        assert message.headers["replay"] == "true" and int(message.headers["seq"]) == head + 1 + number, message.headers
    reader.ack(message.headers["ack"], receipt="acked")
    assert seen.next("RECEIPT").headers["receipt-id"] == "acked"
    reader.disconnect()


def both_sides_beat(http, alice):
    connection, inbox = connect(http, alice, heartbeats=(1000, 1000))
    assert inbox.next("CONNECTED").headers["heart-beat"] == "1000,1000"
    deadline = time.monotonic() + DEADLINE_S
    while inbox.beats < 3:
        assert time.monotonic() < deadline, "the server does not beat"
        assert connection.is_connected(), "closed although it beats"
        time.sleep(0.05)
    connection.disconnect()


def refusals_are_errors(http, alice, expired, room):
    connection, inbox = connect(http, expired)
    assert inbox.next("ERROR").headers["code"] == "token-expired"
    connection, inbox = connect(http, alice)
    inbox.next("CONNECTED")
    connection.send("/app/rooms/no-such-room", "x")
    assert inbox.next("ERROR").headers["code"] == "not-found"


def main():
    http, alice, bob, expired, room = sys.argv[1:]
    head = posts_arrive_in_order(http, alice, bob, room)
    print("ok: posts arrive in order, each with its receipt")
    history_is_replayed(http, bob, room, head)
    print("ok: since replays what was missed")
    both_sides_beat(http, alice)
    print("ok: heart-beats both ways")
    refusals_are_errors(http, alice, expired, room)
    print("ok: refusals are ERROR frames with a code")


if __name__ == "__main__":
    main()
