variable "name" {
  type        = string
  description = "Put before the name of everything made here."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name))
    error_message = "Lower-case letters, digits and hyphens, 2 to 20 of them, beginning with a letter: load balancers and target groups take no longer names."
  }
}

variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts what is stored here."

  validation {
    condition     = startswith(var.kms_key_arn, "arn:")
    error_message = "The ARN of a KMS key."
  }
}

variable "vpc_id" {
  type        = string
  description = "The VPC."

  validation {
    condition     = startswith(var.vpc_id, "vpc-")
    error_message = "The id of a VPC."
  }
}

variable "subnet_ids" {
  type        = list(string)
  description = "Isolated subnets, one a zone."

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "At least two zones."
  }
}

variable "auth_token" {
  type        = string
  description = "The first token that clients show. The rotation replaces it."
  sensitive   = true

  validation {
    condition     = length(var.auth_token) >= 32 && length(var.auth_token) <= 128
    error_message = "32 to 128 characters."
  }
}

variable "engine" {
  type        = string
  description = "`valkey` or `redis`."
  default     = "valkey"

  validation {
    condition     = contains(["valkey", "redis"], var.engine)
    error_message = "One of valkey, redis."
  }
}

variable "engine_version" {
  type        = string
  description = "The engine's version."
  default     = "8.0"

  validation {
    condition     = can(regex("^[0-9]+[.][0-9x]+$", var.engine_version))
    error_message = "A version, like 8.0."
  }
}

variable "parameter_family" {
  type        = string
  description = "The parameter family that goes with engine and version."
  default     = "valkey8"

  validation {
    condition     = startswith(var.parameter_family, var.engine)
    error_message = "A family of the engine, like valkey8."
  }
}

variable "node_type" {
  type        = string
  description = "Size of a node."
  default     = "cache.t4g.small"

  validation {
    condition     = startswith(var.node_type, "cache.")
    error_message = "A node size, like cache.t4g.small."
  }
}

variable "nodes" {
  type        = number
  description = "The primary and its replicas."
  default     = 2

  validation {
    condition     = var.nodes >= 2 && var.nodes <= 6
    error_message = "2 to 6: without a replica nothing takes over."
  }
}
