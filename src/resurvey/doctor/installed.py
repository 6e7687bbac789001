"""What is installed, held against the package's own metadata. Imports none of what it looks for."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from resurvey import __version__
from resurvey.doctor.check import Found, State

if TYPE_CHECKING:
    from packaging.requirements import Requirement

PACKAGE = "resurvey"
HERE = "pip install --editable ."


def python() -> Iterator[Found]:
    """The interpreter against `requires-python`."""
    from packaging.specifiers import SpecifierSet

    asked = _metadata("Requires-Python")
    wanted = asked[0] if asked else ">=3.11"
    fits = SpecifierSet(wanted).contains(platform.python_version(), prereleases=True)
    what = f"{platform.python_version()}, {wanted} is needed"
    yield Found("Python", "ok" if fits else "wrong", what, f"make a virtual environment with Python {wanted}")


def resurvey() -> Iterator[Found]:
    """The package itself: its version, and whether its metadata is there to check the rest against."""
    try:
        installed = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        yield Found(PACKAGE, "wrong", f"{__version__} runs from a folder and is not installed", HERE)
        return
    same = installed == __version__
    what = installed if same else f"{__version__} runs, but the metadata is that of {installed}"
    yield Found(PACKAGE, "ok" if same else "wrong", what, HERE)


def needs() -> Iterator[Found]:
    """Every dependency, its installed version against the range that is asked for."""
    for asked in _requirements():
        state, what = _held_against(asked)
        yield Found(asked.name, state, what, f'pip install "{asked.name}{asked.specifier}"')


def extras() -> Iterator[Found]:
    """Every extra for users as one line; none is required."""
    for extra in (name for name in _metadata("Provides-Extra") if name != "dev"):
        held = {asked.name: _held_against(asked) for asked in _requirements(extra)}
        bad = {name: state for name, (state, _) in held.items() if state != "ok"}
        worst: State = "ok" if not bad else "missing" if "missing" in bad.values() else "wrong"
        whole = f"{len(held)} packages" if len(held) > 1 else ", ".join(f"{n} {w}" for n, (_, w) in held.items())
        what = whole if not bad else ", ".join(f"{name} {held[name][1]}" for name in bad)
        yield Found(f"[{extra}]", worst, what, f'pip install "{PACKAGE}[{extra}]"', required=False)


def _metadata(field: str) -> list[str]:
    try:
        return metadata.metadata(PACKAGE).get_all(field) or []
    except metadata.PackageNotFoundError:
        return []


def _requirements(extra: str = "") -> list[Requirement]:
    """What the package asks for by itself, or what only `extra` asks for, on this platform."""
    from packaging.requirements import Requirement

    asked = [Requirement(line) for line in _metadata("Requires-Dist")]
    plain = [a for a in asked if a.marker is None or a.marker.evaluate({"extra": ""})]
    if not extra:
        return plain
    return [a for a in asked if a not in plain and a.marker and a.marker.evaluate({"extra": extra})]


def _held_against(asked: Requirement) -> tuple[State, str]:
    try:
        version = metadata.version(asked.name)
    except metadata.PackageNotFoundError:
        return "missing", f"not installed, {asked.specifier or 'any version'} is needed"
    if asked.specifier.contains(version, prereleases=True):
        return "ok", version
    return "wrong", f"{version}, {asked.specifier} is needed"
