"""Kinds of columns, free of torch (floor 4; the folder is the registry)."""
