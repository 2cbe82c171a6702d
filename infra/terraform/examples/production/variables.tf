variable "region" {
  type        = string
  description = "The region."
  default     = "us-east-1"
}

variable "availability_zones" {
  type        = list(string)
  description = "The zones to spread over."
  default     = ["us-east-1a", "us-east-1b", "us-east-1c"]

  validation {
    condition     = length(var.availability_zones) >= 3
    error_message = "Three, as the log keeps three copies."
  }
}

variable "domain" {
  type        = string
  description = "What the host names end with: api., chat. and notification. are put before it."
}

variable "zone_id" {
  type        = string
  description = "The hosted zone of the domain."
}

variable "release" {
  type        = string
  description = "The tag of the first image; later ones come by deployments."
}

variable "repository" {
  type        = string
  description = "The repository at GitHub that deploys, as owner/name."
}

variable "state_bucket" {
  type        = string
  description = "The bucket Terraform keeps its state in."
}

variable "events_topics" {
  type        = list(string)
  description = "Topics of events, the newest last. A successor is added here before it is opened."
  default     = ["chat.events.v1"]
}

variable "mail" {
  type        = set(string)
  description = "Addresses that are told of alarms."
  default     = []
}

variable "access_log_bucket" {
  type        = string
  description = "A bucket that takes the load balancer's access logs."
}

variable "web_acl_arn" {
  type        = string
  description = "A web ACL put before the load balancer; null puts none."
  default     = null
}
