output "state_machine_arn" {
  description = "The state machine; start it with the input of a clock to wake the environment by hand."
  value       = aws_sfn_state_machine.this.arn
}

output "inputs" {
  description = "The inputs that start and stop the environment."
  value       = { for name, clock in local.clocks : name => jsonencode({ services = clock.services }) }
}
