# How many of each: by CPU for all, by connections for gateways, by lag for whoever must keep up with the log.

locals {
  by_connections = { for name, service in local.running : name => service if service.connections != null }
  # A policy a topic: while there are two, whoever is behind in either is not scaled in.
  by_lag = merge([for name, service in local.running : {
    for topic in var.events_topics : "${name}-${element(split(".", topic), -1)}" => { service = name, lag = service.lag, topic = topic }
  } if service.lag != null]...)

  # How each kind of load balancer counts: the one the client's and the task's side of every connection, summed over its
  # nodes; the other one flows, each once.
  connection_count = {
    alb = { namespace = "AWS/ApplicationELB", metric = "ActiveConnectionCount", stat = "Sum", each = "connections / 2 / tasks" }
    nlb = { namespace = "AWS/NetworkELB", metric = "ActiveFlowCount", stat = "Maximum", each = "connections / tasks" }
  }[var.load_balancer_kind]
  service_names = merge(
    { for name, service in aws_ecs_service.rolling : name => service.name },
    { for name, service in aws_ecs_service.blue_green : name => service.name },
  )
}

resource "aws_appautoscaling_target" "service" {
  for_each = local.running

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${local.service_names[each.key]}"
  min_capacity       = local.sizes[each.key].min
  max_capacity       = local.sizes[each.key].max

  lifecycle {
    # A stopped environment has its bounds set to nought until it is started again.
    ignore_changes = [min_capacity, max_capacity]
  }
}

resource "aws_appautoscaling_policy" "cpu" {
  for_each = local.running

  name               = "${var.name}-${each.key}-cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.service[each.key].service_namespace
  scalable_dimension = aws_appautoscaling_target.service[each.key].scalable_dimension
  resource_id        = aws_appautoscaling_target.service[each.key].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.cpu_target
    scale_out_cooldown = 60
    # Slowly back: every task that leaves closes connections or hands partitions over.
    scale_in_cooldown = 600

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}

resource "aws_appautoscaling_policy" "connections" {
  for_each = local.by_connections

  name               = "${var.name}-${each.key}-connections"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.service[each.key].service_namespace
  scalable_dimension = aws_appautoscaling_target.service[each.key].scalable_dimension
  resource_id        = aws_appautoscaling_target.service[each.key].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = each.value.connections
    scale_out_cooldown = 60
    scale_in_cooldown  = 600

    customized_metric_specification {
      metrics {
        id = "connections"
        metric_stat {
          stat = local.connection_count.stat
          metric {
            namespace   = local.connection_count.namespace
            metric_name = local.connection_count.metric
            dimensions {
              name  = "LoadBalancer"
              value = var.load_balancer_metric
            }
          }
        }
        return_data = false
      }

      metrics {
        id = "tasks"
        metric_stat {
          stat = "Average"
          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"
            dimensions {
              name  = "ClusterName"
              value = aws_ecs_cluster.this.name
            }
            dimensions {
              name  = "ServiceName"
              value = local.service_names[each.key]
            }
          }
        }
        return_data = false
      }

      metrics {
        id          = "each"
        label       = "Connections of one task"
        return_data = true
        expression  = local.connection_count.each
      }
    }
  }
}

resource "aws_appautoscaling_policy" "lag" {
  for_each = local.by_lag

  name               = "${var.name}-${each.key}-lag"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.service[each.value.service].service_namespace
  scalable_dimension = aws_appautoscaling_target.service[each.value.service].scalable_dimension
  resource_id        = aws_appautoscaling_target.service[each.value.service].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = each.value.lag.records
    scale_out_cooldown = 120
    scale_in_cooldown  = 900

    customized_metric_specification {
      namespace   = "AWS/Kafka"
      metric_name = "MaxOffsetLag"
      statistic   = "Maximum"

      dimensions {
        name  = "Cluster Name"
        value = var.kafka_name
      }
      dimensions {
        name  = "Consumer Group"
        value = each.value.lag.group
      }
      dimensions {
        name  = "Topic"
        value = each.value.topic
      }
    }
  }
}
