"""Questions to what runs on this machine, and waiting for their answers."""

import json
import time
import urllib.error
import urllib.request

# A cold Java machine on two busy cores.
START_LIMIT_S = 120
# Questions never go by a proxy of the machine's.
WEB = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def until(what, condition, limit_s=START_LIMIT_S):
    """Waits on a condition, with a deadline."""
    deadline = time.monotonic() + limit_s
    last = None
    while time.monotonic() < deadline:
        try:
            if found := condition():
                return found
        except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"waited {limit_s} s for {what}; {last or ''}")


def ask_text(url, token=None, body=None, method=None):
    headers = {"content-type": "application/json", "accept": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    try:
        with WEB.open(urllib.request.Request(url, data, headers, method=method), timeout=10) as answer:
            return answer.read().decode() or "{}"
    except urllib.error.HTTPError as error:
        error.msg = f"{error.msg}: {url}: {error.read().decode(errors='replace')}"
        raise


def ask(url, token=None, body=None, method=None):
    return json.loads(ask_text(url, token, body, method))


def say(text):
    print(text, flush=True)
