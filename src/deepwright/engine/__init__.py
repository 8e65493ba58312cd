"""The training loop and what surrounds it (floor 5)."""
