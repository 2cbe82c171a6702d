# The collector beside every running service: it takes the task's traces, fetches its figures, and passes both on to AWS.
# It is not essential: a task goes on without it.

locals {
  # What each adds to its figures, so that the rules and dashboards of infra/observability find them as anywhere else.
  figure_labels = { for name, service in local.running : name => merge(
    { service = name },
    { for label, key in { group = "ROOMLOG_FANOUT_GROUP" } : label => service.environment[key] if contains(keys(service.environment), key) },
  ) }

  collector_configuration = { for name, service in local.running : name => {
    extensions = {
      sigv4auth = { region = var.region, service = "aps" }
    }

    receivers = {
      otlp = { protocols = { grpc = { endpoint = "127.0.0.1:4317" } } }
      prometheus = { config = { scrape_configs = [{
        job_name        = "roomlog-${service.role}"
        scrape_interval = "15s"
        static_configs  = [{ targets = ["127.0.0.1:9464"], labels = local.figure_labels[name] }]
      }] } }
    }

    processors = {
      # First, so that a full collector refuses instead of dying.
      memory_limiter = { check_interval = "1s", limit_mib = 128, spike_limit_mib = 32 }
      # All tasks are fetched from at the same address, so the task's own name tells them apart.
      resourcedetection = { detectors = ["ecs"], timeout = "5s" }
      "resource/instance" = { attributes = [
        { key = "service.instance.id", from_attribute = "aws.ecs.task.arn", action = "upsert" },
      ] }
      # The services put no content and no token into spans; should one ever slip in, it ends here.
      "attributes/private" = { actions = [
        for key in ["text", "body", "authorization", "url.query"] : { key = key, action = "delete" }
      ] }
      batch = { timeout = "5s", send_batch_size = 512 }
    }

    exporters = {
      prometheusremotewrite = {
        endpoint = "${var.collector == null ? "" : var.collector.endpoint}api/v1/remote_write"
        auth     = { authenticator = "sigv4auth" }
        # Names are those of the services already.
        add_metric_suffixes = false
      }
      awsxray = { region = var.region }
    }

    service = {
      extensions = ["sigv4auth"]
      pipelines = {
        metrics = { receivers = ["prometheus"], processors = ["memory_limiter", "resourcedetection", "resource/instance", "batch"], exporters = ["prometheusremotewrite"] }
        traces  = { receivers = ["otlp"], processors = ["memory_limiter", "attributes/private", "batch"], exporters = ["awsxray"] }
      }
      telemetry = { logs = { level = "warn" } }
    }
  } }

  collectors = { for name, service in local.running : name => [for collector in var.collector[*] : {
    name      = "collector"
    image     = collector.image
    essential = false
    memory    = 192

    readonlyRootFilesystem = true
    linuxParameters = {
      initProcessEnabled = true
      capabilities       = { drop = ["ALL"] }
    }

    # YAML takes JSON for its own.
    environment = [{ name = "AOT_CONFIG_CONTENT", value = jsonencode(local.collector_configuration[name]) }]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = var.log_group_names[name]
        awslogs-region        = var.region
        awslogs-stream-prefix = "collector"
        mode                  = "non-blocking"
        max-buffer-size       = "1m"
      }
    }
  }] }

  collector_statements = { for name, service in var.services : name => flatten([for collector in var.collector[*] : [
    { Effect = "Allow", Action = ["aps:RemoteWrite"], Resource = [collector.workspace_arn] },
    # Traces have no resource to name.
    { Effect = "Allow", Action = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], Resource = ["*"] },
  ] if contains(keys(local.running), name)]) }
}
