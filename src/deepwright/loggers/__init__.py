"""Where the figures of a training go while it runs (floor 4; the folder is the registry)."""
