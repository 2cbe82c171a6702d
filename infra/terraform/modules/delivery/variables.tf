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

variable "repository" {
  type        = string
  description = "The repository at GitHub that deploys, as owner/name."

  validation {
    condition     = can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.repository))
    error_message = "owner/name, without wildcards."
  }
}

variable "environment" {
  type        = string
  description = "The repository's environment that deploys here."

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.environment))
    error_message = "A name, without wildcards."
  }
}

variable "identity_provider_arn" {
  type        = string
  description = "GitHub's identity provider in this account; null makes it."
  default     = null

  validation {
    condition     = var.identity_provider_arn == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]+:oidc-provider/", var.identity_provider_arn))
    error_message = "The ARN of an identity provider of IAM."
  }
}

variable "state" {
  type = object({
    bucket      = string
    key         = string
    kms_key_arn = optional(string)
  })
  description = "Where Terraform's state is, and the key it is encrypted with if that is an own one; null makes no role that plans."
  default     = null
}

variable "registry_arn" {
  type        = string
  description = "The image repository."

  validation {
    condition     = startswith(var.registry_arn, "arn:")
    error_message = "The ARN of a repository."
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
  description = "The services."
}

variable "role_arns" {
  type        = list(string)
  description = "Roles that tasks run and start with."

  validation {
    condition     = alltrue([for arn in var.role_arns : startswith(arn, "arn:")])
    error_message = "ARNs of roles."
  }
}

variable "target_groups" {
  type = map(object({
    blue_name  = string
    green_name = string
  }))
  description = "By service: its two target groups."
}

variable "public_listener_arn" {
  type        = string
  description = "The listener clients reach."

  validation {
    condition     = startswith(var.public_listener_arn, "arn:")
    error_message = "The ARN of a listener."
  }
}

variable "trial_listener_arn" {
  type        = string
  description = "The listener of the next release."

  validation {
    condition     = startswith(var.trial_listener_arn, "arn:")
    error_message = "The ARN of a listener."
  }
}

variable "rollback_alarms" {
  type        = set(string)
  description = "Alarms that undo a deployment."
  default     = []
}

variable "load_balancer_kind" {
  type        = string
  description = "`alb` or `nlb`: the latter moves all connections or none."
  default     = "alb"

  validation {
    condition     = contains(["alb", "nlb"], var.load_balancer_kind)
    error_message = "One of alb, nlb."
  }
}

variable "pace" {
  type        = string
  description = "How new connections move to the next release; null moves a tenth, and the rest after five minutes, or all at once behind a network load balancer."
  default     = null

  validation {
    condition     = startswith(coalesce(var.pace, "CodeDeployDefault.ECS"), "CodeDeployDefault.ECS")
    error_message = "One of CodeDeploy's own for ECS, like CodeDeployDefault.ECSAllAtOnce."
  }

  validation {
    condition     = var.load_balancer_kind == "alb" || coalesce(var.pace, local.at_once) == local.at_once
    error_message = "Behind a network load balancer only CodeDeployDefault.ECSAllAtOnce."
  }
}

variable "keep_minutes" {
  type        = number
  description = "How long the release before stays whole. Its WebSockets live on until then."
  default     = 15

  validation {
    condition     = var.keep_minutes >= 5 && var.keep_minutes <= 2880
    error_message = "5 minutes to two days."
  }
}
