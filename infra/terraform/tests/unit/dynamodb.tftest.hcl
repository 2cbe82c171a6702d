# The tables are those of the program, recoverable and encrypted.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  prefix      = "test."
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/system"
}

run "makes_every_table_with_its_keys" {
  command = plan
  module {
    source = "../../modules/dynamodb"
  }

  assert {
    condition = { for name, table in aws_dynamodb_table.this : table.name => [table.hash_key, table.range_key == null ? "" : table.range_key] } == {
      "test.events"      = ["room_shard", "seq"]
      "test.rooms"       = ["room", ""]
      "test.members"     = ["room", "user"]
      "test.friends"     = ["user", "friend"]
      "test.rooms_of"    = ["user", "room"]
      "test.partitions"  = ["partition", ""]
      "test.users"       = ["user", ""]
      "test.patches"     = ["room", "target"]
      "test.reactions"   = ["room", "reaction"]
      "test.mentions"    = ["user", "mention"]
      "test.sessions"    = ["session", ""]
      "test.attachments" = ["attachment", ""]
      "test.devices"     = ["user", "token"]
    }
    error_message = "the tables differ from those of the program"
  }

  assert {
    condition     = { for attribute in aws_dynamodb_table.this["events"].attribute : attribute.name => attribute.type } == { room_shard = "S", seq = "N" }
    error_message = "a seq is a number"
  }
}

run "has_the_indexes_of_the_program" {
  command = plan
  module {
    source = "../../modules/dynamodb"
  }

  assert {
    condition = { for index in aws_dynamodb_table.this["rooms"].global_secondary_index : index.name => [index.hash_key, index.range_key, index.projection_type] } == {
      by_partition = ["partition", "room", "KEYS_ONLY"]
      public       = ["listed", "room", "INCLUDE"]
    }
    error_message = "the indexes of rooms differ"
  }

  assert {
    condition     = { for index in aws_dynamodb_table.this["users"].global_secondary_index : index.name => [index.hash_key, index.projection_type] } == { by_login = ["login", "KEYS_ONLY"], by_name = ["initial", "INCLUDE"] }
    error_message = "the indexes of users differ"
  }

  assert {
    condition     = alltrue([for name, table in aws_dynamodb_table.this : length(table.global_secondary_index) == lookup({ rooms = 2, users = 2 }, name, 0)])
    error_message = "an index too many"
  }
}

run "bills_by_request_and_recovers_any_second" {
  command = plan
  module {
    source = "../../modules/dynamodb"
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.billing_mode == "PAY_PER_REQUEST" && table.point_in_time_recovery[0].enabled])
    error_message = "a table is not on demand or can't be recovered"
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.server_side_encryption[0].enabled && table.server_side_encryption[0].kms_key_arn == "arn:aws:kms:us-east-1:123456789012:key/system"])
    error_message = "a table is not encrypted by the system's key"
  }

  assert {
    condition     = alltrue([for table in aws_dynamodb_table.this : table.deletion_protection_enabled])
    error_message = "a table can be deleted by accident"
  }
}

run "lets_nothing_expire_but_sessions" {
  command = plan
  module {
    source = "../../modules/dynamodb"
  }

  assert {
    condition     = [for name, table in aws_dynamodb_table.this : name if length([for ttl in table.ttl : ttl if ttl.enabled]) > 0] == ["sessions"]
    error_message = "rows of another table expire"
  }

  assert {
    condition     = one(aws_dynamodb_table.this["sessions"].ttl).attribute_name == "expires_at"
    error_message = "sessions expire by another attribute"
  }
}
