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
  description = "The ECS cluster."
}

variable "services" {
  type = map(object({
    arn        = string
    deployment = string
    min        = number
    max        = number
  }))
  description = "The services, with the bounds they have while awake."

  validation {
    condition     = length(var.services) > 0
    error_message = "At least one."
  }
}

variable "start" {
  type        = string
  description = "When the environment wakes, in the time zone below."
  default     = "cron(0 7 ? * MON-FRI *)"

  validation {
    condition     = can(regex("^cron\\(.+\\)$", var.start))
    error_message = "A cron expression of EventBridge, like cron(0 7 ? * MON-FRI *)."
  }
}

variable "stop" {
  type        = string
  description = "When it goes to sleep."
  default     = "cron(0 20 ? * * *)"

  validation {
    condition     = can(regex("^cron\\(.+\\)$", var.stop))
    error_message = "A cron expression of EventBridge, like cron(0 20 ? * * *)."
  }
}

variable "timezone" {
  type        = string
  description = "The time zone of both."
  default     = "UTC"
}

variable "enabled" {
  type        = bool
  description = "Whether the clocks run."
  default     = true
}
