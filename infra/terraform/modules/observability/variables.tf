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
  description = "The region the dashboard shows."

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region, like eu-central-1."
  }
}

variable "services" {
  type        = set(string)
  description = "Services and tasks that log."

  validation {
    condition     = length(var.services) > 0
    error_message = "At least one."
  }
}

variable "log_days" {
  type        = number
  description = "How long logs are kept."
  default     = 14

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.log_days)
    error_message = "A retention CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365 days."
  }
}

variable "rules" {
  type        = string
  description = "Rules over the services' own figures, as Prometheus reads them: infra/observability/alerts.yml."

  validation {
    condition     = can(yamldecode(var.rules).groups[0].rules[0].expr)
    error_message = "At least one group with a rule."
  }
}

variable "mail" {
  type        = set(string)
  description = "Addresses that are told of alarms; each has to confirm."
  default     = []

  validation {
    condition     = alltrue([for address in var.mail : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "Mail addresses."
  }
}

variable "kafka_name" {
  type        = string
  description = "The Kafka cluster's name in metrics."
}

variable "broker_ids" {
  type        = list(string)
  description = "The brokers' numbers in metrics; none where AWS runs them unseen."
}

variable "events_topics" {
  type        = list(string)
  description = "Topics of events whose readers are watched, the newest last."
  default     = ["chat.events.v1"]

  validation {
    condition     = length(var.events_topics) > 0 && alltrue([for topic in var.events_topics : can(regex("^chat\\.events\\.v[0-9]+$", topic))])
    error_message = "At least one name like chat.events.v1."
  }
}

variable "lag_seconds" {
  type        = map(number)
  description = "By consumer group: from how many seconds behind the log somebody is told. Delivery waits for fanouts only."
  default     = { fanout-a = 5, fanout-b = 5, persister = 60 }

  validation {
    condition     = alltrue([for seconds in values(var.lag_seconds) : seconds > 0])
    error_message = "More than nought."
  }
}

variable "load_balancer_metric" {
  type        = string
  description = "The load balancer's name in metrics."
}

variable "load_balancer_kind" {
  type        = string
  description = "`alb` or `nlb`: each counts under names of its own."
  default     = "alb"

  validation {
    condition     = contains(["alb", "nlb"], var.load_balancer_kind)
    error_message = "One of alb, nlb."
  }
}

variable "target_group_metrics" {
  type        = map(string)
  description = "By service and colour: the target group's name in metrics. Looked at with a network load balancer."
  default     = {}
}

variable "table_names" {
  type        = map(string)
  description = "DynamoDB tables by short name."
}

variable "table_indexes" {
  type        = map(list(string))
  description = "By short name of a table: its indexes, which are throttled on their own."
  default     = {}
}

variable "cache_node_ids" {
  type        = list(string)
  description = "The cache's nodes: metrics know them, and not the group they are in."

  validation {
    condition     = alltrue([for node in var.cache_node_ids : can(regex("-[0-9]{3}$", node))])
    error_message = "Names of nodes end in three digits."
  }
}
