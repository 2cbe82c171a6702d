# Production: three zones, two of everything, nothing that can be deleted by accident.

provider "aws" {
  region = var.region

  default_tags {
    tags = { system = "roomlog", environment = local.environment }
  }
}

data "aws_caller_identity" "current" {}

locals {
  name        = "roomlog-production"
  environment = "production"
  account_id  = data.aws_caller_identity.current.account_id
}

# Never in a plan or in the state.
ephemeral "aws_secretsmanager_random_password" "jwt" {
  password_length     = 64
  exclude_punctuation = true
}

module "secrets" {
  source = "../../modules/secrets"

  name          = local.name
  account_id    = local.account_id
  region        = var.region
  cluster_name  = local.name
  cache_id      = module.cache.replication_group_id
  cache_arn     = module.cache.replication_group_arn
  cache_address = module.cache.address
  jwt_secret    = ephemeral.aws_secretsmanager_random_password.jwt.random_password
  settings = {
    ROOMLOG_LOG             = "info"
    ROOMLOG_ALLOWED_ORIGINS = "https://chat.${var.domain}"
  }
}

module "network" {
  source = "../../modules/network"

  name               = local.name
  region             = var.region
  availability_zones = var.availability_zones
  kms_key_arn        = module.secrets.kms_key_arn
}

module "kafka" {
  source = "../../modules/kafka"

  name        = local.name
  vpc_id      = module.network.vpc_id
  subnet_ids  = module.network.data_subnet_ids
  kms_key_arn = module.secrets.kms_key_arn

  instance_type  = "kafka.m7g.large"
  volume_gib     = 500
  volume_gib_max = 4000
}

module "dynamodb" {
  source = "../../modules/dynamodb"

  prefix      = "${local.name}."
  kms_key_arn = module.secrets.kms_key_arn
}

module "cache" {
  source = "../../modules/cache"

  name        = local.name
  vpc_id      = module.network.vpc_id
  subnet_ids  = module.network.data_subnet_ids
  kms_key_arn = module.secrets.kms_key_arn
  auth_token  = module.secrets.cache_token
  node_type   = "cache.m7g.large"
  nodes       = 3
}

module "storage" {
  source = "../../modules/storage"

  bucket          = "${local.name}-${local.account_id}-attachments"
  kms_key_arn     = module.secrets.kms_key_arn
  allowed_origins = ["https://chat.${var.domain}"]
}

module "registry" {
  source = "../../modules/registry"

  name        = local.name
  kms_key_arn = module.secrets.kms_key_arn
}

module "edge" {
  source = "../../modules/edge"

  name       = local.name
  vpc_id     = module.network.vpc_id
  cidr       = module.network.cidr
  subnet_ids = module.network.public_subnet_ids
  domain     = var.domain
  zone_id    = var.zone_id

  access_log_bucket = var.access_log_bucket
  web_acl_arn       = var.web_acl_arn
}

module "observability" {
  source = "../../modules/observability"

  name                 = local.name
  account_id           = local.account_id
  region               = var.region
  kms_key_arn          = module.secrets.kms_key_arn
  services             = ["gateway", "fanout-a", "fanout-b", "persister", "operator"]
  mail                 = var.mail
  rules                = file("${path.module}/../../../observability/alerts.yml")
  kafka_name           = module.kafka.cluster_name
  broker_ids           = module.kafka.broker_ids
  events_topics        = var.events_topics
  load_balancer_kind   = module.edge.kind
  load_balancer_metric = module.edge.load_balancer_metric
  target_group_metrics = module.edge.target_group_metrics
  table_names          = module.dynamodb.table_names
  table_indexes        = module.dynamodb.table_indexes
  cache_node_ids       = module.cache.node_ids
}

module "compute" {
  source = "../../modules/compute"

  name       = local.name
  account_id = local.account_id
  region     = var.region
  vpc_id     = module.network.vpc_id
  subnet_ids = module.network.application_subnet_ids
  image      = "${module.registry.repository_url}:${var.release}"

  # Fixed for the topic's life, so there are plenty.
  environment = { ROOMLOG_TOPICS_PARTITIONS = "48" }

  sizes = {
    gateway   = { cpu = 2048, memory = 4096, min = 3, max = 12 }
    fanout-a  = { cpu = 2048, memory = 4096, min = 2, max = 4 }
    fanout-b  = { cpu = 2048, memory = 4096, min = 2, max = 4 }
    persister = { cpu = 1024, memory = 2048, min = 2, max = 6 }
  }

  kms_key_arn    = module.secrets.kms_key_arn
  secret_arns    = module.secrets.secret_arns
  setting_arns   = module.secrets.setting_arns
  repository_arn = module.registry.repository_arn

  attachments                    = { bucket = module.storage.bucket, arn = module.storage.bucket_arn }
  table_arns                     = module.dynamodb.table_arns
  table_prefix                   = module.dynamodb.prefix
  kafka_arn                      = module.kafka.cluster_arn
  kafka_name                     = module.kafka.cluster_name
  kafka_brokers                  = module.kafka.brokers
  events_topics                  = var.events_topics
  kafka_client_security_group_id = module.kafka.client_security_group_id
  cache_client_security_group_id = module.cache.client_security_group_id

  edge_security_group_id = module.edge.security_group_id
  target_group_arns      = { for service, groups in module.edge.target_groups : service => groups.blue_arn }
  load_balancer_metric   = module.edge.load_balancer_metric
  load_balancer_kind     = module.edge.kind

  collector       = module.observability.figures
  log_group_names = module.observability.log_group_names
  log_group_arns  = module.observability.log_group_arns
  rollback_alarms = module.observability.rollback_alarms
}

module "delivery" {
  source = "../../modules/delivery"

  name                = local.name
  account_id          = local.account_id
  region              = var.region
  repository          = var.repository
  environment         = local.environment
  registry_arn        = module.registry.repository_arn
  cluster_name        = module.compute.cluster_name
  services            = module.compute.services
  role_arns           = module.compute.role_arns
  target_groups       = module.edge.target_groups
  public_listener_arn = module.edge.public_listener_arn
  trial_listener_arn  = module.edge.trial_listener_arn
  load_balancer_kind  = module.edge.kind
  rollback_alarms     = module.observability.rollback_alarms
  state               = { bucket = var.state_bucket, key = "roomlog/production/terraform.tfstate" }
}
