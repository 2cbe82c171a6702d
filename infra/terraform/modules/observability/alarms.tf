# One map, an entry an alarm. `rollback` marks those that a bad release sets off: deployments watch them.

locals {
  namespace = "Roomlog/${var.name}"

  service_alarms = merge([for name in var.services : {
    "${name}-errors" = {
      text      = "${name} logged errors: data was lost or a human is needed"
      namespace = local.namespace, metric = "errors-${name}", dimensions = {}
      statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 0, periods = 1, rollback = true
    }
    "${name}-cpu" = {
      text      = "${name} is at its CPU for a quarter of an hour: scaling has reached its bound"
      namespace = "AWS/ECS", metric = "CPUUtilization", dimensions = { ClusterName = var.name, ServiceName = name }
      statistic = "Average", comparison = "GreaterThanThreshold", threshold = 90, periods = 15, rollback = false
    }
  }]...)

  edge_alarms = merge(
    {
      edge-errors = {
        text      = "gateways answer with server errors"
        namespace = "AWS/ApplicationELB", metric = "HTTPCode_Target_5XX_Count", dimensions = { LoadBalancer = var.load_balancer_metric }
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 20, periods = 2, rollback = true
      }
      edge-refused = {
        text      = "the load balancer finds no gateway for a request"
        namespace = "AWS/ApplicationELB", metric = "HTTPCode_ELB_5XX_Count", dimensions = { LoadBalancer = var.load_balancer_metric }
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 20, periods = 2, rollback = true
      }
    },
  )

  log_alarms = merge(
    {
      log-controller = {
        text      = "the log has no controller, or two"
        namespace = "AWS/Kafka", metric = "ActiveControllerCount", dimensions = { "Cluster Name" = var.kafka_name }
        statistic = "Sum", comparison = "LessThanThreshold", threshold = 1, periods = 3, rollback = false
      }
      log-offline = {
        text      = "partitions of the log have no leader: sending to their rooms is refused"
        namespace = "AWS/Kafka", metric = "OfflinePartitionsCount", dimensions = { "Cluster Name" = var.kafka_name }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 0, periods = 2, rollback = false
      }
      log-disk = {
        text      = "a broker's volume is nearly full"
        namespace = "AWS/Kafka", metric = "KafkaDataLogsDiskUsed", dimensions = { "Cluster Name" = var.kafka_name }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 80, periods = 5, rollback = false
      }
    },
    {
      for group, seconds in var.lag_seconds : "lag-${group}" => {
        text       = "${group} is behind the log by more than ${seconds} s"
        namespace  = "AWS/Kafka", metric = "EstimatedMaxTimeLag"
        dimensions = { "Cluster Name" = var.kafka_name, "Consumer Group" = group, Topic = "chat.events.v1" }
        statistic  = "Maximum", comparison = "GreaterThanThreshold", threshold = seconds, periods = 3, rollback = true
      }
    },
  )

  store_alarms = merge(
    {
      for short, table in var.table_names : "table-${replace(short, "_", "-")}" => {
        text      = "requests to ${table} are throttled"
        namespace = "AWS/DynamoDB", metric = "ThrottledRequests", dimensions = { TableName = table }
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 100, periods = 5, rollback = false
      }
    },
    {
      cache-memory = {
        text      = "the cache is nearly full: snapshots and recent events are dropped early"
        namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", dimensions = { ReplicationGroupId = var.cache_id }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 85, periods = 5, rollback = false
      }
      cache-cpu = {
        text      = "the cache's one thread is busy: its answers come late"
        namespace = "AWS/ElastiCache", metric = "EngineCPUUtilization", dimensions = { ReplicationGroupId = var.cache_id }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 85, periods = 5, rollback = false
      }
    },
  )

  alarms = merge(local.service_alarms, local.edge_alarms, local.log_alarms, local.store_alarms)
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.text
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = 60
  evaluation_periods  = each.value.periods
  # Most of these say nothing while all is well.
  treat_missing_data = "notBreaching"

  alarm_actions = [aws_sns_topic.alarms.arn]
  ok_actions    = [aws_sns_topic.alarms.arn]
}
