# The tables, exactly as `roomlog tables create` makes them, plus what an operator wants of them: encryption by an own
# key, recovery to any second, protection from deletion. That command still runs once after this: it writes the epoch.

locals {
  # Key attributes with their types; an index says what it holds beside the keys.
  tables = {
    events = { hash = "room_shard", range = "seq", keys = { room_shard = "S", seq = "N" } }
    rooms = {
      hash = "room", keys = { room = "S", partition = "N", listed = "S" }
      indexes = {
        by_partition = { hash = "partition", range = "room", includes = [] }
        public       = { hash = "listed", range = "room", includes = ["name", "kind"] }
      }
    }
    members    = { hash = "room", range = "user", keys = { room = "S", user = "S" } }
    rooms_of   = { hash = "user", range = "room", keys = { user = "S", room = "S" } }
    partitions = { hash = "partition", keys = { partition = "S" } }
    users = {
      hash = "user", keys = { user = "S", login = "S", initial = "S", folded = "S" }
      indexes = {
        by_login = { hash = "login", range = null, includes = [] }
        by_name  = { hash = "initial", range = "folded", includes = ["name", "avatar"] }
      }
    }
    patches   = { hash = "room", range = "target", keys = { room = "S", target = "N" } }
    reactions = { hash = "room", range = "reaction", keys = { room = "S", reaction = "S" } }
    mentions  = { hash = "user", range = "mention", keys = { user = "S", mention = "S" } }
    # The one table whose rows may vanish by themselves: nothing that was said ever does.
    sessions    = { hash = "session", keys = { session = "S" }, expiry = "expires_at" }
    attachments = { hash = "attachment", keys = { attachment = "S" } }
    friends     = { hash = "user", range = "friend", keys = { user = "S", friend = "S" } }
    devices     = { hash = "user", range = "token", keys = { user = "S", token = "S" } }
  }
}

resource "aws_dynamodb_table" "this" {
  for_each = local.tables

  name                        = "${var.prefix}${each.key}"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = each.value.hash
  range_key                   = try(each.value.range, null)
  deletion_protection_enabled = var.deletion_protection

  dynamic "attribute" {
    for_each = each.value.keys
    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = try(each.value.indexes, {})
    content {
      name               = global_secondary_index.key
      hash_key           = global_secondary_index.value.hash
      range_key          = global_secondary_index.value.range
      projection_type    = length(global_secondary_index.value.includes) == 0 ? "KEYS_ONLY" : "INCLUDE"
      non_key_attributes = length(global_secondary_index.value.includes) == 0 ? null : global_secondary_index.value.includes
    }
  }

  dynamic "ttl" {
    for_each = try([each.value.expiry], [])
    content {
      enabled        = true
      attribute_name = ttl.value
    }
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }
}
