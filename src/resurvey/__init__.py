"""Resurvey: redraw an embedding model's map for your territory, and prove the new map is better."""

__version__ = "0.1.0"
