# One page: from the clients' side at the top down to the stores. The services' own figures are in Grafana.

locals {
  # A row each: title, then the metrics on it as CloudWatch spells them.
  rows = {
    "1 connections"   = [["AWS/ApplicationELB", "ActiveConnectionCount", "LoadBalancer", var.load_balancer_metric, { stat = "Sum" }]]
    "2 server errors" = [for metric in ["HTTPCode_Target_5XX_Count", "HTTPCode_ELB_5XX_Count"] : ["AWS/ApplicationELB", metric, "LoadBalancer", var.load_balancer_metric, { stat = "Sum" }]]
    "3 CPU"           = [for name in sort(var.services) : ["AWS/ECS", "CPUUtilization", "ClusterName", var.name, "ServiceName", name, { stat = "Average" }]]
    "4 tasks"         = [for name in sort(var.services) : ["ECS/ContainerInsights", "RunningTaskCount", "ClusterName", var.name, "ServiceName", name, { stat = "Average" }]]
    "5 lag, seconds"  = [for group in sort(keys(var.lag_seconds)) : ["AWS/Kafka", "EstimatedMaxTimeLag", "Cluster Name", var.kafka_name, "Consumer Group", group, "Topic", "chat.events.v1", { stat = "Maximum" }]]
    "6 log disk"      = [["AWS/Kafka", "KafkaDataLogsDiskUsed", "Cluster Name", var.kafka_name, { stat = "Maximum" }]]
    "7 tables"        = [for short in sort(keys(var.table_names)) : ["AWS/DynamoDB", "ThrottledRequests", "TableName", var.table_names[short], { stat = "Sum" }]]
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
