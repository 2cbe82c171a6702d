# Who runs, and what each of them may touch. One entry is one service: a notifier is one more entry here, and its
# network access, policies, log access and scaling follow from it.

variable "services" {
  type = map(object({
    # The first argument of the program, and what follows it.
    role      = string
    arguments = optional(list(string), [])
    # blue_green: behind the load balancer. rolling: consumers. task: started by hand, no service.
    deployment  = optional(string, "rolling")
    environment = optional(map(string), {})
    secrets     = optional(set(string), [])
    # DynamoDB actions by table, and tables with the indexes that are queried.
    tables  = optional(map(set(string)), {})
    indexes = optional(map(set(string)), {})
    # Topics written and read, groups joined, and topics made and set. `chat.events` is every topic of events there is.
    produces = optional(set(string), [])
    consumes = optional(set(string), [])
    groups   = optional(set(string), [])
    makes    = optional(set(string), [])
    # Whether it signs addresses of attachments.
    files = optional(bool, false)
    # Stores whose client group is carried: kafka, cache.
    stores = optional(set(string), [])
    # The port clients reach through the load balancer.
    port = optional(number)
    # Whether it answers under the name of fanout, or asks there.
    answers_link = optional(bool, false)
    asks_link    = optional(bool, false)
    # How long a stopping task may take; two minutes is what Fargate allows.
    stop_seconds = optional(number, 60)
    # Beside CPU: connections of one task, or records a group may lag behind.
    connections = optional(number)
    lag         = optional(object({ group = string, records = number }))
  }))
  description = "The services by name. The default is the whole system."

  default = {
    gateway = {
      role        = "gateway"
      deployment  = "blue_green"
      environment = { ROOMLOG_LISTEN = "0.0.0.0:8080", ROOMLOG_DRAIN = "30s" }
      files       = true
      secrets     = ["ROOMLOG_REDIS_URL", "ROOMLOG_JWT_SECRET"]
      stores      = ["kafka", "cache"]
      produces    = ["chat.events", "chat.reads.v1"]
      tables = {
        events     = ["GetItem", "Query"]
        rooms      = ["BatchGetItem", "GetItem"]
        members    = ["BatchGetItem", "GetItem", "Query", "UpdateItem"]
        rooms_of   = ["Query"]
        partitions = ["GetItem"]
        patches    = ["Query"]
        reactions  = ["Query"]
        # Read mentions are dropped.
        mentions = ["BatchWriteItem", "Query"]
        # A sign-up puts two rows in one transaction.
        users       = ["BatchGetItem", "GetItem", "PutItem", "Scan", "UpdateItem"]
        sessions    = ["BatchGetItem", "DeleteItem", "GetItem", "UpdateItem"]
        friends     = ["DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"]
        attachments = ["BatchGetItem", "UpdateItem"]
        devices     = ["DeleteItem", "PutItem", "Query"]
      }
      indexes     = { rooms = ["public"], users = ["by_name"] }
      port        = 8080
      asks_link   = true
      connections = 20000
    }

    fanout-a = {
      role         = "fanout"
      environment  = { ROOMLOG_FANOUT_LISTEN = "0.0.0.0:7070", ROOMLOG_FANOUT_GROUP = "a" }
      secrets      = ["ROOMLOG_REDIS_URL"]
      stores       = ["kafka", "cache"]
      consumes     = ["chat.events"]
      produces     = ["chat.dlq.v1"]
      groups       = ["fanout-a"]
      tables       = { rooms = ["BatchGetItem"], partitions = ["GetItem"] }
      indexes      = { rooms = ["by_partition"] }
      answers_link = true
    }

    fanout-b = {
      role         = "fanout"
      environment  = { ROOMLOG_FANOUT_LISTEN = "0.0.0.0:7070", ROOMLOG_FANOUT_GROUP = "b" }
      secrets      = ["ROOMLOG_REDIS_URL"]
      stores       = ["kafka", "cache"]
      consumes     = ["chat.events"]
      produces     = ["chat.dlq.v1"]
      groups       = ["fanout-b"]
      tables       = { rooms = ["BatchGetItem"], partitions = ["GetItem"] }
      indexes      = { rooms = ["by_partition"] }
      answers_link = true
    }

    persister = {
      role     = "persister"
      secrets  = ["ROOMLOG_REDIS_URL"]
      stores   = ["kafka", "cache"]
      consumes = ["chat.events", "chat.reads.v1"]
      # Letters to inboxes are events too.
      produces = ["chat.dlq.v1", "chat.events"]
      groups   = ["persister", "persister-reads"]
      tables = {
        events      = ["BatchWriteItem"]
        rooms       = ["BatchGetItem", "UpdateItem"]
        members     = ["BatchGetItem", "Query", "UpdateItem"]
        rooms_of    = ["UpdateItem"]
        patches     = ["UpdateItem"]
        reactions   = ["UpdateItem"]
        mentions    = ["BatchWriteItem"]
        attachments = ["UpdateItem"]
        partitions  = ["GetItem", "UpdateItem"]
      }
      lag = { group = "persister", records = 20000 }
    }

    # Makes the topics and writes the epoch, once, and opens a successor; started by hand with other arguments each time.
    operator = {
      role       = "topics"
      arguments  = ["create"]
      deployment = "task"
      stores     = ["kafka"]
      makes      = ["chat.events", "chat.reads.v1", "chat.dlq.v1"]
      # A successor begins with the ids that occurred lately in the topic before it.
      consumes = ["chat.events"]
      produces = ["chat.events"]
      tables = {
        partitions = ["CreateTable", "DescribeTable", "GetItem", "UpdateItem"]
        events     = ["CreateTable", "DescribeTable"]
        # Every room is given its place in a successor.
        rooms       = ["CreateTable", "DescribeTable", "Scan", "UpdateItem"]
        members     = ["CreateTable", "DescribeTable"]
        rooms_of    = ["CreateTable", "DescribeTable"]
        users       = ["CreateTable", "DescribeTable"]
        patches     = ["CreateTable", "DescribeTable"]
        reactions   = ["CreateTable", "DescribeTable"]
        mentions    = ["CreateTable", "DescribeTable"]
        sessions    = ["CreateTable", "DescribeTable", "DescribeTimeToLive", "UpdateTimeToLive"]
        attachments = ["CreateTable", "DescribeTable"]
        friends     = ["CreateTable", "DescribeTable"]
        devices     = ["CreateTable", "DescribeTable"]
      }
    }
  }

  validation {
    condition     = alltrue([for service in values(var.services) : contains(["blue_green", "rolling", "task"], service.deployment)])
    error_message = "deployment is one of blue_green, rolling, task."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : (service.deployment == "blue_green") == (service.port != null)])
    error_message = "A service has a port exactly if it is behind the load balancer: blue_green."
  }

  validation {
    condition     = alltrue([for service in values(var.services) : service.stop_seconds >= 30 && service.stop_seconds <= 120])
    error_message = "stop_seconds is 30 to 120."
  }

  validation {
    condition     = alltrue(flatten([for service in values(var.services) : [for actions in values(service.tables) : [for action in actions : !strcontains(action, "*")]]]))
    error_message = "Actions are named one by one, without wildcards."
  }
}
