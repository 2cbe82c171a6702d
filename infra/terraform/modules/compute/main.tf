# The services. Terraform says what a task is and makes the first; from then on a deployment says which release runs,
# and the scaling how many of it.

locals {
  running    = { for name, service in var.services : name => service if service.deployment != "task" }
  rolling    = { for name, service in local.running : name => service if service.deployment == "rolling" }
  blue_green = { for name, service in local.running : name => service if service.deployment == "blue_green" }

  sizes = { for name in keys(var.services) : name => merge(
    { cpu = 1024, memory = 2048, min = 2, max = 4 },
    { for key, value in try(var.sizes[name], {}) : key => value if value != null },
  ) }

  store_groups = { kafka = var.kafka_client_security_group_id, cache = var.cache_client_security_group_id }
  # An interface takes five groups: its own and those of the stores are three at most.
  security_groups = { for name, service in var.services : name => concat(
    [aws_security_group.service[name].id],
    [for store in sort(service.stores) : local.store_groups[store]],
  ) }
}

resource "aws_ecs_service" "blue_green" {
  for_each = local.blue_green

  name                              = each.key
  cluster                           = aws_ecs_cluster.this.id
  task_definition                   = aws_ecs_task_definition.this[each.key].arn
  desired_count                     = local.sizes[each.key].min
  health_check_grace_period_seconds = 60
  enable_ecs_managed_tags           = true
  propagate_tags                    = "SERVICE"

  deployment_controller {
    type = "CODE_DEPLOY"
  }

  capacity_provider_strategy {
    capacity_provider = local.capacity
    weight            = 1
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = local.security_groups[each.key]
    assign_public_ip = false
  }

  load_balancer {
    target_group_arn = var.target_group_arns[each.key]
    container_name   = each.key
    container_port   = each.value.port
  }

  lifecycle {
    # A deployment moves the tasks to the other target group and the next definition; the scaling counts.
    ignore_changes = [task_definition, load_balancer, desired_count]
  }

  depends_on = [aws_ecs_cluster_capacity_providers.this, aws_iam_role_policy.task, aws_iam_role_policy.start]
}

resource "aws_ecs_service" "rolling" {
  for_each = local.rolling

  name                    = each.key
  cluster                 = aws_ecs_cluster.this.id
  task_definition         = aws_ecs_task_definition.this[each.key].arn
  desired_count           = local.sizes[each.key].min
  enable_ecs_managed_tags = true
  propagate_tags          = "SERVICE"

  deployment_controller {
    type = "ECS"
  }

  # A new consumer is there before an old one leaves, so that partitions change hands and are never without.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  dynamic "alarms" {
    for_each = length(var.rollback_alarms) == 0 ? [] : [var.rollback_alarms]
    content {
      enable      = true
      rollback    = true
      alarm_names = alarms.value
    }
  }

  capacity_provider_strategy {
    capacity_provider = local.capacity
    weight            = 1
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = local.security_groups[each.key]
    assign_public_ip = false
  }

  dynamic "service_registries" {
    for_each = each.value.answers_link ? [aws_service_discovery_service.fanout.arn] : []
    content {
      registry_arn = service_registries.value
    }
  }

  lifecycle {
    ignore_changes = [task_definition, desired_count]
  }

  depends_on = [aws_ecs_cluster_capacity_providers.this, aws_iam_role_policy.task, aws_iam_role_policy.start]
}
