"""Plays infra/deploy/ecs against a stand-in for the aws program that remembers what was asked of it."""

import json
import os
import pathlib
import stat
import subprocess
import tempfile

SOURCES = pathlib.Path(__file__).resolve().parents[2]
IMAGE = "registry/roomlog:new"
# Services are in a file each: the task definition they run. `bad` names what does not become healthy.
AWS = r'''#!/usr/bin/env bash
printf '%s\n' "$*" >>"$STATE/calls"
value() { while [ $# -gt 1 ]; do [ "$1" = "$name" ] && { printf '%s' "$2"; return; }; shift; done; }
of() { name=$1; shift; value "$@"; }
case "$1 $2" in
"ecs describe-services") cat "$STATE/$(of --services "$@")" ;;
"ecs describe-task-definition") printf '{"family":"f-%s","revision":7,"status":"ACTIVE","containerDefinitions":[{"image":"old","environment":[]}]}' "$(of --task-definition "$@")" ;;
"ecs register-task-definition") of --cli-input-json "$@" | jq -r '.family + ":8"'; { of --cli-input-json "$@"; echo; } >>"$STATE/registered" ;;
"ecs update-service")
  # What does not become healthy is undone by ECS itself, and then rests.
  service=$(of --service "$@") wanted=$(of --task-definition "$@")
  [ "$service" = "$BAD" ] && [ "${wanted##*:}" = 8 ] || printf '%s' "$wanted" >"$STATE/$service" ;;
"ecs wait") ;;
"deploy create-deployment") echo d-1 ;;
"deploy wait") [ "$BAD" != gateway ] ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
'''


def deploy(bad):
    with tempfile.TemporaryDirectory() as folder:
        state = pathlib.Path(folder)
        aws = state / "aws"
        aws.write_text(AWS)
        aws.chmod(aws.stat().st_mode | stat.S_IXUSR)
        for service in ("persister", "fanout-a", "fanout-b"):
            (state / service).write_text(f"{service}:7")
        told = subprocess.run(
            [SOURCES / "infra/deploy/ecs", "cluster", "application", IMAGE],
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "STATE": folder, "BAD": bad},
            capture_output=True, text=True, check=False,
        )
        runs = {service: (state / service).read_text() for service in ("persister", "fanout-a", "fanout-b")}
        calls = (state / "calls").read_text().splitlines()
        registered = (state / "registered").read_text() if (state / "registered").exists() else ""
        return told, runs, calls, registered


def main():
    told, runs, calls, registered = deploy(bad="nobody")
    assert told.returncode == 0, told.stderr
    assert all(definition.endswith(":8") for definition in runs.values()), runs
    definitions = [json.loads(line) for line in registered.splitlines()]
    assert [one["containerDefinitions"][0]["image"] for one in definitions] == [IMAGE] * 4, registered
    assert all("revision" not in one and "status" not in one for one in definitions), registered
    order = [call.split("--service ")[1].split()[0] for call in calls if call.startswith("ecs update-service")]
    assert order == ["persister", "fanout-a", "fanout-b"], order
    assert calls[-1].startswith("deploy wait"), calls[-1]

    for bad in ("fanout-a", "gateway"):
        told, runs, calls, _ = deploy(bad=bad)
        assert told.returncode == 1, f"{bad}: {told.stdout}"
        assert all(definition.endswith(":7") for definition in runs.values()), f"{bad}: {runs}"
        changed = any(call.startswith("deploy create-deployment") for call in calls)
        assert changed == (bad == "gateway"), f"{bad}: gateways change colour last"
    print("a deployment goes in order, and back when a reader or the gateways fail")


if __name__ == "__main__":
    main()
