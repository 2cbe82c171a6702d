output "log_group_names" {
  description = "By service: its log group."
  value       = { for name, group in aws_cloudwatch_log_group.service : name => group.name }
}

output "log_group_arns" {
  description = "By service: its log group's ARN."
  value       = { for name, group in aws_cloudwatch_log_group.service : name => group.arn }
}

output "alarm_topic_arn" {
  description = "Where alarms are published."
  value       = aws_sns_topic.alarms.arn
}

output "figures" {
  description = "Where the services' figures are written: the workspace's address and ARN."
  value = {
    endpoint      = aws_prometheus_workspace.this.prometheus_endpoint
    workspace_arn = aws_prometheus_workspace.this.arn
  }
}

output "rollback_alarms" {
  description = "Alarms that a bad release sets off."
  value       = toset([for name, alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name if local.alarms[name].rollback])
}
