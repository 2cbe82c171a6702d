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
  description = "The region."

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region, like eu-central-1."
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
  description = "Private subnets of the tasks, one a zone."

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "At least two zones."
  }
}

variable "image" {
  type        = string
  description = "The image with its tag or digest."

  validation {
    condition     = can(regex("[:@][A-Za-z0-9._:-]+$", var.image)) && !endswith(var.image, ":latest")
    error_message = "An image with a tag other than latest, or with a digest."
  }
}

variable "architecture" {
  type        = string
  description = "What the image was built for: `X86_64` or `ARM64`."
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "One of X86_64, ARM64."
  }
}

variable "launch" {
  type        = string
  description = "`fargate`, or `ec2`: own machines by a capacity provider."
  default     = "fargate"

  validation {
    condition     = contains(["fargate", "ec2"], var.launch)
    error_message = "One of fargate, ec2."
  }
}

variable "machine_type" {
  type        = string
  description = "Size of a machine, with `launch = \"ec2\"`. Each task takes a network interface, of which a machine has as many as its size says, less its own."
  default     = "c7i.large"

  validation {
    condition     = can(regex("^[a-z0-9-]+[.][a-z0-9-]+$", var.machine_type))
    error_message = "A size of EC2, like c7i.large."
  }
}

variable "machine_image" {
  type        = string
  description = "The machines' image: the newest made for ECS, looked up when a machine starts."
  default     = "resolve:ssm:/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
}

variable "machines_min" {
  type        = number
  description = "Fewest machines."
  default     = 2

  validation {
    condition     = var.machines_min >= 0
    error_message = "Not negative."
  }
}

variable "machines_max" {
  type        = number
  description = "Most machines."
  default     = 8

  validation {
    condition     = var.machines_max >= 1
    error_message = "At least 1."
  }
}

variable "sizes" {
  type = map(object({
    cpu    = optional(number)
    memory = optional(number)
    min    = optional(number)
    max    = optional(number)
  }))
  description = "By service: CPU units and MiB of a task, fewest and most tasks. What is left out is 1024, 2048, 2 and 4."
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.sizes) : contains(keys(var.services), name)])
    error_message = "A size is given for a service that there is not."
  }
}

variable "environment" {
  type        = map(string)
  description = "Further `ROOMLOG_*` variables of every service; they win over those made here. No secrets."
  default     = {}

  validation {
    condition     = alltrue([for key in keys(var.environment) : startswith(key, "ROOMLOG_") && !strcontains(key, "SECRET")])
    error_message = "Keys begin with ROOMLOG_; secrets go to the secrets module."
  }
}

variable "secret_arns" {
  type        = map(string)
  description = "Secrets by the key services know them as."

  validation {
    condition     = alltrue([for arn in values(var.secret_arns) : startswith(arn, "arn:")])
    error_message = "ARNs of secrets."
  }
}

variable "setting_arns" {
  type        = map(string)
  description = "Parameters by the key services know them as; every service gets all."
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.setting_arns) : startswith(arn, "arn:")])
    error_message = "ARNs of parameters."
  }
}

variable "table_arns" {
  type        = map(string)
  description = "DynamoDB tables by short name."

  validation {
    condition     = alltrue([for arn in values(var.table_arns) : startswith(arn, "arn:")])
    error_message = "ARNs of tables."
  }
}

variable "table_prefix" {
  type        = string
  description = "What is put before every table's name."
}

variable "attachments" {
  type        = object({ bucket = string, arn = string })
  description = "The bucket of attachments, where there are any."
  default     = null

  validation {
    condition     = var.attachments == null || can(regex("^arn:aws[a-z-]*:s3:::", var.attachments.arn))
    error_message = "A bucket's name and its ARN."
  }
}

variable "kafka_arn" {
  type        = string
  description = "The Kafka cluster."

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kafka:[^:]+:[0-9]+:cluster/", var.kafka_arn))
    error_message = "The ARN of an MSK cluster."
  }
}

