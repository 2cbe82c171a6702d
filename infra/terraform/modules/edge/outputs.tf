output "security_group_id" {
  description = "The load balancer's security group; services let it in."
  value       = aws_security_group.this.id
}

output "load_balancer_arn" {
  description = "The load balancer."
  value       = aws_lb.this.arn
}

output "kind" {
  description = "`alb` or `nlb`."
  value       = var.kind
}

output "load_balancer_metric" {
  description = "The load balancer's name in metrics."
  value       = aws_lb.this.arn_suffix
}

output "target_group_metrics" {
  description = "By service and colour: the target group's name in metrics."
  value       = { for colour, group in aws_lb_target_group.this : colour => group.arn_suffix }
}

output "target_groups" {
  description = "By service: ARNs and names of the two target groups."
  value = {
    for service in keys(var.services) : service => {
      blue_arn   = aws_lb_target_group.this["${service}-blue"].arn
      blue_name  = aws_lb_target_group.this["${service}-blue"].name
      green_name = aws_lb_target_group.this["${service}-green"].name
    }
  }

  # A service can't be made before a listener leads to its target group.
  depends_on = [aws_lb_listener_rule.host, aws_lb_listener.tls]
}

output "public_listener_arn" {
  description = "The listener clients reach."
  value       = local.alb ? aws_lb_listener.https["public"].arn : aws_lb_listener.tls["public"].arn
}

output "trial_listener_arn" {
  description = "The listener of the next release."
  value       = local.alb ? aws_lb_listener.https["trial"].arn : aws_lb_listener.tls["trial"].arn
}

output "host_names" {
  description = "Host names by their first part."
  value       = local.names
}
