# The cache asks for a token over TLS and survives the loss of a zone.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name        = "roomlog-test"
  vpc_id      = "vpc-1"
  subnet_ids  = ["subnet-1", "subnet-2"]
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/system"
  auth_token  = "0123456789abcdef0123456789abcdef"
}

run "spreads_over_zones_and_fails_over" {
  command = plan
  module {
    source = "../../modules/cache"
  }

  assert {
    condition     = aws_elasticache_replication_group.this.multi_az_enabled && aws_elasticache_replication_group.this.automatic_failover_enabled && aws_elasticache_replication_group.this.num_cache_clusters == 2
    error_message = "nothing takes over"
  }
}

run "encrypts_and_asks_for_a_token" {
  command = plan
  module {
    source = "../../modules/cache"
  }

  override_resource {
    target          = aws_security_group.clients
    override_during = plan
    values = {
      id = "sg-clients"
    }
  }

  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_enabled && aws_elasticache_replication_group.this.transit_encryption_mode == "required"
    error_message = "TLS is optional"
  }

  assert {
    condition     = tobool(aws_elasticache_replication_group.this.at_rest_encryption_enabled) && aws_elasticache_replication_group.this.kms_key_id == "arn:aws:kms:us-east-1:123456789012:key/system"
    error_message = "nodes are not encrypted by the system's key"
  }

  assert {
    condition     = nonsensitive(aws_elasticache_replication_group.this.auth_token == var.auth_token)
    error_message = "no token is asked for"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.nodes.referenced_security_group_id == aws_security_group.clients.id
    error_message = "others than carriers of the clients' group reach the cache"
  }
}

run "refuses_a_lone_node_and_a_short_token" {
  command = plan
  module {
    source = "../../modules/cache"
  }

  variables {
    nodes      = 1
    auth_token = "short"
  }

  expect_failures = [var.nodes, var.auth_token]
}
