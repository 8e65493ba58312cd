"""The layers of a sequential encoder (floor 4; the folder is the registry)."""
