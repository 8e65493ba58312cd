"""Reports: one self-contained HTML page with pictures."""
