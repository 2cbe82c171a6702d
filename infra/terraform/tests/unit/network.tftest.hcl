# The data subnets are shut off, and what tasks need survives the loss of a zone.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name               = "roomlog-test"
  region             = "us-east-1"
  availability_zones = ["us-east-1a", "us-east-1b", "us-east-1c"]
  kms_key_arn        = "arn:aws:kms:us-east-1:123456789012:key/system"
}

run "keeps_three_kinds_of_subnet_in_each_zone" {
  command = plan
  module {
    source = "../../modules/network"
  }

  assert {
    condition     = length(aws_subnet.public) == 3 && length(aws_subnet.application) == 3 && length(aws_subnet.data) == 3
    error_message = "a zone lacks a subnet"
  }

  assert {
    condition     = aws_vpc.this.cidr_block == "10.0.0.0/16"
    error_message = "the default range is not 10.0.0.0/16"
  }

  assert {
    condition = length(distinct(concat(
      [for subnet in aws_subnet.public : subnet.cidr_block],
      [for subnet in aws_subnet.application : subnet.cidr_block],
      [for subnet in aws_subnet.data : subnet.cidr_block],
    ))) == 9
    error_message = "subnets overlap"
  }
}

run "gives_nobody_a_public_address" {
  command = plan
  module {
    source = "../../modules/network"
  }

  assert {
    condition     = alltrue([for subnet in merge(aws_subnet.application, aws_subnet.data) : subnet.map_public_ip_on_launch != true])
    error_message = "a private subnet gives out public addresses"
  }
}

run "leaves_the_data_subnets_no_way_out" {
  command = plan
  module {
    source = "../../modules/network"
  }

  override_resource {
    target          = aws_route_table.public
    override_during = plan
    values = {
      id = "rtb-public"
    }
  }

  override_resource {
    target          = aws_route_table.application
    override_during = plan
    values = {
      id = "rtb-application"
    }
  }

  override_resource {
    target          = aws_route_table.data
    override_during = plan
    values = {
      id = "rtb-data"
    }
  }

  assert {
    condition     = alltrue([for association in aws_route_table_association.data : association.route_table_id == aws_route_table.data.id])
    error_message = "a data subnet uses another route table"
  }

  assert {
    condition     = !contains(concat([aws_route.internet.route_table_id], [for route in aws_route.nat : route.route_table_id]), aws_route_table.data.id)
    error_message = "the data route table has a way out"
  }

  assert {
    condition     = alltrue([for association in aws_route_table_association.application : association.route_table_id != aws_route_table.public.id])
    error_message = "an application subnet is public"
  }
}

run "spreads_nat_over_the_zones" {
  command = plan
  module {
    source = "../../modules/network"
  }

  override_resource {
    target          = aws_nat_gateway.this["us-east-1a"]
    override_during = plan
    values = {
      id = "nat-a"
    }
  }

  override_resource {
    target          = aws_nat_gateway.this["us-east-1b"]
    override_during = plan
    values = {
      id = "nat-b"
    }
  }

  override_resource {
    target          = aws_nat_gateway.this["us-east-1c"]
    override_during = plan
    values = {
      id = "nat-c"
    }
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(distinct([for route in aws_route.nat : route.nat_gateway_id])) == 3
    error_message = "the loss of one zone cuts off another"
  }
}

run "shares_one_nat_gateway_where_money_counts" {
  command = plan
  module {
    source = "../../modules/network"
  }

  variables {
    nat = "single"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 3
    error_message = "not every zone uses the one gateway"
  }
}

run "reaches_stores_and_registry_inside_the_vpc" {
  command = plan
  module {
    source = "../../modules/network"
  }

  assert {
    condition     = toset(keys(aws_vpc_endpoint.gateway)) == toset(["dynamodb", "s3"])
    error_message = "DynamoDB or S3 has no endpoint"
  }

  assert {
    condition     = length(setsubtract(["ecr.api", "ecr.dkr", "logs"], keys(aws_vpc_endpoint.interface))) == 0 && alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "the registry or the logs have no endpoint"
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "ALL" && aws_cloudwatch_log_group.flow.kms_key_id == "arn:aws:kms:us-east-1:123456789012:key/system"
    error_message = "flow logs are partial or not encrypted"
  }
}

run "refuses_a_single_zone" {
  command = plan
  module {
    source = "../../modules/network"
  }

  variables {
    availability_zones = ["us-east-1a"]
  }

  expect_failures = [var.availability_zones]
}
