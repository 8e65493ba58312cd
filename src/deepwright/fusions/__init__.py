"""From several vectors to one (floor 4; the folder is the registry)."""
