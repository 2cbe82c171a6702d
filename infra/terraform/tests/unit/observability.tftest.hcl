# Logs go after two weeks, alarms reach somebody, and bad releases are known by them.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name                 = "roomlog-test"
  account_id           = "123456789012"
  region               = "us-east-1"
  kms_key_arn          = "arn:aws:kms:us-east-1:123456789012:key/system"
  services             = ["gateway", "fanout-a", "fanout-b", "persister"]
  mail                 = ["operator@example.com"]
  kafka_name           = "roomlog-test"
  load_balancer_metric = "app/roomlog-test/1"
  table_names          = { events = "test.events", rooms_of = "test.rooms_of" }
  cache_id             = "roomlog-test"
}

run "keeps_logs_for_two_weeks" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.service : group.retention_in_days == 14 && group.kms_key_id == "arn:aws:kms:us-east-1:123456789012:key/system"])
    error_message = "logs stay for another time or are not encrypted"
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == "arn:aws:kms:us-east-1:123456789012:key/system"
    error_message = "alarms are not encrypted"
  }
}

run "tells_somebody_of_every_alarm" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length(alarm.alarm_actions) == 1 && alarm.alarm_description != ""])
    error_message = "an alarm rings unheard or does not say why"
  }

  assert {
    condition     = alltrue([for name in ["log-offline", "log-controller", "lag-persister", "lag-fanout-a", "edge-errors", "cache-memory", "table-events", "gateway-errors"] : contains(keys(aws_cloudwatch_metric_alarm.this), name)])
    error_message = "an alarm is missing"
  }
}

run "hands_the_alarms_of_bad_releases_to_deployments" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  assert {
    condition     = contains(output.rollback_alarms, "roomlog-test-gateway-errors") && !contains(output.rollback_alarms, "roomlog-test-log-disk")
    error_message = "deployments watch too little or too much"
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 8
    error_message = "the dashboard lacks a widget"
  }
}
