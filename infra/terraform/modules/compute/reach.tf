# Who reaches whom: clients by the load balancer, gateways the fanouts, everyone the services of AWS.

locals {
  asking    = [for name, service in var.services : name if service.asks_link]
  answering = [for name, service in var.services : name if service.answers_link]
  links     = { for pair in setproduct(local.asking, local.answering) : "${pair[0]}-${pair[1]}" => { from = pair[0], to = pair[1] } }
}

resource "aws_security_group" "service" {
  for_each = var.services

  name        = "${var.name}-${each.key}"
  description = "Tasks of ${each.key}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = local.blue_green

  security_group_id            = aws_security_group.service[each.key].id
  description                  = "The load balancer"
  referenced_security_group_id = var.edge_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
}

resource "aws_vpc_security_group_ingress_rule" "link" {
  for_each = local.links

  security_group_id            = aws_security_group.service[each.value.to].id
  description                  = "The link from ${each.value.from}"
  referenced_security_group_id = aws_security_group.service[each.value.from].id
  ip_protocol                  = "tcp"
  from_port                    = 7070
  to_port                      = 7070
}

resource "aws_vpc_security_group_egress_rule" "link" {
  for_each = local.links

  security_group_id            = aws_security_group.service[each.value.from].id
  description                  = "The link to ${each.value.to}"
  referenced_security_group_id = aws_security_group.service[each.value.to].id
  ip_protocol                  = "tcp"
  from_port                    = 7070
  to_port                      = 7070
}

# DynamoDB, the registry and an identity provider have no fixed addresses.
resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = var.services

  security_group_id = aws_security_group.service[each.key].id
  description       = "HTTPS: the services of AWS, an identity provider's keys"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

# Whoever collects metrics carries this group.
resource "aws_security_group" "collectors" {
  name        = "${var.name}-collectors"
  description = "Collectors of the metrics of ${var.name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-collectors" }
}

resource "aws_vpc_security_group_ingress_rule" "metrics" {
  for_each = local.running

  security_group_id            = aws_security_group.service[each.key].id
  description                  = "Collectors of metrics"
  referenced_security_group_id = aws_security_group.collectors.id
  ip_protocol                  = "tcp"
  from_port                    = 9464
  to_port                      = 9464
}
