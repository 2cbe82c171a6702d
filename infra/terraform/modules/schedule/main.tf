# A development environment sleeps outside working hours. Its services go to nought and come back; Kafka and the cache
# can't be stopped and run on. Clocks are EventBridge's, the work is done by one state machine.

locals {
  # For every service: first its bounds, or the scaling would start it again, then its count.
  machine = {
    Comment = "Sets how many tasks the services of ${var.name} have"
    StartAt = "Services"
    States = {
      Services = {
        Type           = "Map"
        ItemsPath      = "$.services"
        MaxConcurrency = 1
        End            = true
        ItemProcessor = {
          ProcessorConfig = { Mode = "INLINE" }
          StartAt         = "Bounds"
          States = {
            Bounds = {
              Type     = "Task"
              Resource = "arn:aws:states:::aws-sdk:applicationautoscaling:registerScalableTarget"
              Parameters = {
                ServiceNamespace  = "ecs"
                ScalableDimension = "ecs:service:DesiredCount"
                "ResourceId.$"    = "States.Format('service/${var.cluster_name}/{}', $.name)"
                "MinCapacity.$"   = "$.min"
                "MaxCapacity.$"   = "$.max"
              }
              ResultPath = null
              Next       = "Count"
              Retry      = local.retry
            }
            Count = {
              Type     = "Task"
              Resource = "arn:aws:states:::aws-sdk:ecs:updateService"
              Parameters = {
                Cluster          = var.cluster_name
                "Service.$"      = "$.name"
                "DesiredCount.$" = "$.min"
              }
              ResultPath = null
              End        = true
              Retry      = local.retry
            }
          }
        }
      }
    }
  }

  retry = [{ ErrorEquals = ["States.ALL"], IntervalSeconds = 5, MaxAttempts = 3, BackoffRate = 2 }]

  # Who may take on a role: a service of AWS, for this account alone.
  trust = { for service in ["states", "scheduler"] : service => jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "${service}.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  }) }

  # Stores first, then who forwards, then who lets clients in; the other way round when stopping.
  order = concat(
    [for name in sort(keys(var.services)) : name if var.services[name].deployment == "rolling"],
    [for name in sort(keys(var.services)) : name if var.services[name].deployment == "blue_green"],
  )

  clocks = {
    start = {
      expression = var.start
      services   = [for name in local.order : { name = name, min = var.services[name].min, max = var.services[name].max }]
    }
    stop = {
      expression = var.stop
      services   = [for name in reverse(local.order) : { name = name, min = 0, max = 0 }]
    }
  }
}

resource "aws_cloudwatch_log_group" "machine" {
  name              = "/${var.name}/schedule"
  retention_in_days = 14
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "machine" {
  name               = "${var.name}-schedule"
  assume_role_policy = local.trust["states"]
}

resource "aws_iam_role_policy" "machine" {
  name = "count-tasks"
  role = aws_iam_role.machine.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["ecs:UpdateService"], Resource = [for name in local.order : var.services[name].arn] },
      {
        Effect   = "Allow"
        Action   = ["application-autoscaling:RegisterScalableTarget"]
        Resource = ["arn:aws:application-autoscaling:${var.region}:${var.account_id}:scalable-target/*"]
        Condition = {
          StringEquals = { "application-autoscaling:service-namespace" = "ecs" }
        }
      },
      # Delivering logs to CloudWatch knows no narrower resource.
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"]
        Resource = ["*"]
      },
      # Nor do traces.
      { Effect = "Allow", Action = ["xray:PutTraceSegments", "xray:PutTelemetryRecords", "xray:GetSamplingRules", "xray:GetSamplingTargets"], Resource = ["*"] },
    ]
  })
}

resource "aws_sfn_state_machine" "this" {
  name       = "${var.name}-schedule"
  role_arn   = aws_iam_role.machine.arn
  definition = jsonencode(local.machine)

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.machine.arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  depends_on = [aws_iam_role_policy.machine]
}

resource "aws_iam_role" "clock" {
  name               = "${var.name}-clock"
  assume_role_policy = local.trust["scheduler"]
}

resource "aws_iam_role_policy" "clock" {
  name = "start-machine"
  role = aws_iam_role.clock.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["states:StartExecution"], Resource = [aws_sfn_state_machine.this.arn] }]
  })
}

resource "aws_scheduler_schedule" "this" {
  for_each = local.clocks

  name                         = "${var.name}-${each.key}"
  description                  = "${title(each.key)}s the services of ${var.name}"
  schedule_expression          = each.value.expression
  schedule_expression_timezone = var.timezone
  state                        = var.enabled ? "ENABLED" : "DISABLED"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sfn_state_machine.this.arn
    role_arn = aws_iam_role.clock.arn
    input    = jsonencode({ services = each.value.services })
  }
}
