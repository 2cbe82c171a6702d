# A sleeping environment has no tasks, and wakes consumers before gateways.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name         = "roomlog-test"
  account_id   = "123456789012"
  region       = "us-east-1"
  kms_key_arn  = "arn:aws:kms:us-east-1:123456789012:key/system"
  cluster_name = "roomlog-test"
  services = {
    gateway   = { arn = "arn:aws:ecs:us-east-1:123456789012:service/roomlog-test/gateway", deployment = "blue_green", min = 2, max = 4 }
    persister = { arn = "arn:aws:ecs:us-east-1:123456789012:service/roomlog-test/persister", deployment = "rolling", min = 2, max = 4 }
  }
}

run "sleeps_with_no_tasks_and_wakes_with_all" {
  command = plan
  module {
    source = "../../modules/schedule"
  }

  assert {
    condition     = jsondecode(aws_scheduler_schedule.this["stop"].target[0].input).services == [{ max = 0, min = 0, name = "gateway" }, { max = 0, min = 0, name = "persister" }]
    error_message = "something runs on at night, or consumers stop first"
  }

  assert {
    condition     = jsondecode(aws_scheduler_schedule.this["start"].target[0].input).services == [{ max = 4, min = 2, name = "persister" }, { max = 4, min = 2, name = "gateway" }]
    error_message = "not everything wakes, or gateways wake first"
  }
}

run "touches_its_own_services_only" {
  command = plan
  module {
    source = "../../modules/schedule"
  }

  assert {
    condition     = toset(jsondecode(aws_iam_role_policy.machine.policy).Statement[0].Resource) == toset([for service in var.services : service.arn])
    error_message = "other services can be stopped"
  }

  assert {
    condition     = aws_sfn_state_machine.this.tracing_configuration[0].enabled && contains(flatten([for statement in jsondecode(aws_iam_role_policy.machine.policy).Statement : statement.Action]), "xray:PutTraceSegments")
    error_message = "its traces are asked for and may not be written"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.clock.policy).Statement[0].Resource == [aws_sfn_state_machine.this.arn]
    error_message = "a clock can start something else"
  }
}

run "refuses_what_is_no_cron_expression" {
  command = plan
  module {
    source = "../../modules/schedule"
  }

  variables {
    start = "every morning"
  }

  expect_failures = [var.start]
}
