# A task reads its secrets when it starts. After a rotation every task is replaced, one after another, or one older than two
# rotations could never connect again. Stopping a task is what a deployment and a scale-in do as well: it drains, clients
# resume elsewhere, and ECS starts another. So nothing else has to be known of how a service is deployed.

locals {
  # Seconds a stopping task and the one in its place get before the service is looked at.
  restart_wait_s = 120

  restart = {
    Comment = "Replaces the tasks of ${var.cluster_name} one after another, so that they read their secrets"
    StartAt = "Services"
    # Far more than the most tasks take; what is not done by then needs a human.
    TimeoutSeconds = 21600
    States = {
      Services = {
        Type   = "Pass"
        Result = { services = [for name in var.services : { name = name }] }
        Next   = "EachService"
      }
      EachService = {
        Type           = "Map"
        ItemsPath      = "$.services"
        MaxConcurrency = 1
        End            = true
        ItemProcessor = {
          ProcessorConfig = { Mode = "INLINE" }
          StartAt         = "List"
          States = {
            List = {
              Type       = "Task"
              Resource   = "arn:aws:states:::aws-sdk:ecs:listTasks"
              Parameters = { Cluster = var.cluster_name, "ServiceName.$" = "$.name" }
              ResultPath = "$.tasks"
              Retry      = local.restart_retry
              Next       = "EachTask"
            }
            EachTask = {
              Type           = "Map"
              ItemsPath      = "$.tasks.TaskArns"
              ItemSelector   = { "service.$" = "$.name", "task.$" = "$$.Map.Item.Value" }
              MaxConcurrency = 1
              End            = true
              ItemProcessor = {
                ProcessorConfig = { Mode = "INLINE" }
                StartAt         = "Stop"
                States          = local.restart_task
              }
            }
          }
        }
      }
    }
  }

  restart_task = {
    Stop = {
      Type       = "Task"
      Resource   = "arn:aws:states:::aws-sdk:ecs:stopTask"
      Parameters = { Cluster = var.cluster_name, "Task.$" = "$.task", Reason = "its secrets have changed" }
      ResultPath = null
      # One that has gone by itself meanwhile.
      Catch = [{ ErrorEquals = ["Ecs.InvalidParameterException"], ResultPath = null, Next = "Settle" }]
      Retry = local.restart_retry
      Next  = "Settle"
    }
    Settle = { Type = "Wait", Seconds = local.restart_wait_s, Next = "Look" }
    Look = {
      Type       = "Task"
      Resource   = "arn:aws:states:::aws-sdk:ecs:describeServices"
      Parameters = { Cluster = var.cluster_name, "Services.$" = "States.Array($.service)" }
      ResultSelector = {
        "running.$" = "$.Services[0].RunningCount"
        "wanted.$"  = "$.Services[0].DesiredCount"
      }
      ResultPath = "$.count"
      Retry      = local.restart_retry
      Next       = "AllThere"
    }
    # The next one is stopped when nobody is missing.
    AllThere = {
      Type    = "Choice"
      Choices = [{ Variable = "$.count.running", NumericGreaterThanEqualsPath = "$.count.wanted", Next = "Done" }]
      Default = "Settle"
    }
    Done = { Type = "Succeed" }
  }

  # Not for what can't be mended by trying again; that is caught first.
  restart_retry = [{ ErrorEquals = ["Ecs.ServerException", "Ecs.ThrottlingException", "States.Timeout"], IntervalSeconds = 5, MaxAttempts = 5, BackoffRate = 2 }]
}

resource "aws_iam_role" "restart" {
  name               = "${var.name}-restart"
  assume_role_policy = local.trust["states"]
}

resource "aws_iam_role_policy" "restart" {
  name = "replace-tasks"
  role = aws_iam_role.restart.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # Listing has no resource to name but the cluster, as a condition.
      {
        Effect    = "Allow"
        Action    = ["ecs:ListTasks"]
        Resource  = ["*"]
        Condition = { ArnEquals = { "ecs:cluster" = "arn:aws:ecs:${var.region}:${var.account_id}:cluster/${var.cluster_name}" } }
      },
      { Effect = "Allow", Action = ["ecs:StopTask"], Resource = ["arn:aws:ecs:${var.region}:${var.account_id}:task/${var.cluster_name}/*"] },
      { Effect = "Allow", Action = ["ecs:DescribeServices"], Resource = [for name in var.services : "arn:aws:ecs:${var.region}:${var.account_id}:service/${var.cluster_name}/${name}"] },
    ]
  })
}

resource "aws_sfn_state_machine" "restart" {
  name       = "${var.name}-restart"
  role_arn   = aws_iam_role.restart.arn
  definition = jsonencode(local.restart)

  depends_on = [aws_iam_role_policy.restart]
}
