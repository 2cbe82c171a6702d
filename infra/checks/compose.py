"""What must be true of docker-compose.kafka.yml beyond its schema."""

import pathlib
import re

import yaml

SOURCES = pathlib.Path(__file__).resolve().parents[2]
PROFILES = {
    "log": {"kafka-1", "kafka-2", "kafka-3", "registry"},
    "store": {"dynamodb", "cache"},
    "app": {"tables", "topics", "fanout-a", "fanout-b", "persister", "gateway-1", "gateway-2", "proxy"},
    "monitoring": {"prometheus", "grafana", "collector", "traces"},
}
# Whose images hold nothing that could ask them how they are.
UNASKED = {"collector", "traces"}
JOBS = {"tables", "topics"}
OURS = "roomlog:local"


def main():
    text = (SOURCES / "docker-compose.kafka.yml").read_text()
    services = yaml.safe_load(re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text))["services"]
    by_profile = {}
    for name, service in services.items():
        (profile,) = service["profiles"]
        by_profile.setdefault(profile, set()).add(name)
        check_service(name, service)
    assert by_profile == PROFILES, by_profile
    groups = {services[name]["environment"]["ROOMLOG_FANOUT_GROUP"] for name in ("fanout-a", "fanout-b")}
    assert groups == {"a", "b"}, "each fanout is the other's replica"
    proxy = (SOURCES / "infra/compose/nginx.conf").read_text()
    assert all(f"server {name}:8080" in proxy for name in ("gateway-1", "gateway-2")), "the proxy leaves a gateway out"
    print(f"docker-compose.kafka.yml: {len(services)} services in {len(by_profile)} profiles, each that can be is asked how it is")


def check_service(name, service):
    image = service["image"]
    assert re.search(r":[^:/]+$", image) and not image.endswith(":latest"), f"{name}: {image}"
    # The image of ours brings a health check; jobs end instead.
    told = service.get("healthcheck", {})
    assert name in UNASKED | JOBS or image == OURS or told.get("test"), f"{name} is not asked how it is"
    assert told.get("disable", False) == (name in JOBS), name
    assert "no-new-privileges:true" in service["security_opt"], name
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{name}: the whole network reaches {port}"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert not source.startswith(".") or (SOURCES / source).exists(), f"{name}: nothing is at {source}"
    if image == OURS:
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name


if __name__ == "__main__":
    main()