variable "kafka_name" {
  type        = string
  description = "The Kafka cluster's name in metrics."
}

variable "kafka_brokers" {
  type        = string
  description = "Bootstrap servers."

  validation {
    condition     = can(regex("^[^:, ]+:[0-9]+(,[^:, ]+:[0-9]+)*$", var.kafka_brokers))
    error_message = "host:port, joined by commas."
  }
}

variable "events_topics" {
  type        = list(string)
  description = "Topics of events, the newest last. A successor is added here before it is opened, and the one before it goes when its records have."
  default     = ["chat.events.v1"]

  validation {
    condition     = length(var.events_topics) > 0 && alltrue([for topic in var.events_topics : can(regex("^chat\\.events\\.v[0-9]+$", topic))])
    error_message = "At least one name like chat.events.v1."
  }
}

variable "kafka_client_security_group_id" {
  type        = string
  description = "The group that reaches the brokers."

  validation {
    condition     = startswith(var.kafka_client_security_group_id, "sg-")
    error_message = "The id of a security group."
  }
}

variable "cache_client_security_group_id" {
  type        = string
  description = "The group that reaches the cache."

  validation {
    condition     = startswith(var.cache_client_security_group_id, "sg-")
    error_message = "The id of a security group."
  }
}

variable "edge_security_group_id" {
  type        = string
  description = "The load balancer's group."

  validation {
    condition     = startswith(var.edge_security_group_id, "sg-")
    error_message = "The id of a security group."
  }
}

variable "target_group_arns" {
  type        = map(string)
  description = "By service: the target group its first tasks join."

  validation {
    condition     = alltrue([for arn in values(var.target_group_arns) : startswith(arn, "arn:")])
    error_message = "ARNs of target groups."
  }
}

variable "collector" {
  type = object({
    endpoint      = string
    workspace_arn = string
    image         = optional(string, "public.ecr.aws/aws-observability/aws-otel-collector:v0.43.3")
  })
  description = "Where figures go, and the collector that brings them and the traces; null collects neither."
  default     = null

  validation {
    condition     = var.collector == null || !endswith(try(var.collector.image, ""), ":latest")
    error_message = "An image with a tag other than latest, or with a digest."
  }
}

variable "load_balancer_metric" {
  type        = string
  description = "The load balancer's name in metrics."
}

variable "load_balancer_kind" {
  type        = string
  description = "`alb` or `nlb`: what counts connections, and whether anybody before the services says who asks."
  default     = "alb"

  validation {
    condition     = contains(["alb", "nlb"], var.load_balancer_kind)
    error_message = "One of alb, nlb."
  }
}

variable "repository_arn" {
  type        = string
  description = "Where the image is pulled from."

  validation {
    condition     = startswith(var.repository_arn, "arn:")
    error_message = "The ARN of a repository."
  }
}

variable "log_group_names" {
  type        = map(string)
  description = "By service: its log group."
}

variable "log_group_arns" {
  type        = map(string)
  description = "By service: its log group's ARN."

  validation {
    condition     = alltrue([for arn in values(var.log_group_arns) : startswith(arn, "arn:")])
    error_message = "ARNs of log groups."
  }
}

variable "rollback_alarms" {
  type        = set(string)
  description = "Alarms that undo a rolling deployment."
  default     = []
}

variable "pods" {
  type        = object({ identity_provider_arn = string, namespace = string })
  description = "Where the services run on Kubernetes: the cluster's identity provider, and the namespace whose service accounts take on the task roles; null lets ECS's tasks alone."
  default     = null

  validation {
    condition     = var.pods == null || can(regex("^arn:aws[a-z-]*:iam::[0-9]+:oidc-provider/.+", var.pods.identity_provider_arn))
    error_message = "The ARN of an identity provider of IAM."
  }
}

variable "cpu_target" {
  type        = number
  description = "The share of CPU, in percent, that scaling keeps to."
  default     = 70

  validation {
    condition     = var.cpu_target >= 20 && var.cpu_target <= 90
    error_message = "20 to 90."
  }
}
