# Snapshots of the numbering and recent events. All of it can be lost; it is replicated so that a take-over stays fast.

locals {
  port = 6379
}

# Whoever may talk to the cache carries this group; the nodes let nobody else in.
resource "aws_security_group" "clients" {
  name        = "${var.name}-cache-clients"
  description = "Clients of the cache of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-cache-clients" }
}

resource "aws_vpc_security_group_egress_rule" "clients" {
  security_group_id            = aws_security_group.clients.id
  description                  = "To the cache"
  referenced_security_group_id = aws_security_group.nodes.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_security_group" "nodes" {
  name        = "${var.name}-cache"
  description = "Cache nodes of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-cache" }
}

resource "aws_vpc_security_group_ingress_rule" "nodes" {
  security_group_id            = aws_security_group.nodes.id
  description                  = "Clients"
  referenced_security_group_id = aws_security_group.clients.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_elasticache_subnet_group" "this" {
  name       = var.name
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "this" {
  name   = var.name
  family = var.parameter_family

  # Everything here has an expiry or can be rebuilt: the oldest gives way instead of writes failing.
  parameter {
    name  = "maxmemory-policy"
    value = "volatile-ttl"
  }
}

resource "aws_elasticache_replication_group" "this" {
  replication_group_id = var.name
  description          = "Cache of ${var.name}"

  engine               = var.engine
  engine_version       = var.engine_version
  node_type            = var.node_type
  port                 = local.port
  parameter_group_name = aws_elasticache_parameter_group.this.name

  num_cache_clusters         = var.nodes
  automatic_failover_enabled = true
  multi_az_enabled           = true

  subnet_group_name  = aws_elasticache_subnet_group.this.name
  security_group_ids = [aws_security_group.nodes.id]

  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  auth_token                 = var.auth_token
  auth_token_update_strategy = "ROTATE"

  # Lost content is rebuilt from the log, so there is nothing to restore from a backup.
  snapshot_retention_limit   = 0
  auto_minor_version_upgrade = true
  apply_immediately          = false

  lifecycle {
    # The rotation replaces the token; the one Terraform knows is only the first.
    ignore_changes = [auth_token]
  }
}
