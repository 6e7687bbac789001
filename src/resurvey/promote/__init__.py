"""Promotion: the registry of candidates, the gate, and the one switch, `live.json`."""
