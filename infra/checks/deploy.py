"""Plays infra/deploy/ecs against a stand-in for the aws program that remembers what was asked of it."""

import fnmatch
import json
import os
import pathlib
import re
import stat
import subprocess
import tempfile

import yaml

SOURCES = pathlib.Path(__file__).resolve().parents[2]
IMAGE = "registry/roomlog:new"
# Services are in a file each: the task definition they run. `bad` names what does not become healthy.
AWS = r'''#!/usr/bin/env bash
printf '%s\n' "$*" >>"$STATE/calls"
value() { while [ $# -gt 1 ]; do [ "$1" = "$name" ] && { printf '%s' "$2"; return; }; shift; done; }
of() { name=$1; shift; value "$@"; }
case "$1 $2" in
"ecs describe-services") cat "$STATE/$(of --services "$@")" ;;
"ecs describe-task-definition") printf '{"family":"f-%s","revision":7,"status":"ACTIVE","containerDefinitions":[{"name":"collector","image":"beside"},{"name":"%s","image":"old"}]}' "$(of --task-definition "$@")" "$(of --task-definition "$@" | cut -d- -f2-)" ;;
"ecs register-task-definition") of --cli-input-json "$@" | jq -r '.family + ":8"'; { of --cli-input-json "$@"; echo; } >>"$STATE/registered" ;;
"ecs update-service")
  # What does not become healthy is undone by ECS itself, and then rests.
  service=$(of --service "$@") wanted=$(of --task-definition "$@")
  [ "$service" = "$BAD" ] && [ "${wanted##*:}" = 8 ] || printf '%s' "$wanted" >"$STATE/$service" ;;
"ecs wait") ;;
"deploy create-deployment") echo d-1 ;;
"deploy get-deployment")
  echo >>"$STATE/looks"
  if [ "$(wc -l <"$STATE/looks")" -le "$LOOKS" ]; then echo InProgress
  elif [ "$BAD" = gateway ]; then echo "$END"
  else echo Succeeded; fi ;;
"deploy stop-deployment") ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
'''


def deploy(bad, looks=1, end="Failed"):
    with tempfile.TemporaryDirectory() as folder:
        state = pathlib.Path(folder)
        aws = state / "aws"
        aws.write_text(AWS)
        aws.chmod(aws.stat().st_mode | stat.S_IXUSR)
        for service in ("persister", "fanout-a", "fanout-b"):
            (state / service).write_text(f"{service}:7")
        told = subprocess.run(
            [SOURCES / "infra/deploy/ecs", "cluster", "application", IMAGE],
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "STATE": folder, "BAD": bad,
                 "LOOKS": str(looks), "END": end, "LOOK_S": "0"},
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
    images = [[container["image"] for container in one["containerDefinitions"]] for one in definitions]
    assert images == [["beside", IMAGE]] * 4, registered
    assert all("revision" not in one and "status" not in one for one in definitions), registered
    order = [call.split("--service ")[1].split()[0] for call in calls if call.startswith("ecs update-service")]
    assert order == ["persister", "fanout-a", "fanout-b"], order
    assert calls[-1].startswith("deploy get-deployment"), calls[-1]

    # A change of colour that takes its time is a good one.
    told, runs, calls, _ = deploy(bad="nobody", looks=200)
    assert told.returncode == 0 and all(definition.endswith(":8") for definition in runs.values()), f"{told.stdout}: {runs}"
    assert sum(call.startswith("deploy get-deployment") for call in calls) == 201, len(calls)

    for bad, looks, end in (("fanout-a", 1, ""), ("gateway", 1, "Failed"), ("gateway", 3, "Stopped"), ("gateway", 10_000, "")):
        told, runs, calls, _ = deploy(bad, looks, end)
        stopped = any(call.startswith("deploy stop-deployment") for call in calls)
        assert stopped == (looks == 10_000), f"{bad}, {looks}: only what does not end is stopped"
        assert told.returncode == 1, f"{bad}: {told.stdout}"
        assert all(definition.endswith(":7") for definition in runs.values()), f"{bad}: {runs}"
        changed = any(call.startswith("deploy create-deployment") for call in calls)
        assert changed == (bad == "gateway"), f"{bad}: gateways change colour last"
    check_tags()
    check_plan()
    print("a deployment goes in order, waits long enough, and goes back when a reader or the gateways fail")


