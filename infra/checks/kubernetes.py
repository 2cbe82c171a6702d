"""What must be true of the built manifests beyond their schema.

    kubernetes.py ENVIRONMENT < manifests
"""

import pathlib
import re
import sys

import permissions
import yaml

SOURCES = pathlib.Path(__file__).resolve().parents[2]
ROLES = SOURCES / "infra/terraform/modules/compute/roles.tf"
# What stands for the operator's own account in the overlays.
ACCOUNT = "0" * 12


def main():
    environment = sys.argv[1]
    all_of_it = [part for part in yaml.safe_load_all(sys.stdin) if part]
    of = {}
    for part in all_of_it:
        of.setdefault(part["kind"], {})[part["metadata"]["name"]] = part
    assert "Secret" not in of, "secrets never come from a commit"
    deployments = of["Deployment"]
    assert set(deployments) == {"gateway", "fanout-a", "fanout-b", "persister"}
    for name, deployment in deployments.items():
        check_pod(name, deployment["spec"]["template"]["spec"], of)
        check_budget(name, deployment, of)
        spec = deployment["spec"]
        assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, name
        assert spec["replicas"] >= 2, f"{name}: one is none"
    check_pod("setup", of["Job"]["setup"]["spec"]["template"]["spec"], of, serves=False)
    check_tags(environment, deployments)
    check_order(deployments)
    check_scaling(of)
    check_network(of)
    check_settings(of)
    check_stores(environment, of)
    check_roles(environment, of)
    assert of["Service"]["fanout"]["spec"]["clusterIP"] == "None", "gateways attach to every fanout"
    # A fanout that is not ready for want of one partition still serves its others.
    assert of["Service"]["fanout"]["spec"]["publishNotReadyAddresses"] is True, "gateways go on finding such a one"
    stop = deployments["gateway"]["spec"]["template"]["spec"]
    check_drain(stop)
    print(f"{environment}: {len(all_of_it)} objects, {sum(map(len, [deployments]))} deployments as they must be")


def check_pod(name, pod, of, serves=True):
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 65532, name
    assert pod["automountServiceAccountToken"] is False, name
    assert pod["serviceAccountName"] in of["ServiceAccount"], name
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"], name
        assert own["capabilities"]["drop"] == ["ALL"], name
        assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"], name
        image = container["image"]
        assert "/" in image and not image.endswith(":latest"), f"{name}: {image}"
        for source in container["envFrom"]:
            assert source["configMapRef"]["name"] in of["ConfigMap"], name
        if serves:
            assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready", name
            assert container["livenessProbe"]["httpGet"]["path"] == "/health/live", name
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                assert container[probe]["httpGet"]["port"] in ports, f"{name}: {probe}"


def check_tags(environment, deployments):
    """Images are named as deploy.yml pushes them: a build by its commit, a release by its run's number."""
    form = {"dev": r":sha-[0-9a-f]{40}", "production": r":v\d+"}[environment]
    for name, deployment in deployments.items():
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            assert re.search(f"{form}$", container["image"]), f"{name}: nobody pushes {container['image']}"


