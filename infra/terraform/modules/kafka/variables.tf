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

variable "mode" {
  type        = string
  description = "`provisioned` brokers, or `serverless`, which bills by use and has no settings."
  default     = "provisioned"

  validation {
    condition     = contains(["provisioned", "serverless"], var.mode)
    error_message = "One of provisioned, serverless."
  }
}

variable "kafka_version" {
  type        = string
  description = "The version of Kafka, without ZooKeeper."
  default     = "3.9.x.kraft"

  validation {
    condition     = endswith(var.kafka_version, ".kraft")
    error_message = "A KRaft version, like 3.9.x.kraft."
  }
}

variable "instance_type" {
  type        = string
  description = "Size of a broker."
  default     = "kafka.m7g.large"

  validation {
    condition     = startswith(var.instance_type, "kafka.")
    error_message = "A broker size, like kafka.m7g.large."
  }
}

variable "brokers_per_zone" {
  type        = number
  description = "Brokers in each zone."
  default     = 1

  validation {
    condition     = var.brokers_per_zone >= 1 && var.brokers_per_zone <= 10
    error_message = "1 to 10."
  }
}

variable "replication" {
  type        = number
  description = "Copies of each partition."
  default     = 3

  validation {
    condition     = var.replication >= 3
    error_message = "Fewer than three copies can lose what was acknowledged with one broker."
  }
}

variable "min_insync" {
  type        = number
  description = "Copies that must have a record before it is acknowledged."
  default     = 2

  validation {
    condition     = var.min_insync >= 2
    error_message = "A single copy is lost with its broker."
  }
}

variable "retention_hours" {
  type        = number
  description = "How long records stay in the log."
  default     = 168

  validation {
    condition     = var.retention_hours >= 48
    error_message = "At least 48: retries of 24 hours are found in the log, and readers may lag."
  }
}

variable "volume_gib" {
  type        = number
  description = "First size of a broker's volume, in GiB."
  default     = 100

  validation {
    condition     = var.volume_gib >= 1 && var.volume_gib <= 16384
    error_message = "1 to 16384 GiB."
  }
}

variable "volume_gib_max" {
  type        = number
  description = "What a broker's volume may grow to by itself, in GiB."
  default     = 1000

  validation {
    condition     = var.volume_gib_max <= 16384
    error_message = "At most 16384 GiB."
  }
}

variable "log_days" {
  type        = number
  description = "How long the brokers' logs are kept."
  default     = 14

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_days)
    error_message = "A retention CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365 days."
  }
}
