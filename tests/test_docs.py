"""The documentation is true: coverage rows, README's tree, what the pages promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sabotage import function_of

from resurvey.cli import app

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (R\d\d) \| `?([\w -]+)`? \| `([\w.]+:[\w.]+)` \| `(tests/[\w/.]+::\w+)` \|$")


def rows() -> list[tuple[str, str, str, str]]:
    lines = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8").splitlines()
    table = [line for line in lines if line.startswith("| R")]
    found = [match.groups() for line in table if (match := ROW.match(line))]
    assert len(found) == len(table), (
        "every row must have the form | Rxx | command | `module:function` | `tests/file.py::test` |"
    )
    return [(a, b, c, d) for a, b, c, d in found]


def test_every_coverage_row_names_a_command_and_a_function() -> None:
    commands = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    assert rows()
    for requirement, command, module, _ in rows():
        assert command in commands, (requirement, command)
        function_of(module)


@pytest.mark.skipif("RESURVEY_SABOTAGE" in os.environ, reason="this is the sabotaged run itself")
def test_every_coverage_test_fails_when_its_function_raises() -> None:
    named = {test: module for _, _, module, test in rows()}
    assert len({(module, test) for _, _, module, test in rows()}) == len(rows()), "a row stands twice"
    first = _outcomes({})
    assert set(named) <= set(first), sorted(set(named) - set(first))
    assert all(first[test] == "passed" for test in named), {t: o for t, o in first.items() if o != "passed"}
    for planned in _rounds():
        broken = _outcomes(planned)
        survived = {test: module for test, module in planned.items() if broken.get(test) != "failed"}
        assert not survived, f"these tests do not notice that the function they vouch for raises: {survived}"


def _rounds() -> list[dict[str, str]]:
    """Rows split so that no test is asked about two functions in one round."""
    rounds: list[dict[str, str]] = []
    for _, _, module, test in rows():
        for planned in rounds:
            if test not in planned:
                planned[test] = module
                break
        else:
            rounds.append({test: module})
    return rounds


def _outcomes(planned: dict[str, str]) -> dict[str, str]:
    tests = sorted({test for _, _, _, test in rows()} if not planned else set(planned))
    environment = {
        **os.environ,
        "RESURVEY_SABOTAGE": "\n".join(f"{test}\t{module}" for test, module in planned.items()),
        "PYTHONPATH": str(ROOT / "tests"),
    }
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "sabotage",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-rA",
        "--tb=no",
        "-q",
        *tests,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    outcomes: dict[str, str] = {}
    for verdict, test in re.findall(r"^(PASSED|FAILED|ERROR) (\S+?)(?:\[.*\])?(?: - .*)?$", done.stdout, re.MULTILINE):
        worse = verdict != "PASSED" or outcomes.get(test) == "failed"
        outcomes[test] = "failed" if worse else "passed"
    assert outcomes, done.stdout + done.stderr
    return outcomes
