output "replication_group_id" {
  description = "The replication group."
  value       = aws_elasticache_replication_group.this.id
}

output "replication_group_arn" {
  description = "The replication group's ARN."
  value       = aws_elasticache_replication_group.this.arn
}

output "node_ids" {
  description = "The nodes' names, as metrics know them."
  value       = [for number in range(1, var.nodes + 1) : format("%s-%03d", var.name, number)]
}

output "address" {
  description = "Host and port of the primary."
  value       = "${aws_elasticache_replication_group.this.primary_endpoint_address}:${local.port}"
}

output "client_security_group_id" {
  description = "The security group that lets its carrier reach the cache."
  value       = aws_security_group.clients.id
}
