output "cluster_arn" {
  description = "The cluster."
  value       = local.cluster_arn
}

output "cluster_name" {
  description = "The cluster's name, as metrics know it."
  value       = var.name
}

output "broker_ids" {
  description = "The brokers' numbers, as metrics know them; none where AWS runs them unseen."
  value       = local.provisioned ? [for number in range(1, local.broker_count + 1) : tostring(number)] : []
}

output "brokers" {
  description = "Bootstrap servers for TLS with IAM."
  value       = local.provisioned ? aws_msk_cluster.this[0].bootstrap_brokers_sasl_iam : data.aws_msk_bootstrap_brokers.serverless[0].bootstrap_brokers_sasl_iam
}

output "client_security_group_id" {
  description = "The security group that lets its carrier reach the brokers."
  value       = aws_security_group.clients.id
}
