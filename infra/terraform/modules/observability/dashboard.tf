# One page: from the clients' side at the top down to the stores. The services' own figures are in Grafana.

locals {
  edge_rows = local.alb ? {
    connections = [["AWS/ApplicationELB", "ActiveConnectionCount", "LoadBalancer", var.load_balancer_metric, { stat = "Sum" }]]
    errors      = [for metric in ["HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"] : ["AWS/ApplicationELB", metric, "LoadBalancer", var.load_balancer_metric, { stat = "Sum" }]]
    } : {
    connections = [["AWS/NetworkELB", "ActiveFlowCount", "LoadBalancer", var.load_balancer_metric, { stat = "Maximum" }]]
    errors      = [for metric in ["TCP_Target_Reset_Count", "TCP_ELB_Reset_Count"] : ["AWS/NetworkELB", metric, "LoadBalancer", var.load_balancer_metric, { stat = "Sum" }]]
  }

  # A row each: title, then the metrics on it as CloudWatch spells them.
  rows = {
    "1 connections"   = local.edge_rows.connections
    "2 edge errors"   = local.edge_rows.errors
    "3 CPU"           = [for name in sort(var.services) : ["AWS/ECS", "CPUUtilization", "ClusterName", var.name, "ServiceName", name, { stat = "Average" }]]
    "4 tasks"         = [for name in sort(var.services) : ["ECS/ContainerInsights", "RunningTaskCount", "ClusterName", var.name, "ServiceName", name, { stat = "Average" }]]
    "5 lag, seconds"  = [for lag in local.lags : ["AWS/Kafka", "EstimatedMaxTimeLag", "Cluster Name", var.kafka_name, "Consumer Group", lag.group, "Topic", lag.topic, { stat = "Maximum" }]]
    "6 log disk"      = [for broker in var.broker_ids : ["AWS/Kafka", "KafkaDataLogsDiskUsed", "Cluster Name", var.kafka_name, "Broker ID", broker, { stat = "Maximum" }]]
    "7 tables"        = flatten([for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] : [for short in sort(keys(var.table_names)) : { line = ["AWS/DynamoDB", metric, "TableName", var.table_names[short], { stat = "Sum" }] }]])[*].line
    "8 errors logged" = [for name in sort(var.services) : [local.namespace, "errors-${name}", { stat = "Sum" }]]
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [for index, title in sort(keys(local.rows)) : {
      type   = "metric"
      x      = index % 2 * 12
      y      = floor(index / 2) * 6
      width  = 12
      height = 6
      properties = {
        title   = trimspace(substr(title, 2, -1))
        region  = var.region
        period  = 60
        metrics = local.rows[title]
      }
    }]
  })
}
