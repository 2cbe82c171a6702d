# The system's key, its secrets, and the settings an operator changes without Terraform.

# --- The key ---

resource "aws_kms_key" "this" {
  description             = "Everything ${var.name} stores"
  enable_key_rotation     = true
  deletion_window_in_days = var.key_deletion_days

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without this nobody could ever change the key again; who may use it is then up to their own policies.
        Sid       = "Account"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${var.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.region}:${var.account_id}:log-group:/${var.name}/*" }
        }
      },
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "aps.amazonaws.com"] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}

# --- The secret that signs tokens ---

resource "aws_secretsmanager_secret" "jwt" {
  name                    = "${var.name}/jwt-secret"
  description             = "Signs access tokens: ROOMLOG_JWT_SECRET"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = var.recovery_days
}

resource "aws_secretsmanager_secret_version" "jwt" {
  secret_id = aws_secretsmanager_secret.jwt.id
  # Given by the caller while applying, and written without passing through plan or state.
  secret_string_wo         = var.jwt_secret
  secret_string_wo_version = var.jwt_secret_version
}

# --- The cache's address, which holds its token ---

# The replication group takes its token only as an ordinary argument, so this first one is in the state. The rotation
# replaces it without Terraform; run it once after the first apply.
data "aws_secretsmanager_random_password" "cache" {
  password_length     = 64
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "cache" {
  name                    = "${var.name}/redis-url"
  description             = "Address and token of the cache: ROOMLOG_REDIS_URL"
  kms_key_id              = aws_kms_key.this.arn
  recovery_window_in_days = var.recovery_days
}

resource "aws_secretsmanager_secret_version" "cache" {
  secret_id     = aws_secretsmanager_secret.cache.id
  secret_string = "rediss://:${data.aws_secretsmanager_random_password.cache.random_password}@${var.cache_address}/"

  lifecycle {
    ignore_changes = [secret_string]
  }
}

# --- Settings ---

resource "aws_ssm_parameter" "this" {
  for_each = var.settings

  name        = "/${var.name}/${each.key}"
  description = "Given to every service at its next start"
  type        = "SecureString"
  key_id      = aws_kms_key.this.arn
  value       = each.value

  lifecycle {
    # Changed by hand from here on.
    ignore_changes = [value]
  }
}
