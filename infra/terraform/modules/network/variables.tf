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

variable "region" {
  type        = string
  description = "The region, as endpoint services are named by it."

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region, like eu-central-1."
  }
}

variable "cidr" {
  type        = string
  description = "The VPC's address range."
  default     = "10.0.0.0/16"

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && tonumber(split("/", var.cidr)[1]) <= 18
    error_message = "An IPv4 range of at least /18, so that every subnet has room."
  }
}

variable "availability_zones" {
  type        = list(string)
  description = "The zones to spread over. Kafka keeps three copies, so three are best; two is the least."

  validation {
    condition     = length(var.availability_zones) >= 2 && length(var.availability_zones) <= 6 && length(distinct(var.availability_zones)) == length(var.availability_zones)
    error_message = "Two to six different zones."
  }
}

variable "nat" {
  type        = string
  description = "How tasks reach the internet: a NAT gateway `per_zone`, a `single` one (cheaper, and lost with its zone), or `none`."
  default     = "per_zone"

  validation {
    condition     = contains(["per_zone", "single", "none"], var.nat)
    error_message = "One of per_zone, single, none."
  }
}

variable "interface_endpoints" {
  type        = set(string)
  description = "Services reached by an interface endpoint, beside DynamoDB and S3. The default is what starting a task needs."
  default     = ["ecr.api", "ecr.dkr", "logs", "secretsmanager", "ssm", "kms"]

  validation {
    condition     = alltrue([for needed in ["ecr.api", "ecr.dkr", "logs"] : contains(var.interface_endpoints, needed)])
    error_message = "ecr.api, ecr.dkr and logs are always needed: without them no task starts when NAT is gone."
  }
}

variable "flow_log_days" {
  type        = number
  description = "How long flow logs are kept."
  default     = 14

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365], var.flow_log_days)
    error_message = "A retention CloudWatch knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180 or 365 days."
  }
}
