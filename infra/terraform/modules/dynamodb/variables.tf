variable "kms_key_arn" {
  type        = string
  description = "The key that encrypts what is stored here."

  validation {
    condition     = startswith(var.kms_key_arn, "arn:")
    error_message = "The ARN of a KMS key."
  }
}

variable "prefix" {
  type        = string
  description = "Put before every table's name: the services' `ROOMLOG_TABLE_PREFIX`."

  validation {
    condition     = can(regex("^[A-Za-z0-9_.-]{0,100}$", var.prefix))
    error_message = "Letters, digits, underscore, dot and hyphen, at most 100."
  }
}

variable "deletion_protection" {
  type        = bool
  description = "Whether a table must be released by hand before it can be deleted."
  default     = true
}