def check_tags():
    """What the workflow pushes is what the registry keeps: releases and builds each by their own count."""
    workflow = yaml.safe_load((SOURCES / ".github/workflows/deploy.yml").read_text())
    job = workflow["jobs"]["deploy"]
    tag = re.fullmatch(
        r"\$\{\{ inputs.environment == 'production' && format\('([^']+)', github.run_number\) \|\| format\('([^']+)', github.sha\) \}\}",
        job["env"]["TAG"],
    )
    assert tag, job["env"]["TAG"]
    pushed = [form.replace("{0}", "1") for form in tag.groups()]
    registry = (SOURCES / "infra/terraform/modules/registry/main.tf").read_text()
    kept = re.findall(r'tagPatternList = \["([^"]+)"\]', registry)
    assert [[fnmatch.fnmatch(one, pattern) for pattern in kept] for one in pushed] == [[True, False], [False, True]], f"{pushed}, {kept}"
    # One name for what is pushed and what is deployed.
    steps = {step["name"]: step for step in job["steps"] if "run" in step}
    assert '"$REGISTRY:$TAG"' in steps["Push"]["run"] and "github.sha" not in steps["Push"]["run"], steps["Push"]["run"]
    assert '"$REGISTRY:$TAG"' in next(step["run"] for name, step in steps.items() if name.startswith("Deploy"))
    check_time(job)


def check_plan():
    """A proposal is planned against the state of its environment, which only the planner's role may see."""
    job = yaml.safe_load((SOURCES / ".github/workflows/pull-request.yml").read_text())["jobs"]["plan"]
    plan = next(step for step in job["steps"] if step.get("name") == "Plan")
    assert '-backend-config="bucket=$STATE_BUCKET"' in plan["run"], plan["run"]
    assert "plan -no-color -lock=false -refresh=false" in plan["run"], "the role may neither lock nor look at resources"
    keys = []
    for example in job["strategy"]["matrix"]["example"]:
        folder = SOURCES / "infra/terraform/examples" / example
        key = re.search(r'backend "s3" \{[^}]*?\bkey += "([^"]+)"', (folder / "versions.tf").read_text())
        assert key, f"{example} keeps its state nowhere"
        assert f'key = "{key[1]}"' in (folder / "main.tf").read_text(), f"{example}: the planner may read another state than {key[1]}"
        keys.append(key[1])
        for name in re.findall(r'variable "(\w+)" \{((?:(?!\n\}).)*)', (folder / "variables.tf").read_text(), re.DOTALL):
            assert "default" in name[1] or f"TF_VAR_{name[0]}" in plan["env"], f"{example}: no plan without {name[0]}"
    assert len(keys) == len(set(keys)), f"environments share a state: {keys}"


def check_time(job):
    """The sign-in outlasts the longest deployment, and the role allows it."""
    script = (SOURCES / "infra/deploy/ecs").read_text()
    look_s, looks_max, readers = (
        int(re.search(pattern, script)[1]) for pattern in (r"look_s=\$\{LOOK_S:-(\d+)\}", r"looks_max=(\d+)", r"# Readers: (\d+) s at most")
    )
    signed_in = next(step["with"]["role-duration-seconds"] for step in job["steps"] if "role-to-assume" in step.get("with", {}))
    delivery = (SOURCES / "infra/terraform/modules/delivery/main.tf").read_text()
    allowed = int(re.search(r"max_session_duration += (\d+)", delivery)[1])
    longest = readers + look_s * looks_max
    assert longest <= signed_in <= allowed and signed_in <= 60 * job["timeout-minutes"], f"{longest}, {signed_in}, {allowed}"
    variables = (SOURCES / "infra/terraform/modules/delivery/variables.tf").read_text()
    keep = int(re.search(r'variable "keep_minutes" \{.*?default += (\d+)', variables, re.DOTALL)[1])
    # A tenth of the clients for five minutes, then the old colour, and tasks that start and end.
    assert (5 + keep + 10) * 60 <= look_s * looks_max, f"a good deployment takes longer than {look_s * looks_max} s"


if __name__ == "__main__":
    main()
