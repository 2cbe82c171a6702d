"""Watches what each service asks of DynamoDB, and holds it against what its role in the cloud may do.

A recorder stands between one service and the store. What it saw is compared with the entry of that service in
infra/terraform/modules/compute/services.tf: a request outside it would be refused on AWS and nowhere else. The tables that
the operator makes are compared with those of infra/terraform/modules/dynamodb, which is what there is in the cloud.
"""

import http.client
import http.server
import json
import pathlib
import threading

import hcl2
from asking import until

MODULES = pathlib.Path(__file__).resolve().parents[1] / "terraform/modules"
SERVICES = MODULES / "compute/services.tf"
TABLES = MODULES / "dynamodb/main.tf"
# What a transaction's parts need: the rights of the single requests.
PARTS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}
ANSWER_LIMIT_S = 30
# Rights for what does not come about in a run of everything that goes well.
SELDOM = {
    "gateway": {
        # Old messages are shown with their changes by the store alone where neither a fanout nor the cache has them.
        ("Query", "patches"),
        ("Query", "reactions"),
    },
    # A message goes with a file only once that is in S3, which is not there in that run.
    "persister": {("UpdateItem", "attachments")},
}
# The first fanout that numbers a partition reads its rooms' rows; the other one may find the numbering in the cache.
for _fanout in ("fanout-a", "fanout-b"):
    SELDOM[_fanout] = {("BatchGetItem", "rooms"), ("Query", "rooms/by_partition")}


def services():
    """The services' entries by name."""
    with SERVICES.open() as file:
        variables = hcl2.load(file)["variable"]
    return plain(next(value for one in variables for key, value in one.items() if plain(key) == "services")["default"])


def granted():
    """By service: the pairs of action and table, a table with an index as `table/index`."""
    return {
        name: {(action, table) for table, actions in service.get("tables", {}).items() for action in actions}
        | {("Query", f"{table}/{index}") for table, indexes in service.get("indexes", {}).items() for index in indexes}
        for name, service in services().items()
    }


def tables_in_the_cloud():
    """By table: its keys with their types, its indexes with what they hold, and what its rows expire by."""
    with TABLES.open() as file:
        told = next(plain(one["tables"]) for one in hcl2.load(file)["locals"] if "tables" in one)
    return {
        name: {
            "keys": keys(table),
            "types": table["keys"],
            "indexes": {
                index: (keys(one), sorted(one["includes"])) for index, one in table.get("indexes", {}).items()
            },
            "expiry": table.get("expiry"),
        }
        for name, table in told.items()
    }


def keys(told):
    return [key for key in (told["hash"], told.get("range")) if key]


def table_asked_for(body):
    """The same of a request for a table, but for the expiry, which is asked for later."""
    return {
        "keys": [key["AttributeName"] for key in body["KeySchema"]],
        "types": {key["AttributeName"]: key["AttributeType"] for key in body["AttributeDefinitions"]},
        "indexes": {
            index["IndexName"]: (
                [key["AttributeName"] for key in index["KeySchema"]], sorted(index["Projection"].get("NonKeyAttributes", [])),
            )
            for index in body.get("GlobalSecondaryIndexes", [])
        },
        "expiry": None,
    }


def plain(value):
    """Without the quotes that the parser keeps around strings."""
    if isinstance(value, dict):
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value.strip('"') if isinstance(value, str) else value


def asked(action, body, prefix):
    """The rights that a request needs."""
    if action.startswith("Transact"):
        for item in body["TransactItems"]:
            for part, told in item.items():
                yield PARTS[part], told["TableName"].removeprefix(prefix)
    elif "RequestItems" in body:
        for table in body["RequestItems"]:
            yield action, table.removeprefix(prefix)
    else:
        table = body["TableName"].removeprefix(prefix)
        yield action, f"{table}/{body['IndexName']}" if "IndexName" in body else table


class Recorder:
    """Passes requests on and remembers what they were."""

    def __init__(self, store_port, prefix):
        self.seen = set()
        self.tables = {}
        note = self.note

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and content of an answer are written apart, and the second is not to wait for the first.
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                action = self.headers["x-amz-target"].split(".")[1]
                note(action, json.loads(body), prefix)
                store = http.client.HTTPConnection("127.0.0.1", store_port, timeout=ANSWER_LIMIT_S)
                store.request("POST", self.path, body, dict(self.headers))
                answer = store.getresponse()
                content = answer.read()
                store.close()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower().startswith("x-amz") or name.lower() == "content-type":
                        self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def note(self, action, body, prefix):
        self.seen.update(asked(action, body, prefix))
        if action == "CreateTable":
            self.tables[body["TableName"].removeprefix(prefix)] = table_asked_for(body)
        elif action == "UpdateTimeToLive":
            expiry = body["TimeToLiveSpecification"]["AttributeName"]
            self.tables[body["TableName"].removeprefix(prefix)]["expiry"] = expiry

    def address(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"


class Server(http.server.ThreadingHTTPServer):
    # Connections that wait to be taken: what is turned away here would count as the store's failure.
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_):
        """At the end the store goes before those who ask it."""


def check(recorders):
    """Each service did nothing its role would refuse, and its role allows nothing else; returns how many things they did."""
    may = granted()
    for name, recorder in recorders.items():
        refused = recorder.seen - may[name]
        assert not refused, f"AWS would refuse {name}: {sorted(refused)}; see {SERVICES}"
    try:
        # What is asked beside an answer may come after it.
        until("every right to be needed", lambda: not unused(may, recorders))
    except AssertionError as late:
        raise AssertionError(f"rights that nobody needed: {unused(may, recorders)}; see {SERVICES}, or SELDOM here") from late
    made, cloud = recorders["operator"].tables, tables_in_the_cloud()
    differing = {name: (made.get(name), cloud.get(name)) for name in made | cloud if made.get(name) != cloud.get(name)}
    assert not differing, f"tables differ from those in {TABLES}: {differing}"
    return sum(len(recorder.seen) for recorder in recorders.values())


def unused(may, recorders):
    """What a role may, nothing seen here needed, and is not for a case that seldom comes."""
    left = {name: may[name] - recorder.seen - SELDOM.get(name, set()) for name, recorder in recorders.items()}
    return {name: sorted(rights) for name, rights in left.items() if rights}
