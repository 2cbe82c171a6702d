# Services may do what they must, and no more; they scale, drain and go back.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name           = "roomlog-test"
  account_id     = "123456789012"
  region         = "us-east-1"
  vpc_id         = "vpc-1"
  subnet_ids     = ["subnet-1", "subnet-2"]
  image          = "registry/roomlog:v1"
  kms_key_arn    = "arn:aws:kms:us-east-1:123456789012:key/system"
  repository_arn = "arn:aws:ecr:us-east-1:123456789012:repository/roomlog-test"
  secret_arns = {
    ROOMLOG_JWT_SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:jwt"
    ROOMLOG_REDIS_URL  = "arn:aws:secretsmanager:us-east-1:123456789012:secret:redis"
  }
  table_prefix                   = "test."
  table_arns                     = { for table in ["events", "rooms", "members", "rooms_of", "partitions", "users", "patches", "reactions", "mentions", "sessions", "devices", "friends", "attachments"] : table => "arn:aws:dynamodb:us-east-1:123456789012:table/test.${table}" }
  kafka_arn                      = "arn:aws:kafka:us-east-1:123456789012:cluster/roomlog-test/1"
  kafka_name                     = "roomlog-test"
  kafka_brokers                  = "b-1:9098"
  kafka_client_security_group_id = "sg-kafka"
  cache_client_security_group_id = "sg-cache"
  edge_security_group_id         = "sg-edge"
  target_group_arns              = { gateway = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/gateway/1" }
  load_balancer_metric           = "app/roomlog-test/1"
  log_group_names                = { for name in ["gateway", "fanout-a", "fanout-b", "persister", "operator"] : name => "/roomlog-test/${name}" }
  log_group_arns                 = { for name in ["gateway", "fanout-a", "fanout-b", "persister", "operator"] : name => "arn:aws:logs:us-east-1:123456789012:log-group:/roomlog-test/${name}" }
  rollback_alarms                = ["gateway-errors"]
}

run "runs_two_to_four_of_every_service" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = toset(concat(keys(aws_ecs_service.rolling), keys(aws_ecs_service.blue_green))) == toset(["gateway", "fanout-a", "fanout-b", "persister"])
    error_message = "a service is missing, or one too many"
  }

  assert {
    condition     = alltrue([for target in aws_appautoscaling_target.service : target.min_capacity == 2 && target.max_capacity == 4])
    error_message = "a service has other bounds than two and four"
  }
}

run "names_no_wildcard_in_a_task_role" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = alltrue(flatten([for role in aws_iam_role_policy.task : [for statement in jsondecode(role.policy).Statement : [for name in concat(statement.Action, statement.Resource) : !strcontains(name, "*")]]]))
    error_message = "a task role has a wildcard"
  }

  assert {
    condition     = length(distinct([for role in aws_iam_role.task : role.name])) == 5
    error_message = "services share a role"
  }
}

run "lets_the_pods_of_one_namespace_take_on_the_roles_by_service" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  variables {
    pods = { identity_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/1", namespace = "chat" }
  }

  assert {
    condition     = aws_iam_role.task["fanout-a"].name == "roomlog-test-fanout-a" && length(jsondecode(aws_iam_role.task["fanout-a"].assume_role_policy).Statement) == 2
    error_message = "roles have other names than pods ask for, or ECS's tasks may not take them on any more"
  }

  assert {
    condition = jsondecode(aws_iam_role.task["fanout-a"].assume_role_policy).Statement[1].Condition.StringEquals == {
      "oidc.eks.us-east-1.amazonaws.com/id/1:aud" = "sts.amazonaws.com"
      "oidc.eks.us-east-1.amazonaws.com/id/1:sub" = "system:serviceaccount:chat:roomlog-fanout-a"
    }
    error_message = "another pod may take on the role, or its own may not"
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.start : length(jsondecode(role.assume_role_policy).Statement) == 1])
    error_message = "a pod may read secrets as ECS does"
  }
}

run "lets_no_pod_in_by_itself" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = alltrue([for role in aws_iam_role.task : [for statement in jsondecode(role.assume_role_policy).Statement : statement.Principal] == [{ Service = "ecs-tasks.amazonaws.com" }]])
    error_message = "somebody other than ECS's tasks may take on a task's role"
  }
}

