"""Questions to what runs on this machine, and waiting for their answers.

Nothing here depends on how fast the machine is: what is late is waited for, and what is turned down for now is asked
again, under the same id, until a deadline that only a run which fails comes to.
"""

import http.client
import json
import subprocess
import time
import urllib.error
import urllib.request
import uuid

# Cold Java machines on two busy cores take a quarter of it.
START_LIMIT_S = 300
# Longer than any service waits for another one before it says so.
ANSWER_LIMIT_S = 60
# Turned down for now: what another gateway did and this one has not heard of, too much at once, and what does not answer.
LATER = {403, 404, 409, 429, 502, 503, 504}
# Questions never go by a proxy of the machine's.
WEB = urllib.request.build_opener(urllib.request.ProxyHandler({}))
FAILURES = (
    urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException, subprocess.CalledProcessError,
)


def until(what, condition, limit_s=START_LIMIT_S):
    """Waits on a condition, with a deadline."""
    deadline = time.monotonic() + limit_s
    last = None
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except FAILURES as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"waited {limit_s} s for {what}; {last or ''}")


def ask_text(url, token=None, body=None, method=None, key=None):
    headers = {"content-type": "application/json", "accept": "application/json", "idempotency-key": key or fresh_key()}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()

    def answered():
        try:
            with WEB.open(urllib.request.Request(url, data, headers, method=method), timeout=ANSWER_LIMIT_S) as answer:
                return answer.read().decode() or "{}"
        except urllib.error.HTTPError as error:
            error.msg = f"{error.msg}: {url}: {error.read().decode(errors='replace')}"
            if error.code not in LATER:
                raise AssertionError(str(error)) from error
            raise

    return until(f"an answer of {url}", answered)


def ask(url, token=None, body=None, method=None, key=None):
    return json.loads(ask_text(url, token, body, method, key))


def post(messages, token, body):
    """Posts a message and answers its seq. One that is late to come back is asked for again under its id."""
    key = fresh_key()
    return until("a message to come back", lambda: ask(messages, token, body, key=key).get("seq"))


def fresh_key():
    return str(uuid.uuid4())


def say(text):
    print(text, flush=True)
