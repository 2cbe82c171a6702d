output "bucket" {
  description = "The bucket's name."
  value       = aws_s3_bucket.attachments.id
}

output "bucket_arn" {
  description = "The bucket's ARN."
  value       = aws_s3_bucket.attachments.arn
}

output "bucket_domain" {
  description = "Where the bucket answers."
  value       = aws_s3_bucket.attachments.bucket_regional_domain_name
}
