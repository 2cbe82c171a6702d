# Where clients arrive. An application load balancer routes by host name; a network load balancer, the option for very
# many connections, passes them all to one service.

locals {
  alb = var.kind == "alb"

  names = { for host in keys(var.hosts) : host => "${host}.${var.domain}" }

  # Two target groups a service: one serves while the other is filled with the next release.
  colours = merge([
    for service in keys(var.services) : {
      "${service}-blue"  = { service = service, suffix = "b" }
      "${service}-green" = { service = service, suffix = "g" }
    }
  ]...)
}

resource "aws_security_group" "this" {
  name        = "${var.name}-edge"
  description = "Load balancer of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-edge" }
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each = toset(var.allowed_cidrs)

  security_group_id = aws_security_group.this.id
  description       = "HTTPS and WebSocket"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "redirect" {
  for_each = local.alb ? toset(var.allowed_cidrs) : []

  security_group_id = aws_security_group.this.id
  description       = "Plain HTTP, sent on to HTTPS"
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

# The next release is tried here before clients reach it.
resource "aws_vpc_security_group_ingress_rule" "trial" {
  security_group_id = aws_security_group.this.id
  description       = "The next release, from within"
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = var.trial_port
  to_port           = var.trial_port
}

resource "aws_vpc_security_group_egress_rule" "services" {
  for_each = var.services

  security_group_id = aws_security_group.this.id
  description       = "To ${each.key}"
  cidr_ipv4         = var.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
}

resource "aws_lb" "this" {
  name               = var.name
  load_balancer_type = local.alb ? "application" : "network"
  internal           = false
  subnets            = var.subnet_ids
  security_groups    = [aws_security_group.this.id]

  enable_deletion_protection       = var.deletion_protection
  enable_cross_zone_load_balancing = true

  # Clients are silent for up to two heart-beats; an hour leaves room for those that agreed on none.
  idle_timeout               = local.alb ? var.idle_seconds : null
  client_keep_alive          = local.alb ? 3600 : null
  drop_invalid_header_fields = local.alb ? true : null

  dynamic "access_logs" {
    for_each = var.access_log_bucket == null ? [] : [var.access_log_bucket]
    content {
      enabled = true
      bucket  = access_logs.value
      prefix  = var.name
    }
  }

  lifecycle {
    precondition {
      condition     = local.alb || length(var.services) == 1
      error_message = "A network load balancer does not see host names: give it one service."
    }
  }
}

resource "aws_lb_target_group" "this" {
  for_each = local.colours

  name        = "${var.name}-${each.value.service}-${each.value.suffix}"
  vpc_id      = var.vpc_id
  target_type = "ip"
  port        = var.services[each.value.service].port
  protocol    = local.alb ? "HTTP" : "TCP"
  # Limits count by address, and a load balancer that reads no headers has no other way to say whose.
  preserve_client_ip = local.alb ? null : "true"

  # Longer than a gateway takes to close its connections one by one.
  deregistration_delay          = var.drain_seconds
  load_balancing_algorithm_type = local.alb ? "least_outstanding_requests" : null

  health_check {
    protocol            = "HTTP"
    path                = var.services[each.value.service].health_path
    matcher             = "200"
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count = local.alb && var.web_acl_arn != null ? 1 : 0

  resource_arn = aws_lb.this.arn
  web_acl_arn  = var.web_acl_arn
}
