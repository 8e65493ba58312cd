"""Random changes of training pictures (floor 4; the folder is the registry)."""
