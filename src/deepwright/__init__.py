"""Deepwright: raw data to a deep-learning model in service, and kept good."""

__version__ = "0.1.0"
