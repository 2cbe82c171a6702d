"""Single calls of other services that moto does not answer, or answers with half of what was asked for."""

import json

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.codedeploy.responses import CodeDeployResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.stepfunctions.responses import StepFunctionResponse


def mend() -> None:
    # The provider has a definition checked before it makes a state machine.
    StepFunctionResponse.validate_state_machine_definition = lambda response: ActionResult(
        {"result": "OK", "diagnostics": [], "truncated": False}
    )
    StepFunctionResponse.list_state_machine_versions = lambda response: ActionResult({"stateMachineVersions": []})
    # Only rules that name a range show their description; those that name a group have one as well.
    SecurityGroupRule.description = property(lambda rule: {**rule.ip_range, **rule.source_group}.get("Description"))
    mend_targets()
    mend_templates()
    mend_services()
    mend_deployments()


# --- Scaling targets keep their tags ---


def mend_targets() -> None:
    register, tags = ApplicationAutoScalingResponse.register_scalable_target, {}

    def register_target(response):
        answer = register(response)
        asked = response._get_param("Tags")
        if asked is not None:
            tags[json.loads(answer)["ScalableTargetARN"]] = asked
        return answer

    ApplicationAutoScalingResponse.register_scalable_target = register_target
    ApplicationAutoScalingResponse.list_tags_for_resource = lambda response: json.dumps(
        {"Tags": tags.get(response._get_param("ResourceARN"), {})}
    )


# --- Launch templates: their own tags are no part of what machines are started with ---


def mend_templates() -> None:
    describe = LaunchTemplates.describe_launch_template_versions

    def describe_versions(response):
        answer = describe(response)
        for version in answer.result["LaunchTemplateVersions"]:
            data = version["LaunchTemplateData"]
            kept = [tags for tags in data.get("TagSpecifications") or [] if tags["ResourceType"] != "launch-template"]
            data["TagSpecifications"] = kept
        return answer

    LaunchTemplates.describe_launch_template_versions = describe_versions


# --- ECS services keep what they were made with ---


def mend_services() -> None:
    create = EC2ContainerServiceResponse.create_service

    def create_service(response):
        answer = create(response)
        service = answer.result["service"]
        service.availability_zone_rebalancing = response._get_param("availabilityZoneRebalancing") or "DISABLED"
        service.capacity_provider_strategy = response._get_param("capacityProviderStrategy") or []
        service.enable_ecs_managed_tags = bool(response._get_param("enableECSManagedTags"))
        service.health_check_grace_period_seconds = response._get_param("healthCheckGracePeriodSeconds")
        if service.capacity_provider_strategy:
            # One or the other says where tasks run.
            service.launch_type = None
        return answer

    EC2ContainerServiceResponse.create_service = create_service


# --- CodeDeploy: alarms are shown, and what is deleted is gone ---


def mend_deployments() -> None:
    get = CodeDeployResponse.get_deployment_group

    def groups_of(response) -> dict:
        return response.codedeploy_backend.deployment_groups.get(response._get_param("applicationName"), {})

    def get_group(response):
        answer = get(response)
        group = groups_of(response)[response._get_param("deploymentGroupName")]
        answer.result["deploymentGroupInfo"]["alarmConfiguration"] = group.alarm_configuration
        return answer

    def delete_group(response):
        groups_of(response).pop(response._get_param("deploymentGroupName"), None)
        return ActionResult({"hooksNotCleanedUp": []})

    def delete_application(response):
        name = response._get_param("applicationName")
        response.codedeploy_backend.applications.pop(name, None)
        response.codedeploy_backend.deployment_groups.pop(name, None)
        return EmptyResult()

    CodeDeployResponse.get_deployment_group = get_group
    CodeDeployResponse.delete_deployment_group = delete_group
    CodeDeployResponse.delete_application = delete_application
