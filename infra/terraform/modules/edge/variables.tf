variable "name" {
  type        = string
  description = "Put before the name of everything made here."

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name))
    error_message = "Lower-case letters, digits and hyphens, 2 to 20 of them, beginning with a letter: load balancers and target groups take no longer names."
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

variable "cidr" {
  type        = string
  description = "The VPC's address range."

  validation {
    condition     = can(cidrhost(var.cidr, 0))
    error_message = "An IPv4 range."
  }
}

variable "subnet_ids" {
  type        = list(string)
  description = "Public subnets, one a zone."

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "At least two zones."
  }
}

variable "kind" {
  type        = string
  description = "`alb` routes by host name; `nlb` passes every connection to one service."
  default     = "alb"

  validation {
    condition     = contains(["alb", "nlb"], var.kind)
    error_message = "One of alb, nlb."
  }
}

variable "domain" {
  type        = string
  description = "What the host names end with."

  validation {
    condition     = can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.domain))
    error_message = "A domain, like example.com."
  }
}

variable "zone_id" {
  type        = string
  description = "The hosted zone of the domain."

  validation {
    condition     = can(regex("^[A-Z0-9]+$", var.zone_id))
    error_message = "The id of a hosted zone, like Z0123456789ABCDEFGHIJ, without a path before it."
  }
}

variable "services" {
  type = map(object({
    port        = number
    health_path = optional(string, "/health/ready")
  }))
  description = "Services that clients reach, with their ports."
  default     = { gateway = { port = 8080 } }

  validation {
    condition     = length(var.services) >= 1 && alltrue([for name, service in var.services : length(name) <= 9])
    error_message = "At least one, with names of at most 9 characters: those of target groups are short."
  }
}

variable "hosts" {
  type        = map(string)
  description = "Which service answers for `<host>.<domain>`."
  default     = { api = "gateway", chat = "gateway", notification = "gateway" }

  validation {
    condition     = length(var.hosts) >= 1 && alltrue([for service in values(var.hosts) : contains(keys(var.services), service)])
    error_message = "At least one host, and each leads to one of the services."
  }
}

variable "allowed_cidrs" {
  type        = list(string)
  description = "Who may connect."
  default     = ["0.0.0.0/0"]

  validation {
    condition     = alltrue([for range in var.allowed_cidrs : can(cidrhost(range, 0))])
    error_message = "IPv4 ranges."
  }
}

variable "trial_port" {
  type        = number
  description = "Where the next release answers before clients reach it, from within the VPC."
  default     = 8443

  validation {
    condition     = !contains([80, 443], var.trial_port)
    error_message = "Another port than 80 and 443."
  }
}

variable "idle_seconds" {
  type        = number
  description = "After how much silence a connection is closed."
  default     = 3600

  validation {
    condition     = var.idle_seconds >= 120 && var.idle_seconds <= 4000
    error_message = "120 to 4000: well above two heart-beats, within what the load balancer can do."
  }
}

variable "drain_seconds" {
  type        = number
  description = "How long connections to a leaving task may go on."
  default     = 120

  validation {
    condition     = var.drain_seconds >= 60 && var.drain_seconds <= 3600
    error_message = "60 to 3600: longer than a gateway takes to close its connections."
  }
}

variable "deletion_protection" {
  type        = bool
  description = "Whether the load balancer must be released by hand before it can be deleted."
  default     = true
}

variable "access_log_bucket" {
  type        = string
  description = "A bucket that takes the load balancer's access logs; null writes none."
  default     = null
}

variable "web_acl_arn" {
  type        = string
  description = "A web ACL put before the load balancer; null puts none."
  default     = null
}
