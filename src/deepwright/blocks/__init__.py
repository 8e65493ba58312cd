"""Plain ``nn.Module`` building blocks with flat arguments; they know nothing of recipes (floor 3)."""
