# What an operator would give to examples/dev.
domain       = "example.com"
release      = "v0.0.0"
repository   = "example/roomlog"
state_bucket = "example-state"
mail         = ["operator@example.com"]
