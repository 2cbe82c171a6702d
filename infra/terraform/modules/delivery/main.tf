# How a release gets here: a workflow signs in by its identity at GitHub, without any stored key, pushes an image,
# registers task definitions and starts deployments. Gateways change colour; consumers roll.

locals {
  issuer     = "token.actions.githubusercontent.com"
  blue_green = { for name, service in var.services : name => service if service.deployment == "blue_green" }
  at_once    = "CodeDeployDefault.ECSAllAtOnce"
  pace       = coalesce(var.pace, var.load_balancer_kind == "nlb" ? local.at_once : "CodeDeployDefault.ECSCanary10Percent5Minutes")

  # An account has one provider for an issuer: the first environment in it makes it, the others use it.
  provider_arn = var.identity_provider_arn == null ? aws_iam_openid_connect_provider.github[0].arn : var.identity_provider_arn

  # One repository and one of its environments, with that environment's approvals.
  trust = { for who, environment in { deployer = var.environment, planner = "plan-${var.environment}" } : who => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = local.provider_arn }
      Condition = {
        StringEquals = {
          "${local.issuer}:aud" = "sts.amazonaws.com"
          "${local.issuer}:sub" = "repo:${var.repository}:environment:${environment}"
        }
      }
    }]
  }) }
}

# --- Who may deploy ---

resource "aws_iam_openid_connect_provider" "github" {
  count = var.identity_provider_arn == null ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "deployer" {
  name        = "${var.name}-deployer"
  description = "Deploys ${var.name} from ${var.repository}"
  # A deployment is waited for; the workflow asks for as much.
  max_session_duration = 7200
  assume_role_policy   = local.trust["deployer"]
}

resource "aws_iam_role_policy" "deployer" {
  name = "deploy"
  role = aws_iam_role.deployer.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "SignInToRegistry", Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
      {
        Sid    = "PushImage"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages",
          "ecr:DescribeImageScanFindings", "ecr:GetDownloadUrlForLayer", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = [var.registry_arn]
      },
      # Task definitions have no resource to name until they are there; what they may run as is bound below.
      { Sid = "RegisterTasks", Effect = "Allow", Action = ["ecs:RegisterTaskDefinition", "ecs:DescribeTaskDefinition"], Resource = ["*"] },
      { Sid = "Roll", Effect = "Allow", Action = ["ecs:UpdateService", "ecs:DescribeServices"], Resource = [for service in values(var.services) : service.arn] },
      {
        Sid       = "PassRoles"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = var.role_arns
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
      {
        Sid    = "ChangeColour"
        Effect = "Allow"
        Action = ["codedeploy:CreateDeployment", "codedeploy:GetDeployment", "codedeploy:GetDeploymentGroup", "codedeploy:StopDeployment", "codedeploy:GetApplicationRevision", "codedeploy:RegisterApplicationRevision"]
        Resource = concat(
          [aws_codedeploy_app.this.arn],
          [for group in aws_codedeploy_deployment_group.this : group.arn],
        )
      },
      {
        Sid      = "KnowPace"
        Effect   = "Allow"
        Action   = ["codedeploy:GetDeploymentConfig"]
        Resource = ["arn:aws:codedeploy:${var.region}:${var.account_id}:deploymentconfig:*"]
      },
    ]
  })
}

# --- Who may plan ---

# A proposal can run anything with this role before anybody has looked at it. So the role sees no resource and no secret:
# only the state, which a plan without a refresh is made from, and what the configuration asks AWS beside it.
resource "aws_iam_role" "planner" {
  count = var.state == null ? 0 : 1

  name        = "${var.name}-planner"
  description = "Plans ${var.name} for proposals of ${var.repository}"

  assume_role_policy = local.trust["planner"]
}

