# TLS 1.2 is the oldest that is spoken. A deployment moves the routes from one colour to the other, so Terraform sets
# where they lead only when it makes them.

locals {
  listeners = {
    public = { port = 443, colour = "blue" }
    trial  = { port = var.trial_port, colour = "green" }
  }
  only_service = keys(var.services)[0]
}

resource "aws_lb_listener" "redirect" {
  count = local.alb ? 1 : 0

  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

resource "aws_lb_listener" "https" {
  for_each = { for name, listener in local.listeners : name => listener if local.alb }

  load_balancer_arn = aws_lb.this.arn
  port              = each.value.port
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.this.certificate_arn

  routing_http_response_strict_transport_security_header_value = "max-age=31536000; includeSubDomains"

  # A host name that is not ours gets nothing.
  default_action {
    type = "fixed-response"

    fixed_response {
      content_type = "text/plain"
      status_code  = "404"
    }
  }
}

resource "aws_lb_listener_rule" "host" {
  for_each = {
    for pair in setproduct(keys(local.listeners), keys(var.hosts)) :
    "${pair[0]}-${pair[1]}" => { listener = pair[0], host = pair[1] } if local.alb
  }

  listener_arn = aws_lb_listener.https[each.value.listener].arn
  priority     = 10 + index(keys(var.hosts), each.value.host)

  condition {
    host_header {
      values = [local.names[each.value.host]]
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this["${var.hosts[each.value.host]}-${local.listeners[each.value.listener].colour}"].arn
  }

  lifecycle {
    ignore_changes = [action]
  }
}

resource "aws_lb_listener" "tls" {
  for_each = { for name, listener in local.listeners : name => listener if !local.alb }

  load_balancer_arn = aws_lb.this.arn
  port              = each.value.port
  protocol          = "TLS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.this.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this["${local.only_service}-${each.value.colour}"].arn
  }

  lifecycle {
    ignore_changes = [default_action]
  }
}
