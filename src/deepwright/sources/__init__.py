"""Where tables come from (floor 4; the folder is the registry)."""