run "lets_gateways_append_and_read_but_not_move_rows" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = toset(flatten([for statement in jsondecode(aws_iam_role_policy.task["gateway"].policy).Statement : statement.Action if startswith(statement.Action[0], "dynamodb:")])) == toset(["dynamodb:Query", "dynamodb:Scan", "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"])
    error_message = "a gateway may do something else to tables"
  }

  assert {
    condition     = toset(flatten([for statement in jsondecode(aws_iam_role_policy.task["gateway"].policy).Statement : statement.Resource if length(setintersection(statement.Action, ["dynamodb:BatchWriteItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem"])) > 0])) == toset([for table in ["attachments", "devices", "friends", "members", "mentions", "sessions", "users"] : "arn:aws:dynamodb:us-east-1:123456789012:table/test.${table}"])
    error_message = "a gateway may write rows that follow from the log"
  }

  assert {
    condition     = flatten([for statement in jsondecode(aws_iam_role_policy.task["gateway"].policy).Statement : statement.Resource if contains(statement.Action, "kafka-cluster:WriteData")]) == ["arn:aws:kafka:us-east-1:123456789012:topic/roomlog-test/1/chat.events.v1", "arn:aws:kafka:us-east-1:123456789012:topic/roomlog-test/1/chat.reads.v1"]
    error_message = "a gateway may write other topics"
  }

  assert {
    condition     = !contains(toset(flatten([for statement in jsondecode(aws_iam_role_policy.task["gateway"].policy).Statement : statement.Action if startswith(statement.Action[0], "kafka-cluster:")])), "kafka-cluster:ReadData")
    error_message = "a gateway may read the log"
  }
}

run "lets_fanouts_only_read_tables" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = alltrue([for name in ["fanout-a", "fanout-b"] : toset(flatten([for statement in jsondecode(aws_iam_role_policy.task[name].policy).Statement : statement.Action if startswith(statement.Action[0], "dynamodb:")])) == toset(["dynamodb:Query", "dynamodb:GetItem", "dynamodb:BatchGetItem"])])
    error_message = "a fanout may write"
  }

  assert {
    condition     = flatten([for statement in jsondecode(aws_iam_role_policy.task["fanout-b"].policy).Statement : statement.Resource if contains(statement.Action, "kafka-cluster:AlterGroup")]) == ["arn:aws:kafka:us-east-1:123456789012:group/roomlog-test/1/fanout-b"]
    error_message = "a fanout may join another group"
  }
}

run "lets_the_persister_write_and_read_one_secret" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = contains(toset(flatten([for statement in jsondecode(aws_iam_role_policy.task["persister"].policy).Statement : statement.Action if startswith(statement.Action[0], "dynamodb:")])), "dynamodb:BatchWriteItem") && !contains(toset(flatten([for statement in jsondecode(aws_iam_role_policy.task["persister"].policy).Statement : statement.Action if startswith(statement.Action[0], "dynamodb:")])), "dynamodb:DeleteItem")
    error_message = "the persister may not write, or may delete"
  }

  assert {
    condition     = length([for statement in jsondecode(aws_iam_role_policy.start["persister"].policy).Statement : statement if contains(statement.Action, "secretsmanager:GetSecretValue")]) == 1
    error_message = "the persister is not given the address of the cache, or more secrets than that"
  }
}

run "gives_secrets_by_reference_and_only_to_who_needs_them" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = [for secret in jsondecode(aws_ecs_task_definition.this["gateway"].container_definitions)[0].secrets : secret.name] == ["ROOMLOG_JWT_SECRET", "ROOMLOG_REDIS_URL"]
    error_message = "a gateway lacks a secret"
  }

  assert {
    condition     = [for secret in jsondecode(aws_ecs_task_definition.this["fanout-a"].container_definitions)[0].secrets : secret.name] == ["ROOMLOG_REDIS_URL"]
    error_message = "a fanout is given the signing secret"
  }

  assert {
    condition     = alltrue(flatten([for task in aws_ecs_task_definition.this : [for entry in jsondecode(task.container_definitions)[0].environment : !strcontains(entry.name, "SECRET") && entry.name != "ROOMLOG_REDIS_URL"]]))
    error_message = "a secret stands in an environment"
  }
}

