"""How far an output is from its target (floor 4; the folder is the registry)."""
