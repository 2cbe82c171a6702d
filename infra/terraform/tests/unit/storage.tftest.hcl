# Nobody reads the bucket but by a signed address.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  bucket          = "roomlog-test-attachments"
  kms_key_arn     = "arn:aws:kms:us-east-1:123456789012:key/system"
  allowed_origins = ["https://chat.example.com"]
}

run "is_not_public_in_any_way" {
  command = plan
  module {
    source = "../../modules/storage"
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.attachments.block_public_acls,
      aws_s3_bucket_public_access_block.attachments.block_public_policy,
      aws_s3_bucket_public_access_block.attachments.ignore_public_acls,
      aws_s3_bucket_public_access_block.attachments.restrict_public_buckets,
    ])
    error_message = "the bucket could be made public"
  }

  assert {
    condition     = aws_s3_bucket_ownership_controls.attachments.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "objects may carry access rules"
  }

  assert {
    condition     = alltrue([for statement in jsondecode(aws_s3_bucket_policy.attachments.policy).Statement : statement.Effect == "Deny"])
    error_message = "the bucket's policy lets somebody in"
  }
}

run "refuses_plain_http" {
  command = plan
  module {
    source = "../../modules/storage"
  }

  assert {
    condition     = jsondecode(aws_s3_bucket_policy.attachments.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "plain HTTP is let in"
  }
}

run "encrypts_keeps_versions_and_tidies_up" {
  command = plan
  module {
    source = "../../modules/storage"
  }

  assert {
    condition     = one(aws_s3_bucket_server_side_encryption_configuration.attachments.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == "arn:aws:kms:us-east-1:123456789012:key/system"
    error_message = "objects are not encrypted by the system's key"
  }

  assert {
    condition     = aws_s3_bucket_versioning.attachments.versioning_configuration[0].status == "Enabled"
    error_message = "what is deleted is gone"
  }

  assert {
    condition     = length([for rule in aws_s3_bucket_lifecycle_configuration.attachments.rule : rule if rule.status == "Enabled"]) == 3
    error_message = "a lifecycle rule is missing"
  }
}

run "lets_only_its_own_page_upload" {
  command = plan
  module {
    source = "../../modules/storage"
  }

  assert {
    condition     = one(aws_s3_bucket_cors_configuration.attachments[0].cors_rule).allowed_origins == toset(["https://chat.example.com"])
    error_message = "another origin is let in"
  }

  assert {
    condition     = one(aws_s3_bucket_cors_configuration.attachments[0].cors_rule).allowed_methods == toset(["GET", "HEAD", "PUT"]) && contains(one(aws_s3_bucket_cors_configuration.attachments[0].cors_rule).allowed_headers, "content-type")
    error_message = "a browser may not put a file where a gateway signed it, or may do more"
  }
}

run "refuses_any_origin" {
  command = plan
  module {
    source = "../../modules/storage"
  }

  variables {
    allowed_origins = ["*"]
  }

  expect_failures = [var.allowed_origins]
}
