# Two roles a service: one with which ECS starts its tasks, one the program itself has. Each names exactly what the
# entry in services.tf says, resource by resource.

locals {
  trust = {
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    }]
  }

  # Pods show a token of their cluster, good for one service account each: the names are those of infra/kubernetes.
  pod_trust = { for name in keys(var.services) : name => [for pods in var.pods[*] : {
    Effect    = "Allow"
    Action    = "sts:AssumeRoleWithWebIdentity"
    Principal = { Federated = pods.identity_provider_arn }
    Condition = { StringEquals = {
      "${split("oidc-provider/", pods.identity_provider_arn)[1]}:aud" = "sts.amazonaws.com"
      "${split("oidc-provider/", pods.identity_provider_arn)[1]}:sub" = "system:serviceaccount:${pods.namespace}:roomlog-${name}"
    } }
  }] }

  topics = replace(var.kafka_arn, ":cluster/", ":topic/")
  # Names of services.tf that stand for several topics.
  several = { "chat.events" = var.events_topics }
  topic_arns = {
    for name, service in var.services : name => {
      for use in ["produces", "consumes", "makes"] : use => [
        for topic in flatten([for named in sort(service[use]) : lookup(local.several, named, [named])]) : "${local.topics}/${topic}"
      ]
    }
  }
  groups = replace(var.kafka_arn, ":cluster/", ":group/")

  table_statements = {
    for name, service in var.services : name => concat(
      [for table in sort(keys(service.tables)) : {
        Effect   = "Allow"
        Action   = [for action in sort(service.tables[table]) : "dynamodb:${action}"]
        Resource = [var.table_arns[table]]
      }],
      [for table in sort(keys(service.indexes)) : {
        Effect   = "Allow"
        Action   = ["dynamodb:Query"]
        Resource = [for index in sort(service.indexes[table]) : "${var.table_arns[table]}/index/${index}"]
      }],
      # The tables' key, and only by way of the tables.
      length(service.tables) == 0 ? [] : [{
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey"]
        Resource  = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "dynamodb.${var.region}.amazonaws.com" } }
      }],
    )
  }

  # Objects below the bucket, whose names the program chooses. Of the bucket itself only what is in it: without that right
  # S3 answers "forbidden" for an object that is not there, and an upload that never came would look like an outage.
  file_statements = {
    for name, service in var.services : name => concat(
      [for bucket in var.attachments[*] : {
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = ["${bucket.arn}/*"]
      } if service.files],
      [for bucket in var.attachments[*] : {
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [bucket.arn]
      } if service.files],
      [for bucket in var.attachments[*] : {
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "s3.${var.region}.amazonaws.com" } }
      } if service.files],
    )
  }

  log_statements = {
    for name, service in var.services : name => [for statement in [
      {
        # Producers are idempotent, which is a right on the cluster.
        Action   = concat(["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"], length(service.produces) > 0 ? ["kafka-cluster:WriteDataIdempotently"] : [])
        Resource = contains(service.stores, "kafka") ? [var.kafka_arn] : []
      },
      {
        Action   = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration"]
        Resource = distinct(concat(local.topic_arns[name].produces, local.topic_arns[name].consumes, local.topic_arns[name].makes))
      },
      {
        Action   = ["kafka-cluster:WriteData"]
        Resource = local.topic_arns[name].produces
      },
      {
        Action   = ["kafka-cluster:ReadData"]
        Resource = local.topic_arns[name].consumes
      },
      {
        # A topic that is succeeded is closed by its settings.
        Action   = ["kafka-cluster:CreateTopic", "kafka-cluster:AlterTopicDynamicConfiguration"]
        Resource = local.topic_arns[name].makes
      },
      {
        Action   = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"]
        Resource = [for group in sort(service.groups) : "${local.groups}/${group}"]
      },
    ] : merge({ Effect = "Allow" }, statement) if length(statement.Resource) > 0]
  }

  # What ECS fetches before it starts a task: secrets and settings by their ARNs.
  given = {
    for name, service in var.services : name => merge(
      { for key in service.secrets : key => var.secret_arns[key] },
      var.setting_arns,
    )
  }
}

resource "aws_iam_role" "task" {
  for_each = var.services

  name               = "${var.name}-${each.key}"
  description        = "What ${each.key} may do"
  assume_role_policy = jsonencode(merge(local.trust, { Statement = concat(local.trust.Statement, local.pod_trust[each.key]) }))
}

resource "aws_iam_role_policy" "task" {
  for_each = var.services

  name = "what-it-needs"
  role = aws_iam_role.task[each.key].id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = concat(local.table_statements[each.key], local.log_statements[each.key], local.file_statements[each.key], local.collector_statements[each.key])
  })
}

resource "aws_iam_role" "start" {
  for_each = var.services

  name               = "${var.name}-${each.key}-start"
  description        = "With which ECS starts ${each.key}"
  assume_role_policy = jsonencode(local.trust)
}

resource "aws_iam_role_policy" "start" {
  for_each = var.services

  name = "what-starting-needs"
  role = aws_iam_role.start[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in [
      # The token to the registry has no resource to name.
      { Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
      { Action = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"], Resource = [var.repository_arn] },
      { Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = ["${var.log_group_arns[each.key]}:*"] },
      { Action = ["secretsmanager:GetSecretValue"], Resource = [for key in sort(each.value.secrets) : var.secret_arns[key]] },
      { Action = ["ssm:GetParameters"], Resource = values(var.setting_arns) },
      { Action = ["kms:Decrypt"], Resource = length(local.given[each.key]) > 0 ? [var.kms_key_arn] : [] },
    ] : merge({ Effect = "Allow" }, statement) if length(statement.Resource) > 0]
  })
}
