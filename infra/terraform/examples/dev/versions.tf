terraform {
  # Write-only arguments keep secrets out of the state; they begin with 1.11.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

# State is shared and locked; say in which bucket at `terraform init -backend-config=bucket=…`.
terraform {
  backend "s3" {
    key          = "roomlog/dev/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
