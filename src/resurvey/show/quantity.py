"""Measured values as they are written: as many decimals as their unit deserves, an interval with as many as its value.

Knows units by name; knows nothing about what was measured.
"""

from __future__ import annotations

COUNTED = ("documents",)
SIGNED = ("points",)
SMALL = 10
"""Percent and points below which a second decimal is written."""


def written(value: float | None, unit: str, like: float | None = None) -> str:
    """A value without its unit.

    Args:
        like: the value whose decimals these should be, for the ends of its interval.
    """
    if value is None:
        return "–"
    size = abs(value if like is None else like)
    if unit.startswith(COUNTED):
        return f"{value:,.0f}"
    if unit.startswith(("%", *SIGNED)):
        sign = "+" if unit.startswith(SIGNED) else ""
        return f"{value:{sign}.{2 if size < SMALL else 1}f}"
    return f"{value:.3f}"
