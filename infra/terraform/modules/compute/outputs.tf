output "cluster_name" {
  description = "The cluster."
  value       = aws_ecs_cluster.this.name
}

output "cluster_arn" {
  description = "The cluster's ARN."
  value       = aws_ecs_cluster.this.arn
}

output "services" {
  description = "By service: its ARN, how it is deployed, and how many tasks it has at least and at most."
  value = {
    for name, service in local.running : name => {
      arn        = service.deployment == "rolling" ? aws_ecs_service.rolling[name].id : aws_ecs_service.blue_green[name].id
      deployment = service.deployment
      min        = local.sizes[name].min
      max        = local.sizes[name].max
    }
  }

  # Stopping and starting an environment changes the scaling, which must be there.
  depends_on = [aws_appautoscaling_target.service]
}

output "role_arns" {
  description = "Every role a task runs or starts with: what a deployment must be allowed to pass on."
  value       = concat([for role in aws_iam_role.task : role.arn], [for role in aws_iam_role.start : role.arn])
}

output "task_families" {
  description = "By service: the family of its task definitions."
  value       = { for name, task in aws_ecs_task_definition.this : name => task.family }
}

output "task_networks" {
  description = "By service: what `aws ecs run-task --network-configuration` takes to start a task of it by hand."
  value = { for name, groups in local.security_groups : name => jsonencode({
    awsvpcConfiguration = { subnets = var.subnet_ids, securityGroups = groups, assignPublicIp = "DISABLED" }
  }) }
}

output "security_group_ids" {
  description = "By service: the security group of its tasks."
  value       = { for name, group in aws_security_group.service : name => group.id }
}

output "collector_security_group_id" {
  description = "The group that lets a collector reach the metrics."
  value       = aws_security_group.collectors.id
}

output "fanout_name" {
  description = "Where gateways find the fanouts."
  value       = local.shared_environment.ROOMLOG_FANOUT
}
