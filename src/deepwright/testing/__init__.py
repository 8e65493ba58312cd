"""Conformance suites, one per family (floor 8)."""
