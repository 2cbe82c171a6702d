# The cache's token is replaced on a schedule. The cache takes the new one and the one before it, so services change
# over as they are restarted, which the last step begins, and nobody is cut off. An express state machine, with its logging off, keeps no history:
# the token it draws is seen nowhere but in the secret.

locals {
  rotation = {
    Comment = "Replaces the token of the cache of ${var.name}"
    StartAt = "Draw"
    States = {
      Draw = {
        Type       = "Task"
        Resource   = "arn:aws:states:::aws-sdk:secretsmanager:getRandomPassword"
        Parameters = { PasswordLength = 64, ExcludePunctuation = true }
        Next       = "Accept"
      }
      Accept = {
        Type     = "Task"
        Resource = "arn:aws:states:::aws-sdk:elasticache:modifyReplicationGroup"
        Parameters = {
          ReplicationGroupId      = var.cache_id
          "AuthToken.$"           = "$.RandomPassword"
          AuthTokenUpdateStrategy = "ROTATE"
          ApplyImmediately        = true
        }
        ResultPath = null
        Next       = "Settle"
      }
      # Until the nodes know the token nobody may be told it.
      Settle = { Type = "Wait", Seconds = 120, Next = "Store" }
      Store = {
        Type     = "Task"
        Resource = "arn:aws:states:::aws-sdk:secretsmanager:putSecretValue"
        Parameters = {
          SecretId         = aws_secretsmanager_secret.cache.arn
          "SecretString.$" = "States.Format('rediss://:{}@${var.cache_address}/', $.RandomPassword)"
        }
        ResultPath = null
        Next       = "Restart"
      }
      # Of all this it is told nothing, as it keeps a history.
      Restart = {
        Type       = "Task"
        Resource   = "arn:aws:states:::states:startExecution"
        Parameters = { StateMachineArn = aws_sfn_state_machine.restart.arn, Input = {} }
        ResultPath = null
        End        = true
      }
    }
  }

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
}

resource "aws_iam_role" "rotation" {
  name               = "${var.name}-rotation"
  assume_role_policy = local.trust["states"]
}

resource "aws_iam_role_policy" "rotation" {
  name = "rotate-cache-token"
  role = aws_iam_role.rotation.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # Drawing a random password has no resource to name.
      { Effect = "Allow", Action = ["secretsmanager:GetRandomPassword"], Resource = ["*"] },
      { Effect = "Allow", Action = ["elasticache:ModifyReplicationGroup"], Resource = [var.cache_arn] },
      { Effect = "Allow", Action = ["secretsmanager:PutSecretValue"], Resource = [aws_secretsmanager_secret.cache.arn] },
      { Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [aws_kms_key.this.arn] },
      { Effect = "Allow", Action = ["states:StartExecution"], Resource = [aws_sfn_state_machine.restart.arn] },
    ]
  })
}

resource "aws_sfn_state_machine" "rotation" {
  name       = "${var.name}-rotate-cache-token"
  type       = "EXPRESS"
  role_arn   = aws_iam_role.rotation.arn
  definition = jsonencode(local.rotation)

  logging_configuration {
    level = "OFF"
  }
}

resource "aws_iam_role" "rotation_clock" {
  name               = "${var.name}-rotation-clock"
  assume_role_policy = local.trust["scheduler"]
}

resource "aws_iam_role_policy" "rotation_clock" {
  name = "start-rotation"
  role = aws_iam_role.rotation_clock.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = ["states:StartExecution"], Resource = [aws_sfn_state_machine.rotation.arn] }]
  })
}

resource "aws_scheduler_schedule" "rotation" {
  name                = "${var.name}-rotate-cache-token"
  description         = "Replaces the cache's token"
  schedule_expression = "rate(${var.rotation_days} days)"

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 60
  }

  target {
    arn      = aws_sfn_state_machine.rotation.arn
    role_arn = aws_iam_role.rotation_clock.arn
  }
}
