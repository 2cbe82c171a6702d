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
  broker_ids           = ["1", "2", "3"]
  rules                = "groups: [{ name: one, rules: [{ alert: Down, expr: up == 0 }] }]"
  table_names          = { events = "test.events", rooms_of = "test.rooms_of", rooms = "test.rooms" }
  table_indexes        = { rooms = ["by_partition"] }
  cache_node_ids       = ["roomlog-test-001", "roomlog-test-002"]
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
    condition     = alltrue([for name in ["log-offline", "log-controller", "log-disk-3", "lag-persister-v1", "lag-fanout-a-v1", "edge-errors", "cache-memory-001", "cache-cpu-002", "table-events-writes", "table-rooms-by-partition-writes", "gateway-errors"] : contains(keys(aws_cloudwatch_metric_alarm.this), name)])
    error_message = "an alarm is missing"
  }
}

run "hands_the_alarms_of_bad_releases_to_deployments" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  assert {
    condition     = contains(output.rollback_alarms, "roomlog-test-gateway-errors") && !contains(output.rollback_alarms, "roomlog-test-log-disk-1")
    error_message = "deployments watch too little or too much"
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 8
    error_message = "the dashboard lacks a widget"
  }
}

# What is not reported counts as well, so an alarm over figures that nobody reports would never ring. These are the sets
# of dimensions under which AWS reports each.
run "watches_metrics_that_exist" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  assert {
    condition = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : contains([
      "AWS/ECS CPUUtilization by ClusterName, ServiceName",
      "AWS/ApplicationELB HTTPCode_Target_5XX_Count by LoadBalancer",
      "AWS/ApplicationELB HTTPCode_ELB_5XX_Count by LoadBalancer",
      "AWS/Kafka ActiveControllerCount by Cluster Name",
      "AWS/Kafka OfflinePartitionsCount by Cluster Name",
      "AWS/Kafka KafkaDataLogsDiskUsed by Broker ID, Cluster Name",
      "AWS/Kafka EstimatedMaxTimeLag by Cluster Name, Consumer Group, Topic",
      "AWS/ElastiCache DatabaseMemoryUsagePercentage by CacheClusterId",
      "AWS/ElastiCache EngineCPUUtilization by CacheClusterId",
      "AWS/DynamoDB ReadThrottleEvents by TableName",
      "AWS/DynamoDB ReadThrottleEvents by GlobalSecondaryIndexName, TableName",
      "AWS/DynamoDB WriteThrottleEvents by TableName",
      "AWS/DynamoDB WriteThrottleEvents by GlobalSecondaryIndexName, TableName",
      "Roomlog/roomlog-test errors-gateway by ",
      "Roomlog/roomlog-test errors-fanout-a by ",
      "Roomlog/roomlog-test errors-fanout-b by ",
      "Roomlog/roomlog-test errors-persister by ",
    ], "${alarm.namespace} ${alarm.metric_name} by ${join(", ", sort(keys(coalesce(alarm.dimensions, {}))))}")])
    error_message = "an alarm watches what AWS does not report"
  }

  # A line of the dashboard is namespace, metric, names and values in turn, and how it is drawn.
  assert {
    condition = alltrue(flatten([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : [for line in widget.properties.metrics : contains([
      "AWS/ApplicationELB ActiveConnectionCount by LoadBalancer",
      "AWS/ApplicationELB HTTPCode_Target_5XX_Count by LoadBalancer",
      "AWS/ApplicationELB HTTPCode_ELB_5XX_Count by LoadBalancer",
      "AWS/ECS CPUUtilization by ClusterName, ServiceName",
      "ECS/ContainerInsights RunningTaskCount by ClusterName, ServiceName",
      "AWS/Kafka EstimatedMaxTimeLag by Cluster Name, Consumer Group, Topic",
      "AWS/Kafka KafkaDataLogsDiskUsed by Broker ID, Cluster Name",
      "AWS/DynamoDB ReadThrottleEvents by TableName",
      "AWS/DynamoDB WriteThrottleEvents by TableName",
      "Roomlog/roomlog-test errors-gateway by ",
      "Roomlog/roomlog-test errors-fanout-a by ",
      "Roomlog/roomlog-test errors-fanout-b by ",
      "Roomlog/roomlog-test errors-persister by ",
    ], "${line[0]} ${line[1]} by ${length(line) > 3 ? join(", ", sort([for at in range(2, length(line) - 1, 2) : line[at]])) : ""}")]]))
    error_message = "the dashboard shows what AWS does not report"
  }

  assert {
    condition     = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets : length(widget.properties.metrics) > 0])
    error_message = "a widget is empty"
  }
}

run "knows_how_a_network_load_balancer_counts" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  variables {
    load_balancer_kind   = "nlb"
    load_balancer_metric = "net/roomlog-test/1"
    target_group_metrics = { gateway-blue = "targetgroup/blue/1", gateway-green = "targetgroup/green/1" }
  }

  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => "${alarm.namespace} ${alarm.metric_name} by ${join(", ", sort(keys(alarm.dimensions)))}" if startswith(name, "edge-") } == { edge-errors = "AWS/NetworkELB TCP_Target_Reset_Count by LoadBalancer", edge-unwell-gateway-blue = "AWS/NetworkELB UnHealthyHostCount by LoadBalancer, TargetGroup", edge-unwell-gateway-green = "AWS/NetworkELB UnHealthyHostCount by LoadBalancer, TargetGroup" }
    error_message = "the edge is watched by figures it does not report"
  }

  assert {
    condition     = !strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "ApplicationELB")
    error_message = "the dashboard shows the other kind of load balancer"
  }
}

run "watches_nothing_of_brokers_that_aws_runs_unseen" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  variables {
    broker_ids = []
  }

  assert {
    condition     = [for name in keys(aws_cloudwatch_metric_alarm.this) : name if startswith(name, "log-")] == []
    error_message = "an alarm waits for a broker that reports nothing"
  }
}

run "watches_readers_of_a_successor_too" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  variables {
    events_topics = ["chat.events.v1", "chat.events.v2"]
  }

  assert {
    condition     = { for name, alarm in aws_cloudwatch_metric_alarm.this : name => alarm.dimensions.Topic if startswith(name, "lag-persister") } == { lag-persister-v1 = "chat.events.v1", lag-persister-v2 = "chat.events.v2" }
    error_message = "nobody is told when readers of the successor are behind"
  }
}

run "tells_the_same_people_of_what_the_rules_find" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  assert {
    condition     = aws_prometheus_rule_group_namespace.this.data == var.rules
    error_message = "the rules are not those of the repository"
  }

  assert {
    condition     = yamldecode(yamldecode(aws_prometheus_alert_manager_definition.this.definition).alertmanager_config).receivers[0].sns_configs[0].topic_arn == aws_sns_topic.alarms.arn
    error_message = "an alert reaches nobody"
  }

  assert {
    condition     = [for statement in jsondecode(aws_sns_topic_policy.alarms.policy).Statement : statement.Condition.ArnEquals["aws:SourceArn"] if statement.Principal.Service == "aps.amazonaws.com"][0] == aws_prometheus_workspace.this.arn
    error_message = "the workspace may not tell, or another one may"
  }
}

run "refuses_rules_that_are_none" {
  command = plan
  module {
    source = "../../modules/observability"
  }

  variables {
    rules = "groups: []"
  }

  expect_failures = [var.rules]
}
