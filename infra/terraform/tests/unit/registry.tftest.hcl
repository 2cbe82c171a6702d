# A release's tag never moves, and the last three stay.

mock_provider "aws" {
  source          = "./mocks"
  override_during = plan
}

variables {
  name        = "roomlog-test"
  kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/system"
}

run "scans_encrypts_and_never_moves_a_tag" {
  command = plan
  module {
    source = "../../modules/registry"
  }

  assert {
    condition     = aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push && aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE"
    error_message = "images are not scanned, or their tags can move"
  }

  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].encryption_type == "KMS" && aws_ecr_repository.this.encryption_configuration[0].kms_key == "arn:aws:kms:us-east-1:123456789012:key/system"
    error_message = "images are not encrypted by the system's key"
  }
}

run "keeps_the_last_three_releases" {
  command = plan
  module {
    source = "../../modules/registry"
  }

  assert {
    condition = one([
      for rule in jsondecode(aws_ecr_lifecycle_policy.this.policy).rules : rule.selection.countNumber
      if try(rule.selection.tagPatternList, []) == ["v*"]
    ]) == 3
    error_message = "not three releases are kept"
  }
}

run "refuses_to_keep_only_what_runs" {
  command = plan
  module {
    source = "../../modules/registry"
  }

  variables {
    releases_kept = 1
  }

  expect_failures = [var.releases_kept]
}
