"""Weights averaged along training (floor 4; the folder is the registry)."""
