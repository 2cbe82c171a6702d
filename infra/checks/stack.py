"""Starts docker-compose.kafka.yml without docker: the same programs with the very settings of that file.

Each service of the file gets an address of its own in 127.0.0.0/8, as it would get one from docker, and names become
addresses wherever they stand: in variables, arguments and the files that are mounted. What is not to be had without
docker (Grafana, the collector) stays out; its files are checked elsewhere.

    stack.py ROOMLOG_PROGRAM TOOLS_FOLDER
"""

import base64
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request

import people
import permissions
import yaml
from asking import START_LIMIT_S, ask, ask_text, say, until

SOURCES = pathlib.Path(__file__).resolve().parents[2]
# Longer than any drain in the file, and than the program's own patience with it.
STOP_LIMIT_S = 120
LISTENS_EVERYWHERE = "dynamodb"


def main():
    program, tools = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    with tempfile.TemporaryDirectory(prefix="roomlog-stack-") as folder:
        stack = Stack(program, tools, pathlib.Path(folder))
        try:
            play(stack)
        except BaseException:
            stack.show_ends()
            raise
        finally:
            stack.kill_all()


def play(stack):
    stack.start_servers()
    for job in ("tables", "topics"):
        stack.run_job(job)
        say(f"{job} are made")
    services = [*stack.named("fanout-"), "persister", *stack.named("gateway-")]
    for name in services:
        stack.start_service(name)
    for name in services:
        stack.wait_for_line(name, "READY ")
    say(f"ready: {', '.join(services)}")
    for name in services:
        until(f"{name} to say that it can serve", lambda: stack.run_health_check(name))
    say("every health check of the image says so")
    front = stack.start_proxy()
    room, reader = chat(stack, front)
    figures_name_nobody(stack, services, room)
    figures(stack, services)
    succeed(stack, services)
    people.read_again(stack, room, reader)
    asked = permissions.check(stack.recorders)
    say(f"what was asked of the store, {asked} kinds of request, the roles in the cloud allow, and they allow no more")
    say("the tables are those that Terraform makes")
    for name in services:
        stack.stop(name)
    say("every service drains and ends well")


def succeed(stack, services):
    """Room events move to another topic as docs/operations.md says, and the fanouts find the rooms in the store."""
    gateways = [name for name in services if name.startswith("gateway-")]
    readers = [name for name in services if name not in gateways]
    for name in gateways:
        stack.stop(name)
    told = stack.run_job("topics", "topics", "succeed", "--name", "chat.events.v2", "--partitions", "5")
    assert '"opened":true' in told, told
    for name in readers:
        stack.stop(name)
    for name in services:
        stack.start_service(name)
    for name in services:
        stack.wait_for_line(name, "READY ")
    say("events go over to a successor of their topic")


def chat(stack, front):
    """One person writes through the proxy, another reads at the second gateway, and the store has it."""
    second = f"http://{stack.address('gateway-2')}:8080"
    writer, reader = (people.guest(front, name) for name in ("Ann", "Ben"))
    room = ask(f"{front}/api/v1/rooms", writer, {"name": "stack", "kind": "group", "public": True})["room"]["id"]
    ask(f"{second}/api/v1/rooms/{room}/join", reader, {})
    send = ["send", "--url", front, "--token", writer, "--id", "hello", room, "hello from the stack"]
    # Sent again under its id where it is late to come back.
    sent = until("the message to come back", lambda: json.loads(stack.run_tool(*send)).get("seq"))
    # From the room's first event to this one.
    tail = ["tail", "--url", front, "--token", reader, room, "--since", "0", "--count", str(sent)]
    shown = until("the message on a WebSocket", lambda: stack.run_tool(*tail)).splitlines()
    assert json.loads(shown[-1]).get("text") == "hello from the stack", shown
    texts = until("the message at the other gateway", lambda: [
        item.get("text") for item in ask(f"{second}/api/v1/rooms/{room}/messages", reader)["items"]
    ])
    assert texts == ["hello from the stack"], texts
    say("a message sent through the proxy is seen on a WebSocket through it, and read at the other gateway")
    session = people.use_everything(front, second, room, writer, reader)
    people.meet(stack, front, second, room, writer)
    people.look_at_lists(stack, front, session)
    return room, reader


def figures_name_nobody(stack, services, room):
    """No figure bears the id of a room or a user: their number has no bound."""
    for name in services:
        told = ask_text(f"http://{stack.address(name)}:9464/metrics")
        assert "roomlog_" in told, told
        found = re.search(rf"{room}|\b(guest|u|f)-[0-9a-f]{{32}}", told)
        assert not found, f"{name} counts by {found[0]}"
    say("no figure names a room or a user")


