variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts what is stored here."

  validation {
    condition     = startswith(var.kms_key_arn, "arn:")
    error_message = "The ARN of a KMS key."
  }
}

variable "bucket" {
  type        = string
  description = "The bucket's name, unlike any other bucket's in the world."

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "3 to 63 lower-case letters, digits, dots and hyphens."
  }
}

variable "allowed_origins" {
  type        = list(string)
  description = "Web origins that upload and show attachments."
  default     = []

  validation {
    condition     = alltrue([for origin in var.allowed_origins : can(regex("^https?://[^*/]+$", origin))])
    error_message = "Exact origins, like https://chat.example.com; no wildcard."
  }
}

variable "noncurrent_days" {
  type        = number
  description = "How long deleted or replaced objects can be brought back."
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "At least a day."
  }
}

variable "force_destroy" {
  type        = bool
  description = "Whether destroying the bucket deletes what is in it."
  default     = false
}
