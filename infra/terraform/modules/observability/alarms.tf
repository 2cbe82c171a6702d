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

  alb = var.load_balancer_kind == "alb"

  edge_alarms = merge(
    { for key, alarm in {
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
    } : key => alarm if local.alb },
    # It reads no answers: it sees connections that gateways break off, and gateways that do not say they are well.
    { for key, alarm in {
      edge-errors = {
        text      = "gateways break connections off"
        namespace = "AWS/NetworkELB", metric = "TCP_Target_Reset_Count", dimensions = { LoadBalancer = var.load_balancer_metric }
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 200, periods = 2, rollback = true
      }
    } : key => alarm if !local.alb },
    { for colour, group in var.target_group_metrics : "edge-unwell-${colour}" => {
      text      = "gateways do not answer the load balancer's health check"
      namespace = "AWS/NetworkELB", metric = "UnHealthyHostCount", dimensions = { LoadBalancer = var.load_balancer_metric, TargetGroup = group }
      statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 0, periods = 5, rollback = true
    } if !local.alb },
  )

  log_alarms = merge(
    { for key, alarm in {
      log-controller = {
        text      = "the log has no controller"
        namespace = "AWS/Kafka", metric = "ActiveControllerCount", dimensions = { "Cluster Name" = var.kafka_name }
        statistic = "Sum", comparison = "LessThanThreshold", threshold = 1, periods = 3, rollback = false
      }
      log-offline = {
        text      = "partitions of the log have no leader: sending to their rooms is refused"
        namespace = "AWS/Kafka", metric = "OfflinePartitionsCount", dimensions = { "Cluster Name" = var.kafka_name }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 0, periods = 2, rollback = false
      }
    } : key => alarm if length(var.broker_ids) > 0 },
    {
      for broker in var.broker_ids : "log-disk-${broker}" => {
        text      = "the volume of broker ${broker} is nearly full"
        namespace = "AWS/Kafka", metric = "KafkaDataLogsDiskUsed", dimensions = { "Cluster Name" = var.kafka_name, "Broker ID" = broker }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 80, periods = 5, rollback = false
      }
    },
    {
      for lag in local.lags : "lag-${lag.group}-${lag.generation}" => {
        text       = "${lag.group} is behind ${lag.topic} by more than ${lag.seconds} s"
        namespace  = "AWS/Kafka", metric = "EstimatedMaxTimeLag"
        dimensions = { "Cluster Name" = var.kafka_name, "Consumer Group" = lag.group, Topic = lag.topic }
        statistic  = "Maximum", comparison = "GreaterThanThreshold", threshold = lag.seconds, periods = 3, rollback = true
      }
    },
  )

  lags = flatten([for topic in var.events_topics : [for group in sort(keys(var.lag_seconds)) : {
    group = group, topic = topic, generation = element(split(".", topic), -1), seconds = var.lag_seconds[group]
  }]])

  # Requests are counted by table and operation; what of them was throttled, by table alone, and by table and index.
  throttled = merge(
    { for short, table in var.table_names : short => { name = table, dimensions = { TableName = table } } },
    merge([for short, indexes in var.table_indexes : { for index in indexes : "${short}-${index}" => {
      name       = "${var.table_names[short]}'s index ${index}"
      dimensions = { TableName = var.table_names[short], GlobalSecondaryIndexName = index }
    } }]...),
  )

  store_alarms = merge(
    merge([for kind in ["Read", "Write"] : {
      for short, throttled in local.throttled : "table-${replace(short, "_", "-")}-${lower(kind)}s" => {
        text      = "${lower(kind)}s of ${throttled.name} are throttled"
        namespace = "AWS/DynamoDB", metric = "${kind}ThrottleEvents", dimensions = throttled.dimensions
        statistic = "Sum", comparison = "GreaterThanThreshold", threshold = 100, periods = 5, rollback = false
      }
    }]...),
    {
      for node in var.cache_node_ids : "cache-memory-${element(split("-", node), -1)}" => {
        text      = "${node} of the cache is nearly full: snapshots and recent events are dropped early"
        namespace = "AWS/ElastiCache", metric = "DatabaseMemoryUsagePercentage", dimensions = { CacheClusterId = node }
        statistic = "Maximum", comparison = "GreaterThanThreshold", threshold = 85, periods = 5, rollback = false
      }
    },
    {
      for node in var.cache_node_ids : "cache-cpu-${element(split("-", node), -1)}" => {
        text      = "the one thread of ${node} of the cache is busy: its answers come late"
        namespace = "AWS/ElastiCache", metric = "EngineCPUUtilization", dimensions = { CacheClusterId = node }
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
