"""Holds rules and dashboards against the code and the runbooks.

Every figure named in a rule or on a dashboard is declared in a service's metrics module, with a label that is there, and
every figure declared is in a rule or on a dashboard; every alert has a section of its name in docs/operations.md; that page
lists every figure as the code declares it.

    observability.py [write]      with `write` the list in docs/operations.md is written anew
"""

import json
import pathlib
import re
import sys

import yaml

SOURCES = pathlib.Path(__file__).resolve().parents[2]
FOLDER = SOURCES / "infra/observability"
MODULES = [*SOURCES.glob("*/src/metrics.rs"), *SOURCES.glob("platform/src/**/*.rs")]
# What Prometheus adds to a histogram's name.
PARTS = ("_bucket", "_sum", "_count")
# Made by Prometheus itself, and by the scrape.
ITS_OWN = {"up"}
LABELS_OF_SCRAPE = {"job", "instance", "le", "group"}


def declared():
    """Every figure of the code, and every label anything in it bears."""
    text = "\n".join(module.read_text() for module in MODULES)
    return set(re.findall(r'"(roomlog_[a-z_]+)"', text)), set(re.findall(r'"([a-z_]+)" =>', text))


def figures():
    """Every figure as its module declares it: name, kind, unit, labels, help."""
    for module in sorted(SOURCES.glob("*/src/metrics.rs")):
        text = module.read_text()
        names = dict(re.findall(r'const (\w+): &str = "(roomlog_\w+)";', text))
        declared = re.findall(r'describe_(\w+)!\(\s*(\w+),\s*Unit::(\w+),\s*"([^"]*)"', text)
        missing = set(names) - {name for _, name, _, _ in declared}
        assert not missing, f"{module}: neither unit nor help for {missing}"
        for kind, constant, unit, told in declared:
            # Up to the macro's own closing bracket: values may be calls.
            used = re.findall(rf"(?:counter|gauge|histogram)!\(\s*{constant}\b((?:[^()]|\([^()]*\))*)\)", text)
            labels = sorted({label for use in used for label in re.findall(r'"(\w+)" =>', use)})
            suffix = {"Seconds": "seconds", "Bytes": "bytes"}.get(unit, "")
            assert suffix in names[constant], f"{names[constant]} counts {unit} and does not say so"
            assert kind != "counter" or names[constant].endswith("_total"), names[constant]
            yield names[constant], kind, labels, told


def table():
    rows = ["| figure | kind | labels | what |", "|---|---|---|---|"]
    for name, kind, labels, told in figures():
        named = ", ".join(f"`{label}`" for label in labels)
        rows.append(f"| `{name}` | {kind} | {named} | {told.rstrip('.')} |")
    return "\n".join(rows)


def check_list(write):
    page = SOURCES / "docs/operations.md"
    text = page.read_text()
    start, end = (text.index(mark) for mark in ("<!-- figures:", "<!-- end of figures"))
    start = text.index("\n", start) + 1
    if write:
        page.write_text(f"{text[:start]}{table()}\n{text[end:]}")
    else:
        assert text[start:end] == f"{table()}\n", "docs/operations.md: the figures are not those of the code; run observability.py write"


def expressions():
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]
    for file in sorted((FOLDER / "dashboards").glob("*.json")):
        board = json.loads(file.read_text())
        assert board["uid"] and board["title"], file.name
        numbers = [panel["id"] for panel in board["panels"]]
        assert len(numbers) == len(set(numbers)), f"{file.name}: panels share a number"
        for panel in board["panels"]:
            assert panel["datasource"]["uid"] == "prometheus", panel["title"]
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", target["expr"]
    adapter = yaml.safe_load((SOURCES / "infra/kubernetes/prometheus-adapter.yaml").read_text())
    for rule in [*adapter["rules"]["custom"], *adapter["rules"]["external"]]:
        yield "prometheus-adapter", rule["seriesQuery"]


def check_names(names, labels):
    seen = set()
    for where, expression in expressions():
        used = set(re.findall(r"roomlog_[a-z_]+", expression))
        for name in used:
            base = next((name.removesuffix(part) for part in PARTS if name.endswith(part)), name)
            assert name in names or base in names, f"{where}: no code counts {name}"
            seen.add(base if base in names else name)
        for listed in re.findall(r"\bby \(([^)]*)\)", expression):
            for label in filter(None, re.split(r"[ ,]+", listed)):
                known = labels | LABELS_OF_SCRAPE
                assert label in known or "<<" in label, f"{where}: nothing bears the label {label}"
    return seen


def check_runbooks():
    text = (SOURCES / "docs/operations.md").read_text()
    sections = dict(re.findall(r"^#+ (Roomlog\w+)\n+(.+)", text, re.MULTILINE))
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    for alert in alerts:
        name = alert["alert"]
        assert name in sections, f"docs/operations.md has no section {name}"
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}", name
        assert alert["labels"]["severity"] in ("page", "ticket"), name
    gone = set(sections) - {alert["alert"] for alert in alerts}
    assert not gone, f"runbooks without an alert: {gone}"
    return len(alerts)


def check_moments():
    """Every alert rings at some moment of the tests: a rule that nothing sets off is none."""
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    ringing = set()
    for test in yaml.safe_load((FOLDER / "alerts.test.yml").read_text())["tests"]:
        ringing |= {moment["alertname"] for moment in test.get("alert_rule_test", []) if moment["exp_alerts"]}
        for moment in test.get("promql_expr_test", []):
            if 'alertstate="firing"' in moment["expr"]:
                ringing |= {re.search(r'alertname="(\w+)"', sample["labels"])[1] for sample in moment["exp_samples"]}
    assert ringing == alerts, f"no moment sets off {alerts - ringing}; no rule is {ringing - alerts}"


def check_collector():
    config = yaml.safe_load((FOLDER / "collector.yml").read_text())
    for name, pipeline in config["service"]["pipelines"].items():
        for kind in ("receivers", "processors", "exporters"):
            for part in pipeline[kind]:
                assert part in config[kind], f"collector: {name} uses {part}, which is not there"
        assert pipeline["processors"][0] == "memory_limiter", "the memory limit comes first"
        assert pipeline["processors"][-1] == "batch", "batches are made last"
    for extension in config["service"]["extensions"]:
        assert extension in config["extensions"], extension


def main():
    names, labels = declared()
    assert names, "no figures found: looked in the wrong place"
    seen = check_names(names, labels)
    assert names == seen, f"on no dashboard and in no rule: {', '.join(sorted(names - seen))}"
    alerts = check_runbooks()
    check_moments()
    check_collector()
    check_list("write" in sys.argv[1:])
    print(f"{len(seen)} figures, each on a dashboard or in a rule; {alerts} alerts, each with a runbook")


if __name__ == "__main__":
    main()
