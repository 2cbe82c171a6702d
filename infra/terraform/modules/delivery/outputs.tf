output "deployer_role_arn" {
  description = "The role a workflow takes on."
  value       = aws_iam_role.deployer.arn
}

output "planner_role_arn" {
  description = "The role with which a workflow plans a proposal; null where there is none."
  value       = one(aws_iam_role.planner[*].arn)
}

output "identity_provider_arn" {
  description = "GitHub's identity provider in this account."
  value       = local.provider_arn
}

output "application" {
  description = "CodeDeploy's application."
  value       = aws_codedeploy_app.this.name
}

output "deployment_groups" {
  description = "By service: its deployment group."
  value       = { for name, group in aws_codedeploy_deployment_group.this : name => group.deployment_group_name }
}
