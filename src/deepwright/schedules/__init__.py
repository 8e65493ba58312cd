"""How the learning rate changes (floor 4; the folder is the registry)."""