def figures(stack, services):
    if not shutil.which("prometheus"):
        return say("not run: prometheus is not installed")
    asked = stack.start_prometheus()

    def all_up():
        found = query(asked, "up")
        return len(found) == len(services) and all(value == 1 for value in found.values())

    until("Prometheus to reach every service", all_up)
    until("the message's delivery among the figures", lambda: query(asked, "sum(roomlog_fanout_forwarded_events_total)"))
    rules = ask(f"{asked}/api/v1/rules")["data"]["groups"]
    states = {rule["name"]: rule["health"] for group in rules for rule in group["rules"]}
    until("every rule to be computed", lambda: all(
        rule["health"] == "ok" for group in ask(f"{asked}/api/v1/rules")["data"]["groups"] for rule in group["rules"]
    ))

    def none_rings():
        alarms = ask(f"{asked}/api/v1/alerts")["data"]["alerts"]
        return all(alarm["state"] != "firing" for alarm in alarms)

    # One that rang while a busy machine was still starting ends by itself.
    until("every alarm to be silent", none_rings)
    return say(f"Prometheus reaches {len(services)} services, computes {len(states)} rules, and none rings")


def query(asked, expression):
    answer = ask(f"{asked}/api/v1/query?query={urllib.request.quote(expression)}")
    return {json.dumps(row["metric"]): float(row["value"][1]) for row in answer["data"]["result"]}