run "confines_containers" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.this : jsondecode(task.container_definitions)[0].readonlyRootFilesystem && jsondecode(task.container_definitions)[0].user == "65532:65532" && jsondecode(task.container_definitions)[0].linuxParameters.capabilities.drop == ["ALL"]])
    error_message = "a container can write to itself, is root, or keeps capabilities"
  }

  assert {
    condition     = alltrue([for service in merge(aws_ecs_service.rolling, aws_ecs_service.blue_green) : service.network_configuration[0].assign_public_ip == false])
    error_message = "a task has a public address"
  }
}

run "tells_how_a_task_is_started_by_hand" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  override_resource {
    target          = aws_security_group.service["operator"]
    override_during = plan
    values = {
      id = "sg-operator"
    }
  }

  assert {
    condition     = jsondecode(output.task_networks["operator"]).awsvpcConfiguration == { subnets = ["subnet-1", "subnet-2"], securityGroups = ["sg-operator", "sg-kafka"], assignPublicIp = "DISABLED" }
    error_message = "an operator's task would not reach the log, or would have a public address"
  }
}

run "asks_every_service_whether_it_can_serve" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = alltrue([for name in ["gateway", "fanout-a", "fanout-b", "persister"] : try(jsondecode(aws_ecs_task_definition.this[name].container_definitions)[0].healthCheck.command, []) == ["CMD", "/usr/local/bin/roomlog", "health"]])
    error_message = "a service that can't serve passes for a healthy one"
  }

  assert {
    condition     = !can(jsondecode(aws_ecs_task_definition.this["operator"].container_definitions)[0].healthCheck)
    error_message = "a tool that answers nothing is asked how it is"
  }

  # Seconds and counts that ECS takes: interval to 300, timeout to 120, start period to 300, retries to 10.
  assert {
    condition     = alltrue([for name in ["gateway", "fanout-a", "fanout-b", "persister"] : [for check in [jsondecode(aws_ecs_task_definition.this[name].container_definitions)[0].healthCheck] : check.interval >= 5 && check.interval <= 300 && check.timeout >= 2 && check.timeout < check.interval && check.startPeriod <= 300 && check.retries >= 1 && check.retries <= 10][0]])
    error_message = "ECS would refuse the health check"
  }
}

run "stops_gently" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = alltrue([for task in aws_ecs_task_definition.this : jsondecode(task.container_definitions)[0].stopTimeout == 60])
    error_message = "a task is killed early"
  }

  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.this["gateway"].container_definitions)[0].environment, { name = "ROOMLOG_STOP_TIMEOUT", value = "50s" }) && contains(jsondecode(aws_ecs_task_definition.this["gateway"].container_definitions)[0].environment, { name = "ROOMLOG_DRAIN", value = "30s" })
    error_message = "a gateway is killed before it has closed its connections"
  }
}

run "changes_gateways_by_colour_and_rolls_consumers" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = aws_ecs_service.blue_green["gateway"].deployment_controller[0].type == "CODE_DEPLOY"
    error_message = "gateways are not changed by CodeDeploy"
  }

  assert {
    condition     = alltrue([for service in aws_ecs_service.rolling : service.deployment_minimum_healthy_percent == 100 && service.deployment_circuit_breaker[0].rollback && service.alarms[0].rollback])
    error_message = "a bad release of a consumer stays"
  }
}

run "scales_by_cpu_connections_and_lag" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = alltrue([for policy in aws_appautoscaling_policy.cpu : policy.target_tracking_scaling_policy_configuration[0].target_value == 70])
    error_message = "CPU is not kept at 70 %"
  }

  assert {
    condition     = keys(aws_appautoscaling_policy.connections) == ["gateway"] && aws_appautoscaling_policy.connections["gateway"].target_tracking_scaling_policy_configuration[0].target_value == 20000
    error_message = "gateways do not scale by connections"
  }

  assert {
    condition     = keys(aws_appautoscaling_policy.lag) == ["persister-v1"] && aws_appautoscaling_policy.lag["persister-v1"].target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metric_name == "MaxOffsetLag"
    error_message = "the persister does not scale by lag"
  }
}

