"""The steps of the life cycle, one thin file each (floor 6)."""
