variable "name" {
  type        = string
  description = "Put before the name of everything made here."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name))
    error_message = "Lower-case letters, digits and hyphens, 2 to 20 of them, beginning with a letter: load balancers and target groups take no longer names."
  }
}

variable "account_id" {
  type        = string
  description = "The account, as policies name it."

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "Twelve digits."
  }
}

variable "region" {
  type        = string
  description = "The region, as policies name it."

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region, like eu-central-1."
  }
}

variable "cluster_name" {
  type        = string
  description = "The ECS cluster whose tasks read the secrets."
}

variable "services" {
  type        = list(string)
  description = "Services whose tasks are replaced when a secret has changed, in this order."
  default     = ["persister", "fanout-a", "fanout-b", "gateway"]

  validation {
    condition     = length(var.services) > 0
    error_message = "At least one."
  }
}

variable "cache_id" {
  type        = string
  description = "The replication group whose token is rotated."
}

variable "cache_arn" {
  type        = string
  description = "Its ARN."

  validation {
    condition     = startswith(var.cache_arn, "arn:")
    error_message = "The ARN of a replication group."
  }
}

variable "cache_address" {
  type        = string
  description = "Its host and port."
}

variable "settings" {
  type        = map(string)
  description = "First values of `ROOMLOG_*` settings kept in the Parameter Store; later ones are written there by hand."
  default     = { ROOMLOG_LOG = "info" }

  validation {
    condition     = alltrue([for key, value in var.settings : startswith(key, "ROOMLOG_") && value != ""])
    error_message = "Keys begin with ROOMLOG_, and none is empty."
  }
}

variable "jwt_secret" {
  type        = string
  description = "The secret that signs tokens, drawn anew at every run and stored when `jwt_secret_version` rises."
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = length(var.jwt_secret) >= 32
    error_message = "At least 32 characters: a shorter one is refused by the gateways."
  }
}

variable "jwt_secret_version" {
  type        = number
  description = "Raise it to store a new signing secret. Every token made before is refused once the gateways restart."
  default     = 1

  validation {
    condition     = var.jwt_secret_version >= 1
    error_message = "At least 1."
  }
}

variable "rotation_days" {
  type        = number
  description = "How often the cache's token is replaced."
  default     = 30

  validation {
    condition     = var.rotation_days >= 2 && var.rotation_days <= 90
    error_message = "2 to 90 days."
  }
}

variable "recovery_days" {
  type        = number
  description = "How long a deleted secret can be brought back; 0 deletes at once."
  default     = 30

  validation {
    condition     = var.recovery_days == 0 || (var.recovery_days >= 7 && var.recovery_days <= 30)
    error_message = "0, or 7 to 30 days."
  }
}

variable "key_deletion_days" {
  type        = number
  description = "How long the key can be brought back after its deletion was ordered."
  default     = 30

  validation {
    condition     = var.key_deletion_days >= 7 && var.key_deletion_days <= 30
    error_message = "7 to 30 days."
  }
}
