# One VPC, three kinds of subnet in each zone: public for load balancers and NAT, application for tasks, data for the
# stores. The data subnets have no route to the internet in either direction.

locals {
  zones = { for index, zone in var.availability_zones : zone => index }

  # Which zones get a NAT gateway, and which of them each zone uses.
  nat_zones = var.nat == "none" ? [] : var.nat == "single" ? [var.availability_zones[0]] : var.availability_zones
  nat_of    = var.nat == "none" ? {} : { for zone in var.availability_zones : zone => var.nat == "single" ? var.availability_zones[0] : zone }
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true

  tags = { Name = var.name }
}

# Whatever is started without a security group of its own reaches nothing.
resource "aws_default_security_group" "closed" {
  vpc_id = aws_vpc.this.id
}

# --- Subnets ---

# The first quarter of the range: 64 small networks for what faces the internet.
resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 8, each.value)

  tags = { Name = "${var.name}-public-${each.key}", tier = "public" }
}

# Tasks take an address each, so theirs are sixteen times as large.
resource "aws_subnet" "application" {
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 4, 4 + each.value)

  tags = { Name = "${var.name}-application-${each.key}", tier = "application" }
}

resource "aws_subnet" "data" {
  for_each = local.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 8, 192 + each.value)

  tags = { Name = "${var.name}-data-${each.key}", tier = "data" }
}

# --- Routes ---

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id

  tags = { Name = var.name }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = local.zones

  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  domain = "vpc"

  tags = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zones)

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags = { Name = "${var.name}-${each.key}" }

  depends_on = [aws_internet_gateway.this]
}

# A table a zone, so that the loss of one zone's NAT gateway does not cut the others off.
resource "aws_route_table" "application" {
  for_each = local.zones

  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-application-${each.key}" }
}

resource "aws_route" "nat" {
  for_each = local.nat_of

  route_table_id         = aws_route_table.application[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.value].id
}

resource "aws_route_table_association" "application" {
  for_each = local.zones

  subnet_id      = aws_subnet.application[each.key].id
  route_table_id = aws_route_table.application[each.key].id
}

# No route is ever put into this table: the data subnets reach the VPC only.
resource "aws_route_table" "data" {
  vpc_id = aws_vpc.this.id

  tags = { Name = "${var.name}-data" }
}

resource "aws_route_table_association" "data" {
  for_each = local.zones

  subnet_id      = aws_subnet.data[each.key].id
  route_table_id = aws_route_table.data.id
}
