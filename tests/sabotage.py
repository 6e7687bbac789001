"""A pytest plugin: while a named test runs, the function it vouches for raises.

`RESURVEY_SABOTAGE` holds lines `node id<TAB>module:function`. The code object is replaced, so it
does not matter who imported the function by which name.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Generator
from types import FunctionType
from typing import Any

import pytest

PLANNED = dict(line.split("\t") for line in os.environ.get("RESURVEY_SABOTAGE", "").splitlines())


class SabotagedError(Exception):
    """What a sabotaged function raises."""


def _raise(*_: Any, **__: Any) -> None:
    import sabotage

    raise sabotage.SabotagedError


def function_of(path: str) -> FunctionType:
    """The plain function of `module:name` or `module:Class.method`."""
    module, name = path.split(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = found.__dict__[part] if isinstance(found, type) else getattr(found, part)
    found = getattr(found, "fget", None) or getattr(found, "func", None) or getattr(found, "__func__", found)
    found = getattr(found, "__wrapped__", found)
    assert isinstance(found, FunctionType), path
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Break the function after the fixtures are made, mend it when the test is over."""
    path = PLANNED.get(item.nodeid.split("[")[0])
    if path is None:
        return (yield)
    function = function_of(path)
    whole = function.__code__
    function.__code__ = _raise.__code__
    try:
        return (yield)
    finally:
        function.__code__ = whole
