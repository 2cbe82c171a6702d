# Secrets stay out of plans, policies name what they are for, and the token changes.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name          = "roomlog-test"
  account_id    = "123456789012"
  region        = "us-east-1"
  cluster_name  = "roomlog-test"
  cache_id      = "roomlog-test"
  cache_arn     = "arn:aws:elasticache:us-east-1:123456789012:replicationgroup:roomlog-test"
  cache_address = "cache.internal:6379"
  jwt_secret    = "0123456789abcdef0123456789abcdef"
}

run "writes_the_signing_secret_past_the_state" {
  command = plan
  module {
    source = "../../modules/secrets"
  }

  assert {
    condition     = aws_secretsmanager_secret_version.jwt.secret_string_wo_version == 1
    error_message = "the signing secret is an ordinary argument"
  }

  assert {
    condition     = aws_secretsmanager_secret.jwt.kms_key_id == aws_kms_key.this.arn && aws_secretsmanager_secret.cache.kms_key_id == aws_kms_key.this.arn
    error_message = "a secret is not encrypted by the system's key"
  }
}

run "rotates_the_key_and_the_token" {
  command = plan
  module {
    source = "../../modules/secrets"
  }

  assert {
    condition     = aws_kms_key.this.enable_key_rotation
    error_message = "the key never changes"
  }

  assert {
    condition     = aws_scheduler_schedule.rotation.schedule_expression == "rate(30 days)"
    error_message = "the token is not replaced every month"
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.rotation.definition).States.Accept.Parameters.AuthTokenUpdateStrategy == "ROTATE"
    error_message = "the token before is refused at once"
  }
}

run "keeps_no_history_of_a_token" {
  command = plan
  module {
    source = "../../modules/secrets"
  }

  assert {
    condition     = aws_sfn_state_machine.rotation.type == "EXPRESS" && aws_sfn_state_machine.rotation.logging_configuration[0].level == "OFF"
    error_message = "the drawn token can be read in the state machine's history"
  }
}

run "lets_the_rotation_touch_one_secret_and_one_cache" {
  command = plan
  module {
    source = "../../modules/secrets"
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_role_policy.rotation.policy).Statement :
      !contains(statement.Resource, "*") || statement.Action == ["secretsmanager:GetRandomPassword"]
    ])
    error_message = "the rotation may touch more"
  }
}

run "encrypts_settings" {
  command = plan
  module {
    source = "../../modules/secrets"
  }

  assert {
    condition     = alltrue([for parameter in aws_ssm_parameter.this : parameter.type == "SecureString" && startswith(parameter.name, "/roomlog-test/ROOMLOG_")])
    error_message = "a setting is stored in the clear or under another name"
  }
}

run "refuses_a_short_signing_secret" {
  command = plan
  module {
    source = "../../modules/secrets"
  }

  variables {
    jwt_secret = "short"
  }

  expect_failures = [var.jwt_secret]
}

run "replaces_every_task_after_a_rotation" {
  command = plan
  module {
    source = "../../modules/secrets"
  }

  assert {
    condition     = jsondecode(aws_sfn_state_machine.rotation.definition).States.Store.Next == "Restart" && jsondecode(aws_sfn_state_machine.rotation.definition).States.Restart.Parameters.StateMachineArn == aws_sfn_state_machine.restart.arn
    error_message = "tasks keep a token until the cache has forgotten it"
  }

  # That machine keeps a history, so it is told nothing.
  assert {
    condition     = jsonencode(jsondecode(aws_sfn_state_machine.rotation.definition).States.Restart.Parameters.Input) == "{}"
    error_message = "the drawn token is in the history of the restart"
  }

  assert {
    condition     = join(" ", [for service in jsondecode(aws_sfn_state_machine.restart.definition).States.Services.Result.services : service.name]) == "persister fanout-a fanout-b gateway"
    error_message = "a service keeps its secrets, or gateways go before those they ask"
  }

  # One task at a time, and the next when nobody is missing.
  assert {
    condition     = alltrue([for each in [jsondecode(aws_sfn_state_machine.restart.definition).States.EachService] : each.MaxConcurrency == 1 && each.ItemProcessor.States.EachTask.MaxConcurrency == 1 && each.ItemProcessor.States.EachTask.ItemProcessor.States.AllThere.Default == "Settle"])
    error_message = "tasks go at once"
  }

  assert {
    condition     = join(" ", flatten([for statement in jsondecode(aws_iam_role_policy.restart.policy).Statement : [for action in statement.Action : "${action}=${statement.Resource[0]}"]])) == "ecs:ListTasks=* ecs:StopTask=arn:aws:ecs:us-east-1:123456789012:task/roomlog-test/* ecs:DescribeServices=arn:aws:ecs:us-east-1:123456789012:service/roomlog-test/persister"
    error_message = "the restart may touch another cluster"
  }
}
