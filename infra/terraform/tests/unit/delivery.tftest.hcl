# One environment of one repository deploys, and what goes wrong goes back.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name         = "roomlog-test"
  account_id   = "123456789012"
  region       = "us-east-1"
  repository   = "example/roomlog"
  environment  = "production"
  registry_arn = "arn:aws:ecr:us-east-1:123456789012:repository/roomlog-test"
  cluster_name = "roomlog-test"
  services = {
    gateway   = { arn = "arn:aws:ecs:us-east-1:123456789012:service/roomlog-test/gateway", deployment = "blue_green", min = 2, max = 4 }
    persister = { arn = "arn:aws:ecs:us-east-1:123456789012:service/roomlog-test/persister", deployment = "rolling", min = 2, max = 4 }
  }
  role_arns           = ["arn:aws:iam::123456789012:role/gateway"]
  target_groups       = { gateway = { blue_name = "blue", green_name = "green" } }
  public_listener_arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/x/1/1"
  trial_listener_arn  = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/x/1/2"
  rollback_alarms     = ["gateway-errors"]
}

run "lets_one_environment_of_one_repository_in" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  assert {
    condition = jsondecode(aws_iam_role.deployer.assume_role_policy).Statement[0].Condition.StringEquals == {
      "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
      "token.actions.githubusercontent.com:sub" = "repo:example/roomlog:environment:production"
    }
    error_message = "somebody else can deploy"
  }
}

run "passes_on_task_roles_only_and_to_tasks_only" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  assert {
    condition = alltrue([
      for statement in concat(jsondecode(aws_iam_role_policy.deployer.policy).Statement, jsondecode(aws_iam_role_policy.codedeploy.policy).Statement) :
      toset(statement.Resource) == toset(var.role_arns) && statement.Condition.StringEquals["iam:PassedToService"] == "ecs-tasks.amazonaws.com"
      if contains(statement.Action, "iam:PassRole")
    ])
    error_message = "a deployment can pass on another role"
  }

  assert {
    condition = toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.deployer.policy).Statement : statement.Action if contains(statement.Resource, "*")
    ])) == toset(["ecr:GetAuthorizationToken", "ecs:RegisterTaskDefinition", "ecs:DescribeTaskDefinition"])
    error_message = "more is allowed on everything than must be"
  }
}

run "changes_colour_and_goes_back_by_itself" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  assert {
    condition     = keys(aws_codedeploy_deployment_group.this) == ["gateway"] && aws_codedeploy_deployment_group.this["gateway"].deployment_style[0].deployment_type == "BLUE_GREEN"
    error_message = "gateways do not change colour, or others do"
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this["gateway"].auto_rollback_configuration[0].enabled && contains(aws_codedeploy_deployment_group.this["gateway"].auto_rollback_configuration[0].events, "DEPLOYMENT_STOP_ON_ALARM")
    error_message = "an alarm does not undo a deployment"
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this["gateway"].alarm_configuration[0].alarms == toset(["gateway-errors"])
    error_message = "a deployment watches no alarms"
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this["gateway"].blue_green_deployment_config[0].terminate_blue_instances_on_deployment_success[0].termination_wait_time_in_minutes == 15
    error_message = "the release before is gone at once"
  }
}

run "moves_a_tenth_of_the_connections_first" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this["gateway"].deployment_config_name == "CodeDeployDefault.ECSCanary10Percent5Minutes"
    error_message = "a bad release is seen by everybody at once"
  }
}

# It knows no shares of connections, and CodeDeploy refuses to ask it for one.
run "moves_all_connections_at_once_behind_a_network_load_balancer" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  variables {
    load_balancer_kind = "nlb"
  }

  assert {
    condition     = aws_codedeploy_deployment_group.this["gateway"].deployment_config_name == "CodeDeployDefault.ECSAllAtOnce"
    error_message = "no deployment can be made"
  }
}

run "refuses_a_pace_that_a_network_load_balancer_can_not_keep" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  variables {
    load_balancer_kind = "nlb"
    pace               = "CodeDeployDefault.ECSCanary10Percent5Minutes"
  }

  expect_failures = [var.pace]
}

run "shares_the_identity_provider_of_an_account" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  variables {
    identity_provider_arn = "arn:aws:iam::123456789012:oidc-provider/shared"
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0
    error_message = "a second provider is made"
  }
}

run "refuses_a_wildcard" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  variables {
    repository = "example/*"
  }

  expect_failures = [var.repository]
}

run "lets_a_proposal_only_read" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  variables {
    state = { bucket = "states", key = "roomlog/test/terraform.tfstate" }
  }

  assert {
    condition     = jsondecode(aws_iam_role.planner[0].assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] == "repo:example/roomlog:environment:plan-production"
    error_message = "a proposal takes the role of a deployment, or somebody else that of a proposal"
  }

  assert {
    condition     = join(" ", sort(flatten([for statement in jsondecode(aws_iam_role_policy.planner[0].policy).Statement : [for action in statement.Action : "${action}=${join(",", statement.Resource)}"]]))) == "kafka:GetBootstrapBrokers=arn:aws:kafka:us-east-1:123456789012:cluster/roomlog-test/* s3:GetObject=arn:aws:s3:::states/roomlog/test/terraform.tfstate s3:ListBucket=arn:aws:s3:::states secretsmanager:GetRandomPassword=*"
    error_message = "a proposal may do more than read the state, before anybody has looked at it"
  }
}

run "makes_no_planner_without_a_state" {
  command = plan
  module {
    source = "../../modules/delivery"
  }

  assert {
    condition     = length(aws_iam_role.planner) == 0
    error_message = "a role is made for a plan that can't be"
  }
}
