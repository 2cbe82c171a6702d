# The log keeps what it acknowledged, and lets in whom it knows.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name        = "roomlog-test"
  vpc_id      = "vpc-1"
  subnet_ids  = ["subnet-1", "subnet-2", "subnet-3"]
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/system"
}

run "keeps_three_copies_and_acknowledges_two" {
  command = plan
  module {
    source = "../../modules/kafka"
  }

  assert {
    condition = alltrue([for line in [
      "default.replication.factor=3",
      "min.insync.replicas=2",
      "unclean.leader.election.enable=false",
      "auto.create.topics.enable=false",
      "log.message.timestamp.type=LogAppendTime",
      "log.retention.bytes=-1",
    ] : contains(split("\n", aws_msk_configuration.this[0].server_properties), line)])
    error_message = "a setting that the log's promises rest on is missing"
  }

  assert {
    condition     = aws_msk_cluster.this[0].number_of_broker_nodes == 3 && endswith(aws_msk_cluster.this[0].kafka_version, ".kraft")
    error_message = "there are not three KRaft brokers"
  }
}

run "speaks_tls_and_iam_only" {
  command = plan
  module {
    source = "../../modules/kafka"
  }

  override_resource {
    target          = aws_security_group.clients
    override_during = plan
    values = {
      id = "sg-clients"
    }
  }

  assert {
    condition     = aws_msk_cluster.this[0].encryption_info[0].encryption_in_transit[0].client_broker == "TLS" && aws_msk_cluster.this[0].encryption_info[0].encryption_in_transit[0].in_cluster
    error_message = "something travels in the clear"
  }

  assert {
    condition     = aws_msk_cluster.this[0].client_authentication[0].unauthenticated == false && aws_msk_cluster.this[0].client_authentication[0].sasl[0].iam
    error_message = "a client need not sign in"
  }

  assert {
    condition     = aws_msk_cluster.this[0].encryption_info[0].encryption_at_rest_kms_key_arn == "arn:aws:kms:us-east-1:123456789012:key/system"
    error_message = "volumes are not encrypted by the system's key"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.brokers.referenced_security_group_id == aws_security_group.clients.id && aws_vpc_security_group_ingress_rule.brokers.from_port == 9098
    error_message = "others than carriers of the clients' group reach the brokers"
  }
}

run "is_serverless_by_a_switch" {
  command = plan
  module {
    source = "../../modules/kafka"
  }

  variables {
    mode = "serverless"
  }

  assert {
    condition     = length(aws_msk_cluster.this) == 0 && aws_msk_serverless_cluster.this[0].client_authentication[0].sasl[0].iam[0].enabled
    error_message = "not a serverless cluster with IAM"
  }
}

run "refuses_fewer_brokers_than_copies" {
  command = plan
  module {
    source = "../../modules/kafka"
  }

  variables {
    subnet_ids = ["subnet-1", "subnet-2"]
  }

  expect_failures = [aws_msk_cluster.this]
}

run "refuses_a_single_copy" {
  command = plan
  module {
    source = "../../modules/kafka"
  }

  variables {
    replication = 1
    min_insync  = 1
  }

  expect_failures = [var.replication, var.min_insync]
}
