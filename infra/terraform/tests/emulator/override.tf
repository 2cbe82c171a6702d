# Laid over examples/dev by `tests/run apply`: the emulator instead of AWS, and the values an operator would give.

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  s3_use_path_style           = true
  # The emulator answers at once or never will.
  max_retries = 2
}

# The state goes with the folder it is tried in.
terraform {
  backend "local" {}
}