resource "aws_iam_role_policy" "planner" {
  count = var.state == null ? 0 : 1

  name = "plan"
  role = aws_iam_role.planner[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        { Sid = "ReadState", Effect = "Allow", Action = ["s3:GetObject"], Resource = ["arn:aws:s3:::${var.state.bucket}/${var.state.key}"] },
        # A state that is not there yet is told from one that may not be read.
        {
          Sid       = "FindState"
          Effect    = "Allow"
          Action    = ["s3:ListBucket"]
          Resource  = ["arn:aws:s3:::${var.state.bucket}"]
          Condition = { StringLike = { "s3:prefix" = [var.state.key, "env:/*"] } }
        },
        # Drawing a random password has no resource to name, and tells no secret.
        { Sid = "Draw", Effect = "Allow", Action = ["secretsmanager:GetRandomPassword"], Resource = ["*"] },
        {
          Sid      = "FindBrokers"
          Effect   = "Allow"
          Action   = ["kafka:GetBootstrapBrokers"]
          Resource = ["arn:aws:kafka:${var.region}:${var.account_id}:cluster/${var.name}/*"]
        },
      ],
      var.state.kms_key_arn == null ? [] : [{ Sid = "DecryptState", Effect = "Allow", Action = ["kms:Decrypt"], Resource = [var.state.kms_key_arn] }],
    )
  })
}

# --- Blue and green ---

resource "aws_codedeploy_app" "this" {
  name             = var.name
  compute_platform = "ECS"
}

resource "aws_iam_role" "codedeploy" {
  name = "${var.name}-codedeploy"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "codedeploy.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  })
}

resource "aws_iam_role_policy" "codedeploy" {
  name = "change-colour"
  role = aws_iam_role.codedeploy.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["ecs:DescribeServices", "ecs:CreateTaskSet", "ecs:UpdateServicePrimaryTaskSet", "ecs:DeleteTaskSet"]
        Resource = concat([for service in values(local.blue_green) : service.arn], ["arn:aws:ecs:${var.region}:${var.account_id}:task-set/${var.cluster_name}/*"])
      },
      # Describing has no resource to name.
      {
        Effect   = "Allow"
        Action   = ["elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeRules", "cloudwatch:DescribeAlarms"]
        Resource = ["*"]
      },
      {
        Effect = "Allow"
        Action = ["elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyRule"]
        Resource = concat(
          [var.public_listener_arn, var.trial_listener_arn],
          [for listener in [var.public_listener_arn, var.trial_listener_arn] : "${replace(listener, ":listener/", ":listener-rule/")}/*"],
        )
      },
      {
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = var.role_arns
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
      },
    ]
  })
}

resource "aws_codedeploy_deployment_group" "this" {
  for_each = local.blue_green

  app_name               = aws_codedeploy_app.this.name
  deployment_group_name  = each.key
  service_role_arn       = aws_iam_role.codedeploy.arn
  deployment_config_name = local.pace

  deployment_style {
    deployment_option = "WITH_TRAFFIC_CONTROL"
    deployment_type   = "BLUE_GREEN"
  }

  blue_green_deployment_config {
    deployment_ready_option {
      action_on_timeout = "CONTINUE_DEPLOYMENT"
    }

    # The old colour stays whole that long: going back costs nothing.
    terminate_blue_instances_on_deployment_success {
      action                           = "TERMINATE"
      termination_wait_time_in_minutes = var.keep_minutes
    }
  }

  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
  }

  alarm_configuration {
    enabled = length(var.rollback_alarms) > 0
    alarms  = var.rollback_alarms
  }

  ecs_service {
    cluster_name = var.cluster_name
    service_name = each.key
  }

  load_balancer_info {
    target_group_pair_info {
      prod_traffic_route {
        listener_arns = [var.public_listener_arn]
      }

      test_traffic_route {
        listener_arns = [var.trial_listener_arn]
      }

      target_group {
        name = var.target_groups[each.key].blue_name
      }

      target_group {
        name = var.target_groups[each.key].green_name
      }
    }
  }
}
