output "prefix" {
  description = "What is put before every table's name."
  value       = var.prefix
}

output "table_names" {
  description = "Full names by short name."
  value       = { for name, table in aws_dynamodb_table.this : name => table.name }
}

output "table_indexes" {
  description = "By short name of a table that has any: its indexes."
  value       = { for name, table in local.tables : name => sort(keys(table.indexes)) if can(table.indexes) }
}

output "table_arns" {
  description = "ARNs by short name."
  value       = { for name, table in aws_dynamodb_table.this : name => table.arn }
}
