"""From a vector to an output (floor 4; the folder is the registry)."""
