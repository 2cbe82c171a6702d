"""Prometheus workspaces know where their alerts go."""

import json

from moto.amp import urls
from moto.amp.exceptions import WorkspaceNotFound
from moto.amp.responses import PrometheusServiceResponse

DEFINITION = "{0}/workspaces/(?P<workspace_id>[^/]+)/alertmanager/definition$"


def mend() -> None:
    urls.url_paths[DEFINITION] = PrometheusServiceResponse.dispatch
    kept = {}

    def workspace_of(response) -> str:
        return response._get_param("workspaceId")

    def put(response):
        kept[workspace_of(response)] = response._get_param("data")
        return 202, {}, json.dumps({"status": {"statusCode": "ACTIVE"}})

    def describe(response):
        workspace = workspace_of(response)
        if workspace not in kept:
            raise WorkspaceNotFound(workspace)
        told = {"data": kept[workspace], "createdAt": 0, "modifiedAt": 0, "status": {"statusCode": "ACTIVE"}}
        return 200, {}, json.dumps({"alertManagerDefinition": told})

    def delete(response):
        kept.pop(workspace_of(response), None)
        return 202, {}, "{}"

    PrometheusServiceResponse.create_alert_manager_definition = put
    PrometheusServiceResponse.put_alert_manager_definition = put
    PrometheusServiceResponse.describe_alert_manager_definition = describe
    PrometheusServiceResponse.delete_alert_manager_definition = delete