run "lets_only_the_edge_in_and_only_gateways_at_the_link" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  override_resource {
    target          = aws_security_group.service["gateway"]
    override_during = plan
    values = {
      id = "sg-gateway"
    }
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.clients["gateway"].referenced_security_group_id == "sg-edge" && length(aws_vpc_security_group_ingress_rule.clients) == 1
    error_message = "clients reach more than gateways by the load balancer"
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.link)) == toset(["gateway-fanout-a", "gateway-fanout-b"]) && alltrue([for rule in aws_vpc_security_group_ingress_rule.link : rule.referenced_security_group_id == "sg-gateway"])
    error_message = "others than gateways reach the link"
  }

  assert {
    condition     = length(aws_ecs_service.rolling["persister"].service_registries) == 0 && length(aws_ecs_service.rolling["fanout-b"].service_registries) == 1
    error_message = "the persister answers as a fanout, or a fanout does not"
  }
}

run "believes_nobody_where_the_load_balancer_says_nothing" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  variables {
    load_balancer_kind = "nlb"
  }

  assert {
    condition     = [for entry in jsondecode(aws_ecs_task_definition.this["gateway"].container_definitions)[0].environment : entry.value if entry.name == "ROOMLOG_TRUSTED_PROXIES"] == ["0"]
    error_message = "a client says who it is, and gateways believe it"
  }

  assert {
    condition     = [for metric in aws_appautoscaling_policy.connections["gateway"].target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].metrics : metric.metric_stat[0].metric[0].metric_name if metric.id == "connections"] == ["ActiveFlowCount"]
    error_message = "gateways scale by what this load balancer does not count"
  }
}

run "believes_an_application_load_balancer" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  assert {
    condition     = { for name, task in aws_ecs_task_definition.this : name => [for entry in jsondecode(task.container_definitions)[0].environment : entry.value if entry.name == "ROOMLOG_TRUSTED_PROXIES"] } == { gateway = ["1"], fanout-a = [], fanout-b = [], persister = [], operator = [] }
    error_message = "all clients share the load balancer's address"
  }
}

run "may_use_a_successor" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  variables {
    events_topics = ["chat.events.v1", "chat.events.v2"]
  }

  # By service: who may do what to the newer topic.
  assert {
    condition = { for name, role in aws_iam_role_policy.task : name => join(" ", sort(distinct(flatten([for statement in jsondecode(role.policy).Statement : [for action in statement.Action : trimprefix(action, "kafka-cluster:")] if contains(statement.Resource, "arn:aws:kafka:us-east-1:123456789012:topic/roomlog-test/1/chat.events.v2")])))) } == {
      gateway   = "DescribeTopic DescribeTopicDynamicConfiguration WriteData"
      fanout-a  = "DescribeTopic DescribeTopicDynamicConfiguration ReadData"
      fanout-b  = "DescribeTopic DescribeTopicDynamicConfiguration ReadData"
      persister = "DescribeTopic DescribeTopicDynamicConfiguration ReadData WriteData"
      operator  = "AlterTopicDynamicConfiguration CreateTopic DescribeTopic DescribeTopicDynamicConfiguration ReadData WriteData"
    }
    error_message = "a service loses its rights when the topic is succeeded, or has too many"
  }

  assert {
    condition     = { for name, policy in aws_appautoscaling_policy.lag : name => [for dimension in policy.target_tracking_scaling_policy_configuration[0].customized_metric_specification[0].dimensions : dimension.value if dimension.name == "Topic"][0] } == { persister-v1 = "chat.events.v1", persister-v2 = "chat.events.v2" }
    error_message = "the persister does not scale by its lag behind the successor"
  }

  assert {
    condition     = alltrue([for action in ["dynamodb:Scan", "dynamodb:UpdateItem"] : contains(flatten([for statement in jsondecode(aws_iam_role_policy.task["operator"].policy).Statement : statement.Action if contains(statement.Resource, "arn:aws:dynamodb:us-east-1:123456789012:table/test.rooms")]), action)]) && contains(flatten([for statement in jsondecode(aws_iam_role_policy.task["operator"].policy).Statement : statement.Action]), "kafka-cluster:WriteDataIdempotently")
    error_message = "the operator can't give rooms their place in the successor"
  }
}

run "runs_on_own_machines_by_a_switch" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  variables {
    launch = "ec2"
  }

  assert {
    condition     = aws_launch_template.machine[0].metadata_options[0].http_tokens == "required" && tobool(one(aws_launch_template.machine[0].block_device_mappings).ebs[0].encrypted)
    error_message = "machines give their role away or have plain disks"
  }

  assert {
    condition     = aws_ecs_capacity_provider.this[0].auto_scaling_group_provider[0].managed_termination_protection == "ENABLED" && aws_autoscaling_group.machine[0].protect_from_scale_in
    error_message = "a machine with tasks on it can be taken away"
  }
}

