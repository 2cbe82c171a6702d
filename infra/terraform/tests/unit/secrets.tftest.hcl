# Secrets stay out of plans, policies name what they are for, and the token changes.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name          = "roomlog-test"
  account_id    = "123456789012"
  region        = "us-east-1"
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
