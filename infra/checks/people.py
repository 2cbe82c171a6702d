"""What people do with the service, so that each thing it asks of a store has been asked once."""

import re

from asking import ask, ask_text, fresh_key, post, say, until


def use_everything(front, second, room, writer, reader):
    """Whatever asks something of a table, once, so that the roles in the cloud can be held against it.

    Answers the tokens of somebody who was named in a message and has read it.
    """
    api, messages = f"{front}/api/v1", f"{front}/api/v1/rooms/{room}/messages"
    person = {"login": "cleo", "password": "a long enough password", "name": "Cleo"}
    signed_up = ask(f"{api}/auth/signup", None, person)
    signed_in = ask(f"{second}/api/v1/auth/login", None, person)
    renewed = ask(f"{api}/auth/refresh", None, {"refresh_token": signed_in["refresh_token"]})
    cleo, cleos = signed_up["user"]["id"], renewed["access_token"]
    ask(f"{api}/rooms/{room}/members/{cleo}", writer, {}, "PUT")
    ask(f"{api}/rooms/{room}/join", cleos, {})
    told = post(messages, writer, {"text": "first", "mentions": [cleo]})
    ask(f"{messages}/{told}", writer, {"text": "better"}, "PATCH")
    ask(f"{messages}/{told}/reactions/%F0%9F%91%8D", reader, {}, "PUT")
    gone = post(messages, writer, {"text": "mistaken"})
    ask(f"{messages}/{gone}", writer, None, "DELETE")
    ask(f"{api}/dm/{cleo}", reader, {})

    def folded():
        items = {item["seq"]: item for item in ask(f"{second}/api/v1/rooms/{room}/messages", cleos)["items"]}
        return {told, gone} <= set(items) and (
            items[told].get("text") == "better" and items[told]["reactions"] and items[gone].get("deleted")
        )

    until("the edit, the reaction and the deletion in history", folded)
    # At the gateway that has shown it, as nobody reads further than a gateway has heard.
    assert ask(f"{second}/api/v1/rooms/{room}/read", cleos, {"seq": told})["seq"] == told
    ask(f"{api}/rooms/{room}/notifications", cleos, {"level": "mentions"}, "PUT")
    for path in ("rooms?public=true", f"rooms/{room}", f"rooms/{room}/members", f"rooms/{room}/notifications", "me"):
        ask(f"{api}/{path}", cleos)
    ask(f"{api}/presence/query", reader, {"users": [cleo]})
    say("accounts, changed messages, read marks and direct rooms work")
    return renewed


def meet(stack, front, second, room, writer):
    """People find each other, rename themselves, become friends and part; files are granted; notices reach everybody."""
    api = f"{front}/api/v1"
    people = [{"login": name, "password": "a long enough password", "name": name.title()} for name in ("dora", "emil")]
    (dora, doras), (emil, emils) = (
        (told["user"]["id"], told["access_token"]) for told in (ask(f"{api}/auth/signup", None, person) for person in people)
    )
    ask(f"{api}/me", doras, {"name": "Theodora", "locale": "de"}, "PATCH")
    until("the new name to be found", lambda: [
        person["id"] for person in ask(f"{second}/api/v1/users?q=theo", emils)["items"]
    ] == [dora])
    ask(f"{api}/users/{dora}", emils)
    ask(f"{api}/friends/{emil}", doras, {}, "PUT")
    assert ask(f"{second}/api/v1/friends/{dora}", emils, {}, "PUT")["state"] == "friends"
    assert [friend["user"]["id"] for friend in ask(f"{api}/friends", doras)["items"]] == [emil]
    ask_text(f"{api}/friends/{emil}", doras, None, "DELETE")
    # What a file is to be is noted when it is granted; the file itself never passes through a gateway.
    file = ask(f"{api}/rooms/{room}/attachments", writer, {"name": "a.txt", "type": "text/plain", "size": 3})["attachment"]
    ask(f"{second}/api/v1/attachments/{file['id']}", writer)
    ask(f"{api}/rooms/{room}/notices", writer, {"text": "to the room"})
    # A room's last message is traced by the room's row, an earlier one by its own.
    followed = [ask(f"{second}/api/v1/rooms/{room}/messages", writer, {"text": text})["id"] for text in ("followed", "last")]
    for sent in reversed(followed):
        until("the trace to end in the store", lambda: ask(f"{second}/api/v1/trace/{sent}", writer).get("persisted_ms"))
    tell_everybody(stack, api, f"{second}/api/v1", emils)
    # Where the inbox was just shown.
    ask(f"{second}/api/v1/inbox/read", emils, {"seq": 1})
    ask_text(f"{api}/devices/phone", doras, {}, "PUT")
    # Her devices go with her sign-ins.
    ask_text(f"{api}/auth/logout", doras, {"everywhere": True})
    say("people find each other, become friends and part; files are granted, and notices arrive")


def tell_everybody(stack, api, second, reader):
    secret = stack.settings("gateway-1")["ROOMLOG_JWT_SECRET"]
    admin = stack.run_tool("token", "--user", "root", "--role", "admin", ROOMLOG_JWT_SECRET=secret).strip()
    key = fresh_key()

    def told():
        # One that stops on its way begins again under its id, and comes once.
        ask(f"{api}/notices", admin, {"text": "to everybody"}, key=key)
        return any(item.get("text") == "to everybody" for item in ask(f"{second}/inbox", reader)["items"])

    until("the notice to everybody", told)


def look_at_lists(stack, front, session):
    """The list of somebody all of whose doings are stored: mentions that are read go with the first look at it."""
    persister = f"http://{stack.address('persister')}:9464/metrics"
    stored = re.compile(r"^roomlog_persister_reads_stored_total [1-9]", re.MULTILINE)
    until("the read mark to be stored", lambda: stored.search(ask_text(persister)))
    ask(f"{front}/api/v1/rooms", session["access_token"])
    ask_text(f"{front}/api/v1/auth/logout", session["access_token"], {"refresh_token": session["refresh_token"]})
    say("a list of rooms is read, and a sign-out works")


def guest(front, name):
    return ask(f"{front}/api/v1/auth/guest", None, {"name": name})["access_token"]


def read_again(stack, room, reader):
    """What was said before the succession is in the store, with what was done to it since."""
    messages = f"http://{stack.address('gateway-1')}:8080/api/v1/rooms/{room}/messages"
    items = until("history after the succession", lambda: ask(messages, reader)["items"])
    texts = [item.get("text") for item in items]
    assert "hello from the stack" in texts and "better" in texts, texts
    ask(messages, reader, {"text": "hello from the successor"})
