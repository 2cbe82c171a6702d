output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "cidr" {
  description = "The VPC's address range."
  value       = aws_vpc.this.cidr_block
}

output "public_subnet_ids" {
  description = "Subnets of load balancers, in the order of the zones."
  value       = [for zone in var.availability_zones : aws_subnet.public[zone].id]
}

output "application_subnet_ids" {
  description = "Subnets of tasks, in the order of the zones."
  value       = [for zone in var.availability_zones : aws_subnet.application[zone].id]
}

output "data_subnet_ids" {
  description = "Subnets of the stores, in the order of the zones."
  value       = [for zone in var.availability_zones : aws_subnet.data[zone].id]
}
