"""stomp.py, unchanged, against a running gateway: signs in, is receipted, chats in order, replays, acknowledges,
changes messages, shows who types and looks, lists rooms, beats, is refused.

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


    def until(self, subscription, fits):
        """The body of the next MESSAGE of a subscription that fits; others may come before it."""
        while True:
            frame = self.next("MESSAGE")
            body = json.loads(frame.body)
            if frame.headers["subscription"] == subscription and fits(body):
                return body


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


def history_and_every_ack_mode(http, bob, room):
    reader, seen = connect(http, bob)
    seen.next("CONNECTED")
    for mode in ("auto", "client", "client-individual"):
        reader.subscribe(f"/topic/rooms/{room}", id=mode, ack=mode, headers={"history": "3"})
        last = [seen.next("MESSAGE") for _ in range(3)]
        assert [json.loads(message.body)["text"] for message in last] == [f"post {POSTS - 3 + n}" for n in range(3)]
        assert all(("ack" in message.headers) == (mode != "auto") for message in last), last[0].headers
        for message in last if mode != "auto" else []:
            for answer in (reader.nack, reader.ack):
                answer(message.headers["ack"], receipt="answered")
                assert seen.next("RECEIPT").headers["receipt-id"] == "answered"
        reader.unsubscribe(mode)
    reader.disconnect()


def messages_are_changed(http, alice, bob, room):
    reader, seen = connect(http, bob)
    seen.next("CONNECTED")
    reader.subscribe(f"/topic/rooms/{room}", id="live", headers={"receipt": "subscribed"})
    seen.next("RECEIPT")
    writer, answers = connect(http, alice)
    answers.next("CONNECTED")
    writer.send(f"/app/rooms/{room}", "frist")
    target = int(seen.next("MESSAGE").headers["seq"])
    for verb, change, shown in (
        ("edit", {"text": "first"}, "edit"),
        ("react", {"emoji": "\N{THUMBS UP SIGN}", "on": True}, "reaction"),
        ("delete", {}, "delete"),
    ):
        change = {"target": target, **change}
        headers = {"receipt": verb}
        writer.send(f"/app/rooms/{room}/{verb}", json.dumps(change), content_type="application/json", headers=headers)
        assert answers.next("RECEIPT").headers["receipt-id"] == verb
        message = seen.next("MESSAGE")
        body = json.loads(message.body)
        assert message.headers["type"] == shown and change.items() <= body.items(), body
    writer.disconnect()
    reader.disconnect()


def signals_and_rooms_are_live(http, alice, bob, room):
    listener, seen = connect(http, alice)
    seen.next("CONNECTED")
    other, signs = connect(http, bob)
    name = signs.next("CONNECTED").headers["user-name"]
    listener.subscribe(f"/topic/rooms/{room}/signals", id="signals")
    seen.until("signals", lambda body: body["type"] == "snapshot")
    for verb, fits in (
        ("typing", lambda body: body == {"type": "typing", "user": name, "on": True}),
        ("focus", lambda body: body["type"] == "viewers" and name in body["users"]),
        ("unfocus", lambda body: body["type"] == "viewers" and name not in body["users"]),
    ):
        other.send(f"/app/rooms/{room}/{verb}", "")
        seen.until("signals", fits)
    other.subscribe("/user/queue/rooms", id="rooms")
    rooms = signs.until("rooms", lambda body: body["type"] == "snapshot")["rooms"]
    assert any(shown["room"] == room for shown in rooms), rooms
    listener.send(f"/app/rooms/{room}", "news")
    signs.until("rooms", lambda body: body.get("room") == room and (body.get("last") or {}).get("text") == "news")
    listener.disconnect()
    other.disconnect()


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
    history_and_every_ack_mode(http, bob, room)
    print("ok: history, and every way to acknowledge")
    messages_are_changed(http, alice, bob, room)
    print("ok: messages are edited, reacted to and deleted")
    signals_and_rooms_are_live(http, alice, bob, room)
    print("ok: typing, looking and the list of rooms are live")
    both_sides_beat(http, alice)
    print("ok: heart-beats both ways")
    refusals_are_errors(http, alice, expired, room)
    print("ok: refusals are ERROR frames with a code")


if __name__ == "__main__":
    main()