run "refuses_the_latest_image" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  variables {
    image = "registry/roomlog:latest"
  }

  expect_failures = [var.image]
}

run "refuses_secrets_in_the_environment" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  variables {
    environment = { ROOMLOG_JWT_SECRET = "x" }
  }

  expect_failures = [var.environment]
}

run "lets_only_gateways_at_objects_of_one_bucket" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  variables {
    attachments = { bucket = "files", arn = "arn:aws:s3:::files" }
  }

  assert {
    condition     = jsonencode({ for name, role in aws_iam_role_policy.task : name => [for statement in jsondecode(role.policy).Statement : [statement.Action, statement.Resource] if startswith(statement.Action[0], "s3:")] if strcontains(role.policy, "\"s3:") }) == jsonencode({ gateway = [[["s3:GetObject", "s3:PutObject"], ["arn:aws:s3:::files/*"]], [["s3:ListBucket"], ["arn:aws:s3:::files"]]] })
    error_message = "somebody else may touch files, or a gateway more than objects, or it can't tell that one is missing"
  }
}

run "collects_figures_and_traces_of_every_service" {
  command = plan
  module {
    source = "../../modules/compute"
  }

  variables {
    collector = { endpoint = "https://aps/workspaces/ws-1/", workspace_arn = "arn:aws:aps:us-east-1:123456789012:workspace/ws-1" }
  }

  assert {
    condition     = { for name, task in aws_ecs_task_definition.this : name => join(" ", [for container in jsondecode(task.container_definitions) : "${container.name}:${container.essential}"]) } == { gateway = "gateway:true collector:false", fanout-a = "fanout-a:true collector:false", fanout-b = "fanout-b:true collector:false", persister = "persister:true collector:false", operator = "operator:true" }
    error_message = "a service is not collected from, or goes when its collector goes"
  }

  assert {
    condition     = alltrue([for name in ["gateway", "fanout-a", "fanout-b", "persister"] : contains(jsondecode(aws_ecs_task_definition.this[name].container_definitions)[0].environment, { name = "ROOMLOG_OTLP_ENDPOINT", value = "http://127.0.0.1:4317" })])
    error_message = "a service sends its traces nowhere"
  }

  # Where figures are fetched and written, and what tells a fanout's group.
  assert {
    condition     = [for told in [jsondecode(jsondecode(aws_ecs_task_definition.this["fanout-b"].container_definitions)[1].environment[0].value)] : join(" ", [told.receivers.prometheus.config.scrape_configs[0].job_name, told.receivers.prometheus.config.scrape_configs[0].static_configs[0].targets[0], told.receivers.prometheus.config.scrape_configs[0].static_configs[0].labels.group, told.exporters.prometheusremotewrite.endpoint])][0] == "roomlog-fanout 127.0.0.1:9464 b https://aps/workspaces/ws-1/api/v1/remote_write"
    error_message = "the rules do not find the figures they are about"
  }

  # Whatever a pipeline names is there.
  assert {
    condition     = alltrue(flatten([for told in [jsondecode(jsondecode(aws_ecs_task_definition.this["gateway"].container_definitions)[1].environment[0].value)] : [for pipeline in values(told.service.pipelines) : [for kind in ["receivers", "processors", "exporters"] : [for part in pipeline[kind] : contains(keys(told[kind]), part)]]]]))
    error_message = "a pipeline of the collector uses what is not there"
  }

  assert {
    condition     = { for name, role in aws_iam_role_policy.task : name => join(" ", flatten([for statement in jsondecode(role.policy).Statement : statement.Action if startswith(statement.Action[0], "aps:") || startswith(statement.Action[0], "xray:")])) } == { gateway = "aps:RemoteWrite xray:PutTraceSegments xray:PutTelemetryRecords", fanout-a = "aps:RemoteWrite xray:PutTraceSegments xray:PutTelemetryRecords", fanout-b = "aps:RemoteWrite xray:PutTraceSegments xray:PutTelemetryRecords", persister = "aps:RemoteWrite xray:PutTraceSegments xray:PutTelemetryRecords", operator = "" }
    error_message = "a collector may not write, or may more"
  }
}
