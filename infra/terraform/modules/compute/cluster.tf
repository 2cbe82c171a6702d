# The cluster, and the machines below it where Fargate does not provide them.

locals {
  ec2      = var.launch == "ec2"
  capacity = local.ec2 ? aws_ecs_capacity_provider.this[0].name : "FARGATE"
}

resource "aws_ecs_cluster" "this" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = "enhanced"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = [local.capacity]

  default_capacity_provider_strategy {
    capacity_provider = local.capacity
    weight            = 1
  }
}

# --- Names inside the VPC ---

resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = "${var.name}.internal"
  description = "Services of ${var.name}"
  vpc         = var.vpc_id
}

# Both replica groups answer under one name; a gateway attaches to every address behind it.
resource "aws_service_discovery_service" "fanout" {
  name = "fanout"

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      # A new instance is found, and a gone one forgotten, within seconds.
      ttl = 5
    }
  }

  health_check_custom_config {
    failure_threshold = 1
  }

  lifecycle {
    # The service has one value here and reads back another.
    ignore_changes = [health_check_custom_config[0].failure_threshold]
  }
}

# --- Machines ---

resource "aws_iam_role" "machine" {
  count = local.ec2 ? 1 : 0

  name               = "${var.name}-machine"
  assume_role_policy = jsonencode(merge(local.trust, { Statement = [merge(local.trust.Statement[0], { Principal = { Service = "ec2.amazonaws.com" }, Condition = {} })] }))
}

resource "aws_iam_role_policy_attachment" "machine" {
  count = local.ec2 ? 1 : 0

  role       = aws_iam_role.machine[0].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "machine" {
  count = local.ec2 ? 1 : 0

  name = "${var.name}-machine"
  role = aws_iam_role.machine[0].name
}

resource "aws_security_group" "machine" {
  count = local.ec2 ? 1 : 0

  name        = "${var.name}-machine"
  description = "Machines of ${var.name}; tasks have groups of their own"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-machine" }
}

resource "aws_vpc_security_group_egress_rule" "machine" {
  count = local.ec2 ? 1 : 0

  security_group_id = aws_security_group.machine[0].id
  description       = "To the services of AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_launch_template" "machine" {
  count = local.ec2 ? 1 : 0

  name                   = "${var.name}-machine"
  image_id               = var.machine_image
  instance_type          = var.machine_type
  vpc_security_group_ids = [aws_security_group.machine[0].id]
  update_default_version = true

  user_data = base64encode(<<-SHELL
    #!/bin/sh
    echo ECS_CLUSTER=${aws_ecs_cluster.this.name} >> /etc/ecs/ecs.config
    # Tasks have roles of their own and no business with the machine's.
    echo ECS_AWSVPC_BLOCK_IMDS=true >> /etc/ecs/ecs.config
  SHELL
  )

  iam_instance_profile {
    arn = aws_iam_instance_profile.machine[0].arn
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_size           = 30
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }
}

resource "aws_autoscaling_group" "machine" {
  count = local.ec2 ? 1 : 0

  name                = "${var.name}-machine"
  vpc_zone_identifier = var.subnet_ids
  min_size            = var.machines_min
  max_size            = var.machines_max
  # Only ECS knows which machine is empty.
  protect_from_scale_in = true
  # Protected machines never go by themselves: without this the group could not be destroyed.
  force_delete = true

  launch_template {
    id      = aws_launch_template.machine[0].id
    version = aws_launch_template.machine[0].latest_version
  }

  tag {
    key                 = "AmazonECSManaged"
    value               = "true"
    propagate_at_launch = true
  }

  tag {
    key                 = "Name"
    value               = "${var.name}-machine"
    propagate_at_launch = true
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }
}

resource "aws_ecs_capacity_provider" "this" {
  count = local.ec2 ? 1 : 0

  name = "${var.name}-machines"

  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.machine[0].arn
    managed_draining               = "ENABLED"
    managed_termination_protection = "ENABLED"

    managed_scaling {
      status = "ENABLED"
      # Some room stays free, so that a scaling service does not wait for a machine.
      target_capacity = 90
    }
  }
}
