# What a task is: one container of the one image, with a role as its argument, and a collector beside it.

locals {
  shared_environment = {
    ROOMLOG_KAFKA_BROKERS = var.kafka_brokers
    # The cluster takes nobody but identities of this account, over TLS.
    ROOMLOG_KAFKA_SECURITY_PROTOCOL = "SASL_SSL"
    ROOMLOG_KAFKA_SASL_MECHANISM    = "AWS_MSK_IAM"
    ROOMLOG_DYNAMODB_REGION         = var.region
    ROOMLOG_TABLE_PREFIX            = var.table_prefix
    # Reached by nobody but who carries the group below.
    ROOMLOG_ADMIN_LISTEN = "0.0.0.0:9464"
    ROOMLOG_FANOUT       = "fanout.${aws_service_discovery_private_dns_namespace.this.name}:7070"
  }

  environment = {
    for name, service in var.services : name => merge(
      local.shared_environment,
      # The program gives up a little before it is killed, so that it can say so.
      { ROOMLOG_STOP_TIMEOUT = "${service.stop_seconds - 10}s" },
      { for key, value in { ROOMLOG_S3_BUCKET = one(var.attachments[*].bucket), ROOMLOG_S3_REGION = var.region } : key => value if service.files && var.attachments != null },
      # An application load balancer says in X-Forwarded-For who asks. A network load balancer lets the client's own address
      # through and says nothing: whatever stands in that header there, the client wrote.
      { for key, value in { ROOMLOG_TRUSTED_PROXIES = var.load_balancer_kind == "alb" ? "1" : "0" } : key => value if service.port != null },
      { for key, value in { ROOMLOG_OTLP_ENDPOINT = "http://127.0.0.1:4317" } : key => value if var.collector != null && service.deployment != "task" },
      service.environment,
      var.environment,
    )
  }

  # ECS takes no notice of the image's own health check. The question is whether the service can serve, so that a release
  # that never can is not taken for a good one; a task that once could is given three minutes before it is started anew,
  # as that mends no store that is down.
  health_check = {
    command     = ["CMD", "/usr/local/bin/roomlog", "health"]
    interval    = 20
    timeout     = 5
    retries     = 10
    startPeriod = 120
  }

  ports = {
    for name, service in var.services : name => concat(
      service.port == null ? [] : [service.port],
      service.answers_link ? [7070] : [],
    )
  }
}

resource "aws_ecs_task_definition" "this" {
  for_each = var.services

  family                   = "${var.name}-${each.key}"
  network_mode             = "awsvpc"
  requires_compatibilities = [local.ec2 ? "EC2" : "FARGATE"]
  cpu                      = local.sizes[each.key].cpu
  memory                   = local.sizes[each.key].memory
  task_role_arn            = aws_iam_role.task[each.key].arn
  execution_role_arn       = aws_iam_role.start[each.key].arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode(concat([merge({
    name      = each.key
    image     = var.image
    essential = true
    command   = concat([each.value.role], each.value.arguments)

    # The image's own user; given here too, so that another image can't run as root either.
    user                   = "65532:65532"
    readonlyRootFilesystem = true
    linuxParameters = {
      initProcessEnabled = true
      capabilities       = { drop = ["ALL"] }
    }

    environment  = [for key in sort(keys(local.environment[each.key])) : { name = key, value = local.environment[each.key][key] }]
    secrets      = [for key in sort(keys(local.given[each.key])) : { name = key, valueFrom = local.given[each.key][key] }]
    portMappings = [for port in local.ports[each.key] : { containerPort = port, hostPort = port, protocol = "tcp" }]
    stopTimeout  = each.value.stop_seconds
    # A file descriptor a connection.
    ulimits = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_group_names[each.key]
        awslogs-region        = var.region
        awslogs-stream-prefix = "task"
        # Logs are given up before the program waits for them.
        mode            = "non-blocking"
        max-buffer-size = "4m"
      }
    }
  }, each.value.deployment == "task" ? {} : { healthCheck = local.health_check })], lookup(local.collectors, each.key, [])))
}
