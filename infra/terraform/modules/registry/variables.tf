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

variable "releases_kept" {
  type        = number
  description = "How many images tagged `v…` are kept."
  default     = 3

  validation {
    condition     = var.releases_kept >= 2
    error_message = "At least two: a rollback needs the one before."
  }
}

variable "builds_kept" {
  type        = number
  description = "How many images tagged `sha-…` are kept."
  default     = 10

  validation {
    condition     = var.builds_kept >= 1
    error_message = "At least one."
  }
}

variable "force_delete" {
  type        = bool
  description = "Whether destroying the repository deletes the images in it."
  default     = false
}
