# The log. Three copies of every partition, two of which must have a record before it is acknowledged.

locals {
  provisioned  = var.mode == "provisioned"
  broker_count = length(var.subnet_ids) * var.brokers_per_zone

  # MSK's port for TLS with IAM.
  iam_port = 9098

  cluster_arn = local.provisioned ? aws_msk_cluster.this[0].arn : aws_msk_serverless_cluster.this[0].arn
}

# Whoever may talk to the log carries this group; the brokers let nobody else in.
resource "aws_security_group" "clients" {
  name        = "${var.name}-kafka-clients"
  description = "Clients of the log of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-kafka-clients" }
}

resource "aws_vpc_security_group_egress_rule" "clients" {
  security_group_id            = aws_security_group.clients.id
  description                  = "To the brokers"
  referenced_security_group_id = aws_security_group.brokers.id
  ip_protocol                  = "tcp"
  from_port                    = local.iam_port
  to_port                      = local.iam_port
}

resource "aws_security_group" "brokers" {
  name        = "${var.name}-kafka"
  description = "Brokers of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-kafka" }
}

resource "aws_vpc_security_group_ingress_rule" "brokers" {
  security_group_id            = aws_security_group.brokers.id
  description                  = "Clients, by TLS and IAM"
  referenced_security_group_id = aws_security_group.clients.id
  ip_protocol                  = "tcp"
  from_port                    = local.iam_port
  to_port                      = local.iam_port
}

# --- Provisioned ---

resource "aws_msk_configuration" "this" {
  count = local.provisioned ? 1 : 0

  name           = var.name
  kafka_versions = [var.kafka_version]
  description    = "What the log promises rests on these"

  # Topics get the same settings when they are made; these guard a topic that somebody makes by hand.
  server_properties = join("\n", [for key, value in {
    "auto.create.topics.enable"      = "false"
    "default.replication.factor"     = var.replication
    "min.insync.replicas"            = var.min_insync
    "unclean.leader.election.enable" = "false"
    "log.message.timestamp.type"     = "LogAppendTime"
    "log.retention.hours"            = var.retention_hours
    # A size bound would drop records earlier than the duplicate window allows.
    "log.retention.bytes" = "-1"
    # Committed offsets outlive a long stop of their group.
    "offsets.retention.minutes" = var.retention_hours * 60
  } : "${key}=${value}"])

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_cloudwatch_log_group" "brokers" {
  count = local.provisioned ? 1 : 0

  name              = "/${var.name}/kafka"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_msk_cluster" "this" {
  count = local.provisioned ? 1 : 0

  cluster_name           = var.name
  kafka_version          = var.kafka_version
  number_of_broker_nodes = local.broker_count
  enhanced_monitoring    = "PER_TOPIC_PER_BROKER"

  broker_node_group_info {
    instance_type   = var.instance_type
    client_subnets  = var.subnet_ids
    security_groups = [aws_security_group.brokers.id]

    storage_info {
      ebs_storage_info {
        volume_size = var.volume_gib
      }
    }
  }

  configuration_info {
    arn      = aws_msk_configuration.this[0].arn
    revision = aws_msk_configuration.this[0].latest_revision
  }

  client_authentication {
    unauthenticated = false

    sasl {
      iam = true
    }
  }

  encryption_info {
    encryption_at_rest_kms_key_arn = var.kms_key_arn

    encryption_in_transit {
      client_broker = "TLS"
      in_cluster    = true
    }
  }

  open_monitoring {
    prometheus {
      jmx_exporter {
        enabled_in_broker = true
      }
      node_exporter {
        enabled_in_broker = true
      }
    }
  }

  logging_info {
    broker_logs {
      cloudwatch_logs {
        enabled   = true
        log_group = aws_cloudwatch_log_group.brokers[0].name
      }
    }
  }

  lifecycle {
    # The scaler below makes volumes larger; they never shrink again.
    ignore_changes = [broker_node_group_info[0].storage_info[0].ebs_storage_info[0].volume_size]

    precondition {
      condition     = local.broker_count >= var.replication
      error_message = "There are fewer brokers than copies: use more zones or more brokers a zone."
    }

    precondition {
      condition     = var.min_insync < var.replication
      error_message = "Every copy would have to be there for a write: one broker's restart would stop all sending."
    }
  }
}

resource "aws_appautoscaling_target" "volume" {
  count = local.provisioned ? 1 : 0

  service_namespace  = "kafka"
  resource_id        = aws_msk_cluster.this[0].arn
  scalable_dimension = "kafka:broker-storage:VolumeSize"
  min_capacity       = 1
  max_capacity       = var.volume_gib_max
}

resource "aws_appautoscaling_policy" "volume" {
  count = local.provisioned ? 1 : 0

  name               = "${var.name}-kafka-volume"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.volume[0].service_namespace
  resource_id        = aws_appautoscaling_target.volume[0].resource_id
  scalable_dimension = aws_appautoscaling_target.volume[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    disable_scale_in = true
    target_value     = 60

    predefined_metric_specification {
      predefined_metric_type = "KafkaBrokerStorageUtilization"
    }
  }
}

# --- Serverless ---

# Three copies and two in sync are what serverless clusters do by themselves.
resource "aws_msk_serverless_cluster" "this" {
  count = local.provisioned ? 0 : 1

  cluster_name = var.name

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.brokers.id]
  }

  client_authentication {
    sasl {
      iam {
        enabled = true
      }
    }
  }
}

data "aws_msk_bootstrap_brokers" "serverless" {
  count = local.provisioned ? 0 : 1

  cluster_arn = aws_msk_serverless_cluster.this[0].arn
}