class Stack:
    """The services of the file as processes."""

    def __init__(self, program, tools, folder):
        text = (SOURCES / "docker-compose.kafka.yml").read_text()
        self.file = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))
        self.program, self.tools, self.folder = program, tools, folder
        self.processes = {}
        self.recorders = {}
        # Runs side by side take different networks.
        network = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 250}"
        self.addresses = {name: f"{network}.{at}" for at, name in enumerate(self.file["services"], 10)}
        self.free_port = free_port()

    def address(self, name):
        return self.addresses[name]

    def named(self, start):
        return [name for name in self.file["services"] if name.startswith(start)]

    def placed(self, text, own):
        """Names become addresses where a port follows them; every address is the service's own."""
        text = str(text).replace(f"{LISTENS_EVERYWHERE}:8000", f"127.0.0.1:{self.free_port}")
        names = "|".join(sorted(self.addresses, key=len, reverse=True))
        text = re.sub(rf"(?<![\w.-])({names})(?=:\d)", lambda found: self.addresses[found[1]], text)
        return text.replace("0.0.0.0", self.addresses[own])

    def settings(self, name):
        told = self.file["services"][name].get("environment", {})
        return {key: self.placed(value, name) for key, value in told.items()}

    def command(self, name):
        return [self.placed(argument, name) for argument in self.file["services"][name]["command"]]

    def mounted(self, name, target):
        """A copy of the file that is mounted there, with names placed."""
        for volume in self.file["services"][name]["volumes"]:
            source, place = volume.split(":")[:2]
            if place == target:
                copy = self.folder / pathlib.Path(source).name
                copy.write_text(self.placed((SOURCES / source).read_text(), name))
                return copy
        raise AssertionError(f"{name}: nothing is mounted at {target}")

    def start(self, name, command, variables=None):
        kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        with open(self.folder / f"{name}.log", "wb") as log:
            self.processes[name] = subprocess.Popen(
                command, cwd=self.folder, env={**kept, **(variables or {})}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )

    # --- servers ---

    def start_servers(self):
        for name in self.named("kafka-"):
            self.start_broker(name)
        jar, *arguments = self.command("dynamodb")[1:]
        assert jar == "DynamoDBLocal.jar", jar
        arguments[arguments.index("-port") + 1] = str(self.free_port)
        self.start("dynamodb", [
            "java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{self.tools}/dynamodb/libs/*",
            "software.amazon.dynamodb.services.local.main.ServerRunner", *arguments,
        ])
        server, *arguments = self.command("cache")
        assert server == "valkey-server", server
        self.start("cache", ["redis-server", "--bind", self.address("cache"), *arguments])
        self.start("registry", [
            "java", "-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dquarkus.http.host={self.address('registry')}",
            "-jar", str(next((self.tools / "registry").glob("*-runner.jar"))),
        ], self.settings("registry"))
        for name in self.named("kafka-"):
            self.wait_for_line(name, "Kafka Server started")
            self.wait_for_port(name, self.address(name), 9092)
        self.wait_for_port("dynamodb", "127.0.0.1", self.free_port)
        self.wait_for_port("cache", self.address("cache"), 6379)
        until("the registry to be ready", lambda: ask_text(f"http://{self.address('registry')}:8080/health/ready"))
        say("three brokers, a registry, DynamoDB Local and a cache run")

    def start_broker(self, name):
        """As the image does: a variable KAFKA_A_B is the property a.b, and the log is formatted first."""
        told = self.settings(name)
        properties = {
            key.removeprefix("KAFKA_").lower().replace("_", "."): value
            for key, value in told.items()
            if key.startswith("KAFKA_") and key != "KAFKA_HEAP_OPTS"
        }
        kept = {volume.split(":")[1] for volume in self.file["services"][name]["volumes"]}
        assert properties["log.dirs"] in kept, f"{name}: the log is gone with the container"
        # Controllers and hosts are named with a scheme before them, which `placed` sees as well.
        log = self.folder / name
        log.mkdir()
        directory = base64.urlsafe_b64encode(f"roomlog-node-{int(properties['node.id']):03}".encode())
        properties["log.dirs"] = str(log)
        (log / "meta.properties").write_text(
            f"version=1\ncluster.id={told['CLUSTER_ID']}\nnode.id={properties['node.id']}\n"
            f"directory.id={directory.decode().rstrip('=')}\n"
        )
        file = self.folder / f"{name}.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        archive = self.tools / "kafka" / "classes.jsa"
        self.start(name, [
            "java", told["KAFKA_HEAP_OPTS"], "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
            f"-XX:SharedArchiveFile={archive}", f"-Dlog4j2.configurationFile={SOURCES}/tests/servers/kafka/log4j2.xml",
            "-cp", f"{self.tools}/kafka/libs/*", "kafka.Kafka", str(file),
        ])

    # --- Roomlog ---

    def start_service(self, name, *command):
        settings = self.settings(name)
        if name.startswith("gateway-"):
            # Addresses of files are signed and never asked at here.
            settings |= {"ROOMLOG_S3_BUCKET": "files", "ROOMLOG_S3_ACCESS_KEY": "id", "ROOMLOG_S3_SECRET_KEY": "secret"}
        role = {"topics": "operator", "tables": "operator"}.get(name, re.sub(r"-\d+$", "", name))
        if role not in self.recorders:
            self.recorders[role] = permissions.Recorder(self.free_port, settings["ROOMLOG_TABLE_PREFIX"])
        assert settings["ROOMLOG_DYNAMODB_ENDPOINT"] == f"http://127.0.0.1:{self.free_port}", settings
        settings["ROOMLOG_DYNAMODB_ENDPOINT"] = self.recorders[role].address()
        self.start(name, [str(self.program), *(command or self.command(name))], settings)

    def run_job(self, name, *command):
        """Runs a job of the file, or another command with its settings; what it said.

        One that gives up is run again, as an orchestrator does: it finds what was done before.
        """
        def ends_well():
            self.start_service(name, *command)
            return self.processes[name].wait(START_LIMIT_S) == 0

        until(f"{name} to end well", ends_well)
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def run_health_check(self, name):
        return subprocess.run(
            [self.program, "health"], env={**os.environ, **self.settings(name)}, check=True, stdout=subprocess.DEVNULL
        )

    def run_tool(self, *arguments, **variables):
        return subprocess.run(
            [self.program, *arguments], check=True, timeout=START_LIMIT_S, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **variables},
        ).stdout

    # --- around it ---

    def start_proxy(self):
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if not nginx:
            say("not run: nginx is not installed; the first gateway stands for the proxy")
            return f"http://{self.address('gateway-1')}:8080"
        file = self.mounted("proxy", "/etc/nginx/nginx.conf")
        text = file.read_text().replace("/tmp/", f"{self.folder}/")
        file.write_text(text.replace("listen 8080", f"listen {self.address('proxy')}:8080"))
        self.start("proxy", [nginx, "-c", str(file), "-e", "stderr", "-g", "daemon off;"])
        self.wait_for_port("proxy", self.address("proxy"), 8080)
        return f"http://{self.address('proxy')}:8080"

    def start_prometheus(self):
        file = self.mounted("prometheus", "/etc/prometheus/prometheus.yml")
        self.mounted("prometheus", "/etc/prometheus/alerts.yml")
        at = f"{self.address('prometheus')}:9090"
        places = {"/etc/prometheus/prometheus.yml": str(file), "=/prometheus": f"={self.folder}/prometheus"}
        arguments = self.command("prometheus")
        for place, own in places.items():
            arguments = [argument.replace(place, own) for argument in arguments]
        self.start("prometheus", ["prometheus", *arguments, f"--web.listen-address={at}"])
        self.wait_for_port("prometheus", self.address("prometheus"), 9090)
        until("Prometheus to be ready", lambda: ask_text(f"http://{at}/-/ready"))
        return f"http://{at}"

    # --- waiting and ending ---

    def is_running(self, name):
        code = self.processes[name].poll()
        assert code is None, f"{name} ended with {code}"

    def wait_for_line(self, name, text):
        def said():
            self.is_running(name)
            return text in (self.folder / f"{name}.log").read_text(errors="replace")

        until(f"{name} to say {text!r}", said)

    def wait_for_port(self, name, address, port):
        def answers():
            self.is_running(name)
            with socket.socket() as probe:
                probe.settimeout(1)
                return probe.connect_ex((address, port)) == 0

        until(f"{name} at {address}:{port}", answers)

    def stop(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        code = process.wait(STOP_LIMIT_S)
        assert code == 0, f"{name} ended with {code} after SIGTERM"

    def kill_all(self):
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def show_ends(self):
        for log in sorted(self.folder.glob("*.log")):
            lines = log.read_text(errors="replace").splitlines()[-15:]
            print(f"--- {log.name}", *lines, sep="\n", file=sys.stderr)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    main()
