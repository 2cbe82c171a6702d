output "kms_key_arn" {
  description = "The key that encrypts everything."
  value       = aws_kms_key.this.arn
}

output "cache_token" {
  description = "The cache's first token."
  value       = data.aws_secretsmanager_random_password.cache.random_password
  sensitive   = true
}

output "secret_arns" {
  description = "Secrets by the key they are given to services as."
  value = {
    ROOMLOG_JWT_SECRET = aws_secretsmanager_secret.jwt.arn
    ROOMLOG_REDIS_URL  = aws_secretsmanager_secret.cache.arn
  }

  # A task that starts before the values are there fails.
  depends_on = [aws_secretsmanager_secret_version.jwt, aws_secretsmanager_secret_version.cache]
}

output "setting_arns" {
  description = "Parameters by the key they are given to services as."
  value       = { for key, parameter in aws_ssm_parameter.this : key => parameter.arn }
}

output "restart_arn" {
  description = "The state machine that replaces every task, so that it reads its secrets and settings anew."
  value       = aws_sfn_state_machine.restart.arn
}

output "rotation_arn" {
  description = "The state machine that replaces the cache's token."
  value       = aws_sfn_state_machine.rotation.arn
}
