"""ElastiCache: what is deleted is gone, members of a replication group can be described, parameter groups exist."""

import inspect

from moto.core.responses import ActionResult, EmptyResult
from moto.elasticache import models
from moto.elasticache.exceptions import ElastiCacheException
from moto.elasticache.models import CacheCluster, ElastiCacheBackend
from moto.elasticache.responses import ElastiCacheResponse


class ParameterGroupNotFound(ElastiCacheException):
    code = "CacheParameterGroupNotFound"

    def __init__(self, name: str) -> None:
        super().__init__(f"CacheParameterGroup {name} not found.")


class ParameterGroups:
    """Parameter groups, which moto has none of."""

    def __init__(self) -> None:
        self.by_name: dict[str, dict] = {}
        self.parameters: dict[str, dict[str, str]] = {}

    def found(self, name: str) -> dict:
        if name not in self.by_name:
            raise ParameterGroupNotFound(name)
        return self.by_name[name]


GROUPS = ParameterGroups()


def mend() -> None:
    mend_groups_of_nodes()
    mend_subnet_groups()
    mend_parameter_groups()
    ElastiCacheBackend.list_tags_for_resource = lambda backend, arn: backend.tagging_service.list_tags_for_resource(arn)


# --- Replication groups ---


def mend_groups_of_nodes() -> None:
    create, delete = ElastiCacheBackend.create_replication_group, ElastiCacheBackend.delete_replication_group

    def create_group(backend, **asked):
        if asked.get("num_cache_clusters") and not asked.get("num_node_groups"):
            asked["replicas_per_node_group"] = asked["num_cache_clusters"] - 1
        group = create(backend, **asked)
        group.at_rest_encryption_enabled = bool(asked.get("at_rest_encryption_enabled"))
        for member in group.member_clusters:
            backend.cache_clusters[member] = node(backend, group, member, asked)
        return group

    def delete_group(backend, replication_group_id, retain_primary_cluster):
        group = delete(backend, replication_group_id, retain_primary_cluster)
        backend.replication_groups.pop(replication_group_id, None)
        for member in group.member_clusters:
            backend.cache_clusters.pop(member, None)
        return group

    ElastiCacheBackend.create_replication_group = create_group
    ElastiCacheBackend.delete_replication_group = delete_group


def node(backend, group, member: str, asked: dict) -> CacheCluster:
    """A node of a group, as the provider looks it up to learn version, windows and groups."""
    names = [name for name in inspect.signature(CacheCluster.__init__).parameters if name != "self"]
    arguments = {name: asked.get(name) for name in names}
    arguments |= {
        "account_id": backend.account_id,
        "region_name": backend.region_name,
        "cache_cluster_id": member,
        "replication_group_id": group.replication_group_id,
        "num_cache_nodes": 1,
        "log_delivery_configurations": [],
        "tags": None,
    }
    made = CacheCluster(**arguments)
    version = asked.get("engine_version") or "8.0"
    made.engine_version = version if version.count(".") == 2 else f"{version}.0"
    made.at_rest_encryption_enabled = group.at_rest_encryption_enabled
    # The provider takes the mode from a node, though it belongs to the group.
    made.transit_encryption_mode = asked.get("transit_encryption_mode")
    made.auto_minor_version_upgrade = True
    made.preferred_maintenance_window = "sun:05:00-sun:06:00"
    made.snapshot_window = "03:00-04:00"
    made.security_groups = [{"SecurityGroupId": group_id, "Status": "active"} for group_id in made.security_group_ids or []]
    made.cache_parameter_group = {
        "CacheParameterGroupName": asked.get("cache_parameter_group_name"),
        "ParameterApplyStatus": "in-sync",
        "CacheNodeIdsToReboot": [],
    }
    return made


# --- Subnet groups and parameter groups ---


def mend_subnet_groups() -> None:
    def delete(response):
        name = response._get_param("CacheSubnetGroupName")
        groups = response.elasticache_backend.cache_subnet_groups
        if name not in groups:
            raise models.CacheSubnetGroupNotFound(name)
        del groups[name]
        return EmptyResult()

    ElastiCacheResponse.delete_cache_subnet_group = delete


def mend_parameter_groups() -> None:
    def name_in(response) -> str:
        return response._get_param("CacheParameterGroupName")

    def create(response):
        name = name_in(response)
        GROUPS.by_name[name] = {
            "CacheParameterGroupName": name,
            "CacheParameterGroupFamily": response._get_param("CacheParameterGroupFamily"),
            "Description": response._get_param("Description") or "",
            "IsGlobal": False,
            "ARN": f"arn:aws:elasticache:{response.region}:{response.current_account}:parametergroup:{name}",
        }
        GROUPS.parameters[name] = {}
        backend = response.elasticache_backend
        backend.tagging_service.tag_resource(GROUPS.by_name[name]["ARN"], response._get_params().get("Tags") or [])
        return ActionResult({"CacheParameterGroup": GROUPS.by_name[name]})

    def describe(response):
        name = name_in(response)
        return ActionResult({"CacheParameterGroups": [GROUPS.found(name)] if name else list(GROUPS.by_name.values())})

    def change(response):
        name = name_in(response)
        GROUPS.found(name)
        for parameter in response._get_params().get("ParameterNameValues", []):
            GROUPS.parameters[name][parameter["ParameterName"]] = parameter.get("ParameterValue")
        return ActionResult({"CacheParameterGroupName": name})

    def reset(response):
        name = name_in(response)
        GROUPS.found(name)
        for parameter in response._get_params().get("ParameterNameValues", []):
            GROUPS.parameters[name].pop(parameter["ParameterName"], None)
        return ActionResult({"CacheParameterGroupName": name})

    def parameters(response):
        name = name_in(response)
        GROUPS.found(name)
        values = GROUPS.parameters[name].items()
        return ActionResult({"Parameters": [{"ParameterName": key, "ParameterValue": value, "Source": "user"} for key, value in values]})

    def delete(response):
        name = name_in(response)
        GROUPS.found(name)
        del GROUPS.by_name[name], GROUPS.parameters[name]
        return EmptyResult()

    ElastiCacheResponse.create_cache_parameter_group = create
    ElastiCacheResponse.describe_cache_parameter_groups = describe
    ElastiCacheResponse.modify_cache_parameter_group = change
    ElastiCacheResponse.reset_cache_parameter_group = reset
    ElastiCacheResponse.describe_cache_parameters = parameters
    ElastiCacheResponse.delete_cache_parameter_group = delete
