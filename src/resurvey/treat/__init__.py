"""Treatments: one file each, one row each in the catalogue, kept only if held-out queries say so."""
