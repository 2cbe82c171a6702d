# Clients meet TLS and HSTS, and a WebSocket outlives silence and deployments.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name       = "roomlog-test"
  vpc_id     = "vpc-1"
  cidr       = "10.0.0.0/16"
  subnet_ids = ["subnet-1", "subnet-2"]
  domain     = "example.com"
  zone_id    = "Z1"
}

override_resource {
  target          = aws_acm_certificate.this
  override_during = plan
  values = {
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/made"
    domain_validation_options = [
      { domain_name = "api.example.com", resource_record_name = "_a.api.example.com", resource_record_type = "CNAME", resource_record_value = "a" },
      { domain_name = "chat.example.com", resource_record_name = "_b.chat.example.com", resource_record_type = "CNAME", resource_record_value = "b" },
      { domain_name = "notification.example.com", resource_record_name = "_c.notification.example.com", resource_record_type = "CNAME", resource_record_value = "c" },
    ]
  }
}

run "speaks_tls_1_2_or_newer_and_says_so" {
  command = plan
  module {
    source = "../../modules/edge"
  }

  assert {
    condition = alltrue([
      for listener in aws_lb_listener.https :
      listener.protocol == "HTTPS" && listener.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06"
      && startswith(listener.routing_http_response_strict_transport_security_header_value, "max-age=31536000")
    ])
    error_message = "a listener speaks old TLS or sends no HSTS"
  }

  assert {
    condition     = aws_lb_listener.redirect[0].default_action[0].redirect[0].protocol == "HTTPS"
    error_message = "plain HTTP is served"
  }
}

run "routes_by_host_and_knows_no_others" {
  command = plan
  module {
    source = "../../modules/edge"
  }

  assert {
    condition = toset(flatten([for rule in aws_lb_listener_rule.host : [for condition in rule.condition : condition.host_header[0].values]])) == toset([
      "api.example.com", "chat.example.com", "notification.example.com",
    ])
    error_message = "a host name is not routed"
  }

  assert {
    condition     = alltrue([for listener in aws_lb_listener.https : listener.default_action[0].fixed_response[0].status_code == "404"])
    error_message = "an unknown host name is served"
  }

  assert {
    condition     = length(aws_route53_record.host) == 3 && length(aws_route53_record.validation) == 3
    error_message = "a host name has no address or no certificate"
  }
}

run "leaves_connections_time" {
  command = plan
  module {
    source = "../../modules/edge"
  }

  assert {
    condition     = aws_lb.this.idle_timeout == 3600
    error_message = "silent connections are closed early"
  }

  assert {
    condition     = alltrue([for group in aws_lb_target_group.this : tonumber(group.deregistration_delay) == 120])
    error_message = "a leaving task's connections are cut before it has closed them"
  }

  assert {
    condition     = length(aws_lb_target_group.this) == 2 && alltrue([for group in aws_lb_target_group.this : group.health_check[0].path == "/health/ready"])
    error_message = "there are not two target groups that ask for readiness"
  }
}

run "shows_the_next_release_to_the_inside_only" {
  command = plan
  module {
    source = "../../modules/edge"
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.trial.cidr_ipv4 == "10.0.0.0/16" && aws_vpc_security_group_ingress_rule.trial.from_port == 8443
    error_message = "the next release can be reached from outside"
  }

  assert {
    condition     = aws_lb.this.enable_deletion_protection && aws_lb.this.drop_invalid_header_fields
    error_message = "the load balancer can be deleted by accident, or passes malformed headers"
  }
}

run "passes_connections_on_as_a_network_load_balancer" {
  command = plan
  module {
    source = "../../modules/edge"
  }

  variables {
    kind = "nlb"
  }

  assert {
    condition     = aws_lb.this.load_balancer_type == "network" && alltrue([for listener in aws_lb_listener.tls : listener.protocol == "TLS"])
    error_message = "not a network load balancer that speaks TLS"
  }

  assert {
    condition     = length(aws_lb_listener.https) == 0 && length(aws_lb_listener_rule.host) == 0
    error_message = "it has listeners of the other kind"
  }

  assert {
    condition     = alltrue([for group in aws_lb_target_group.this : group.preserve_client_ip == "true"])
    error_message = "gateways see the load balancer's address as every client's"
  }
}

run "refuses_a_host_that_leads_nowhere" {
  command = plan
  module {
    source = "../../modules/edge"
  }

  variables {
    hosts = { chat = "nobody" }
  }

  expect_failures = [var.hosts]
}