def check_budget(name, deployment, of):
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selector = of["PodDisruptionBudget"][name]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= labels.items(), name
    others = [
        other for other, one in of["Deployment"].items()
        if other != name and selector.items() <= one["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert not others, f"the budget of {name} covers {others} too"


def check_order(deployments):
    """One fanout group at a time, and gateways last."""
    wave = {name: int(one["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]) for name, one in deployments.items()}
    assert wave["fanout-a"] < wave["fanout-b"] < wave["gateway"], wave


def check_scaling(of):
    for name, scaler in of["HorizontalPodAutoscaler"].items():
        target = scaler["spec"]["scaleTargetRef"]["name"]
        assert target in of["Deployment"], name
        assert scaler["spec"]["minReplicas"] >= 2 and scaler["spec"]["maxReplicas"] >= 4, name
    metrics = {
        metric[kind]["metric"]["name"]
        for scaler in of["HorizontalPodAutoscaler"].values()
        for metric in scaler["spec"]["metrics"]
        for kind in ("pods", "external")
        if kind in metric
    }
    adapter = (SOURCES / "infra/kubernetes/prometheus-adapter.yaml").read_text()
    assert metrics == {"roomlog_gateway_connections", "roomlog_persister_lag_records"}, metrics
    assert all(metric in adapter for metric in metrics), "the adapter does not offer what is scaled on"


def check_network(of):
    nobody = of["NetworkPolicy"]["nobody"]["spec"]
    assert nobody["podSelector"] == {} and set(nobody["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in nobody and "egress" not in nobody, "the first rule lets nobody through"
    ports = {
        port["port"]
        for policy in of["NetworkPolicy"].values()
        for rule in policy["spec"].get("ingress", [])
        for port in rule["ports"]
    }
    assert ports == {8080, 7070, 9464, 8089}, ports
    # Whoever has certificates made over HTTP lets the solver be asked.
    if "cert-manager.io/cluster-issuer" in of["Ingress"]["roomlog"]["metadata"]["annotations"]:
        solver = of["NetworkPolicy"]["certificates"]["spec"]
        assert solver["podSelector"]["matchLabels"] == {"acme.cert-manager.io/http01-solver": "true"}, solver
    for rule in of["Ingress"]["roomlog"]["spec"]["rules"]:
        backend = rule["http"]["paths"][0]["backend"]["service"]
        offered = {port["name"] for port in of["Service"][backend["name"]]["spec"]["ports"]}
        assert backend["port"]["name"] in offered, rule["host"]


def check_settings(of):
    """Every variable is a key of the program; what is secret is not among them."""
    (settings,) = of["ConfigMap"].values()
    files = [SOURCES / "platform/src/config.rs", *(SOURCES / "platform/src/config").glob("*.rs")]
    source = "".join(file.read_text() for file in files)
    known = set(re.findall(r'env = "(ROOMLOG_\w+)"', source))
    used = set(settings["data"])
    for deployment in of["Deployment"].values():
        for variable in deployment["spec"]["template"]["spec"]["containers"][0].get("env", []):
            used.add(variable["name"])
    assert used <= known, f"no configuration keys: {used - known}"
    secret = {"ROOMLOG_JWT_SECRET", "ROOMLOG_REDIS_URL", "ROOMLOG_KAFKA_PASSWORD"}
    assert not secret & set(settings["data"]), "a secret among the settings"


def check_stores(environment, of):
    """Tables, bucket and registry are those that Terraform makes for the environment of the same name."""
    (settings,) = of["ConfigMap"].values()
    terraform, name = terraform_of(environment)
    prefix = re.search(r'prefix += "([^"]+)"', terraform)[1].replace("${local.name}", name)
    assert settings["data"]["ROOMLOG_TABLE_PREFIX"] == prefix, f"Terraform's tables begin with {prefix}"
    bucket = re.search(r'bucket += "([^"]+)"', terraform)[1].replace("${local.name}", name)
    assert settings["data"]["ROOMLOG_S3_BUCKET"] == bucket.replace("${local.account_id}", ACCOUNT), f"Terraform's bucket is {bucket}"
    partitions = re.search(r'ROOMLOG_TOPICS_PARTITIONS = "(\d+)"', terraform)
    assert not partitions or settings["data"]["ROOMLOG_TOPICS_PARTITIONS"] == partitions[1], f"Terraform's topics have {partitions[1]}"
    for deployment in of["Deployment"].values():
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            repository = container["image"].split("/")[1].split(":")[0]
            assert repository == name, f"Terraform's registry is {name}, not {repository}"


def terraform_of(environment):
    """The example of the environment's name, and the name it puts before everything."""
    terraform = (SOURCES / f"infra/terraform/examples/{environment}/main.tf").read_text()
    return terraform, re.search(r'^  name += "([^"]+)"', terraform, re.MULTILINE)[1]


def check_roles(environment, of):
    """Every pod takes on the role that Terraform makes for its service, under the account which that role lets in."""
    _, name = terraform_of(environment)
    services = permissions.services()
    accounts = {
        account: part["metadata"]["annotations"].get("eks.amazonaws.com/role-arn")
        for account, part in of["ServiceAccount"].items()
    }
    wanted = {f"roomlog-{service}": f"arn:aws:iam::{ACCOUNT}:role/{name}-{service}" for service in services}
    assert accounts == wanted, f"accounts are {accounts}, and Terraform makes {wanted}"
    roles = ROLES.read_text()
    assert re.search(r'"aws_iam_role" "task" \{[^}]*\bname +=\s"\$\{var.name\}-\$\{each.key\}"', roles), "Terraform names roles otherwise"
    assert "system:serviceaccount:${pods.namespace}:roomlog-${name}" in roles, "the roles let other accounts in"
    jobs = {"setup": ("operator", {"tables", "topics"})}
    runs = {deployment: (deployment, {services[deployment]["role"]}) for deployment in of["Deployment"]} | jobs
    for kind in ("Deployment", "Job"):
        for part, whole in of[kind].items():
            pod, (service, commands) = whole["spec"]["template"]["spec"], runs[part]
            assert pod["serviceAccountName"] == f"roomlog-{service}", f"{part} is {pod['serviceAccountName']} to AWS"
            for container in [*pod.get("initContainers", []), *pod["containers"]]:
                assert container["args"][0] in commands, f"{part} runs {container['args']} in the role of {service}"


def check_drain(pod):
    (container,) = pod["containers"]
    told = {variable["name"]: variable.get("value") for variable in container["env"]}
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    stop = int(told["ROOMLOG_STOP_TIMEOUT"].removesuffix("s"))
    drain = int(told["ROOMLOG_DRAIN"].removesuffix("s"))
    assert drain < stop and pause + stop < pod["terminationGracePeriodSeconds"], "killed before it has drained"


if __name__ == "__main__":
    main()
