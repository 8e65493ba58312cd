"""How gradients become steps (floor 4; the folder is the registry)."""
