output "host_names" {
  description = "Where clients connect."
  value       = module.edge.host_names
}

output "deployer_role_arn" {
  description = "The role a workflow takes on to deploy."
  value       = module.delivery.deployer_role_arn
}

output "planner_role_arn" {
  description = "The role a workflow takes on to plan a proposal."
  value       = module.delivery.planner_role_arn
}

output "registry" {
  description = "Where images are pushed to."
  value       = module.registry.repository_url
}

output "cluster_name" {
  description = "The cluster, to start the operator's tasks in."
  value       = module.compute.cluster_name
}

output "operator_task" {
  description = "The task that makes the topics and writes the epoch."
  value       = module.compute.task_families["operator"]
}

output "operator_network" {
  description = "The network of that task, as `aws ecs run-task` takes it."
  value       = module.compute.task_networks["operator"]
}

output "restart_arn" {
  description = "The state machine that replaces every task, so that it reads its secrets and settings anew."
  value       = module.secrets.restart_arn
}

output "rotation_arn" {
  description = "The state machine that replaces the cache's token; run it once after the first apply."
  value       = module.secrets.rotation_arn
}
