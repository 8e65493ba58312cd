"""From arrays to vectors (floor 4; the folder is the registry)."""
