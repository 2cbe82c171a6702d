"""MSK: clusters that become active and are described as they were asked for, configurations, bootstrap brokers."""

import json
from urllib.parse import unquote

from moto.core.exceptions import JsonRESTError
from moto.kafka import urls
from moto.kafka.models import KafkaBackend
from moto.kafka.responses import KafkaResponse

MADE_AT = "2026-01-01T00:00:00.000Z"
IAM_PORT = 9098


class ClusterNotFound(JsonRESTError):
    """The provider takes this for a cluster that is gone."""

    code = 404

    def __init__(self, arn: str) -> None:
        super().__init__("NotFoundException", f"{arn} not found")


class ConfigurationNotFound(JsonRESTError):
    """The provider waits for these very words when it deletes a configuration."""

    code = 400

    def __init__(self) -> None:
        super().__init__("BadRequestException", "Configuration ARN does not exist.")


class Configurations:
    """Configurations and their revisions, which moto has none of."""

    def __init__(self) -> None:
        self.by_arn: dict[str, dict] = {}

    def create(self, region: str, account: str, asked: dict) -> dict:
        arn = f"arn:aws:kafka:{region}:{account}:configuration/{asked['name']}/{len(self.by_arn) + 1}"
        self.by_arn[arn] = {**asked, "arn": arn, "revisions": [asked["serverProperties"]]}
        return self.shown(arn)

    def found(self, arn: str) -> dict:
        if arn not in self.by_arn:
            raise ConfigurationNotFound()
        return self.by_arn[arn]

    def shown(self, arn: str) -> dict:
        configuration = self.found(arn)
        description = configuration.get("description", "")
        return {
            "arn": arn,
            "name": configuration["name"],
            "description": description,
            "kafkaVersions": configuration.get("kafkaVersions", []),
            "state": "ACTIVE",
            "creationTime": MADE_AT,
            "latestRevision": {"revision": len(configuration["revisions"]), "creationTime": MADE_AT, "description": description},
        }

    def revision(self, arn: str, number: int) -> dict:
        configuration = self.found(arn)
        return {
            "arn": arn,
            "revision": number,
            "serverProperties": configuration["revisions"][number - 1],
            "description": configuration.get("description", ""),
            "creationTime": MADE_AT,
        }

    def update(self, arn: str, asked: dict) -> dict:
        configuration = self.found(arn)
        configuration["revisions"].append(asked["serverProperties"])
        configuration["description"] = asked.get("description", "")
        return self.shown(arn)

    def delete(self, arn: str) -> dict:
        self.found(arn)
        del self.by_arn[arn]
        return {"arn": arn, "state": "DELETING"}


CONFIGURATIONS = Configurations()


def mend() -> None:
    mend_clusters()
    mend_configurations()
    KafkaResponse.get_bootstrap_brokers = bootstrap_brokers


# --- Clusters ---


def mend_clusters() -> None:
    create, describe = KafkaBackend.create_cluster_v2, KafkaBackend.describe_cluster_v2

    def create_v2(backend, cluster_name, tags, provisioned, serverless):
        arn, name, _, kind = create(backend, cluster_name, tags, provisioned, serverless)
        cluster = backend.clusters[arn]
        cluster.state = "ACTIVE"
        cluster.asked = dict(provisioned or serverless)
        return arn, name, cluster.state, kind

    def describe_v2(backend, cluster_arn):
        if cluster_arn not in backend.clusters:
            raise ClusterNotFound(cluster_arn)
        cluster = backend.clusters[cluster_arn]
        answer = describe(backend, cluster_arn)
        # An operation that never ends would be waited for.
        answer.pop("activeOperationArn", None)
        kind = "provisioned" if cluster.cluster_type == "PROVISIONED" else "serverless"
        part = answer[kind]
        part.update({key: value for key, value in cluster.asked.items() if key not in ("kafkaVersion", "configurationInfo")})
        if kind == "provisioned":
            complete(part, cluster)
        return answer

    def describe_v1(backend, cluster_arn):
        answer = describe_v2(backend, cluster_arn)
        return {**answer, **answer.pop("provisioned", {})}

    def create_v1(response):
        # The older call has the provisioned part at the top.
        asked = json.loads(response.body)
        name, tags = asked.pop("clusterName"), asked.pop("tags", None)
        arn, name, state, _ = response.kafka_backend.create_cluster_v2(name, tags, asked, None)
        return json.dumps({"clusterArn": arn, "clusterName": name, "state": state})

    KafkaBackend.create_cluster_v2 = create_v2
    KafkaBackend.describe_cluster_v2 = describe_v2
    KafkaBackend.describe_cluster = describe_v1
    KafkaResponse.create_cluster = create_v1


def complete(part: dict, cluster) -> None:
    """Adds what MSK itself decides, so that a second plan finds nothing to change."""
    software = {"kafkaVersion": cluster.kafka_version}
    configuration = cluster.asked.get("configurationInfo")
    if configuration:
        software |= {"configurationArn": configuration["arn"], "configurationRevision": configuration["revision"]}
    part["currentBrokerSoftwareInfo"] = software
    part["zookeeperConnectString"] = part["zookeeperConnectStringTls"] = ""
    brokers = part["brokerNodeGroupInfo"]
    brokers.setdefault("brokerAZDistribution", "DEFAULT")
    brokers.setdefault("connectivityInfo", {"publicAccess": {"type": "DISABLED"}})
    for empty in ("openMonitoring", "loggingInfo"):
        if not part.get(empty):
            part.pop(empty, None)


def bootstrap_brokers(response):
    arn = unquote(response.parsed_url.path).split("/clusters/")[1].removesuffix("/bootstrap-brokers")
    cluster = response.kafka_backend.clusters.get(arn)
    if cluster is None:
        raise ClusterNotFound(arn)
    count = min(cluster.number_of_broker_nodes or 1, 3)
    hosts = [f"b-{number}.{cluster.cluster_name}.kafka.internal:{IAM_PORT}" for number in range(1, count + 1)]
    return json.dumps({"bootstrapBrokerStringSaslIam": ",".join(hosts)})


# --- Configurations ---


def mend_configurations() -> None:
    def path_of(response) -> str:
        return unquote(response.parsed_url.path).split("/configurations/")[1]

    def arn_of(response) -> str:
        return path_of(response).split("/revisions")[0]

    def create(response):
        return json.dumps(CONFIGURATIONS.create(response.region, response.current_account, json.loads(response.body)))

    def revision(response):
        number = int(path_of(response).rsplit("/", 1)[1])
        return json.dumps(CONFIGURATIONS.revision(arn_of(response), number))

    KafkaResponse.create_configuration = create
    KafkaResponse.describe_configuration = lambda response: json.dumps(CONFIGURATIONS.shown(arn_of(response)))
    KafkaResponse.describe_configuration_revision = revision
    KafkaResponse.update_configuration = lambda response: json.dumps(CONFIGURATIONS.update(arn_of(response), json.loads(response.body)))
    KafkaResponse.delete_configuration = lambda response: json.dumps(CONFIGURATIONS.delete(arn_of(response)))
    urls.url_paths["{0}/v1/configurations$"] = KafkaResponse.dispatch
    urls.url_paths["{0}/v1/configurations/(?P<configurationArn>.+)$"] = KafkaResponse.dispatch
