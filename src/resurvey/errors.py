"""What a user can do wrong, said once and well: the value, the rule, the next command.

A `ResurveyError` carries every problem found, never only the first. Anything else that is raised
is a defect of ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 20
"""Lines of problems that a message has at most."""
PARTICULARS = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`|[-+]?\d[\d.,]*")
"""Quoted values and numbers: two problems that differ only in these are of one kind."""
STOPPED = "stopped. Nothing is lost; the same command goes on where it was."


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, which value, which rule it breaks."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class ResurveyError(Exception):
    """Bad input. `problems` says all that is wrong with it, `next` what to do now."""

    exit_code = 1

    def __init__(self, problems: str | Sequence[Problem], next: str = "") -> None:
        found = [Problem("", problems)] if isinstance(problems, str) else list(problems)
        assert found, "an error must say what is wrong"
        self.problems = tuple(found)
        self.next = next
        super().__init__(self._message())

    def _message(self) -> str:
        lines = _lines(self.problems)
        if self.next:
            lines.append(f"Next: {self.next}")
        return "\n".join(lines)


def _lines(problems: Sequence[Problem]) -> list[str]:
    """At most SHOWN lines, some of every kind of problem; a kind's last line says how many more there are."""
    if len(problems) <= SHOWN:
        return [str(problem) for problem in problems]
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((_file(problem), PARTICULARS.sub("…", problem.what)), []).append(problem)
    room = SHOWN if len(kinds) <= SHOWN else SHOWN - 1
    each = max(1, room // len(kinds))
    lines: list[str] = []
    for kind in list(kinds.values())[:room]:
        hidden = len(kind) - each
        lines += [str(problem) for problem in kind[:each]]
        if hidden > 0:
            lines[-1] += f" (and {hidden:,} more like this)"
    if len(kinds) > room:
        rest = sum(len(kind) for kind in list(kinds.values())[room:])
        lines.append(f"… and {rest:,} problems of {len(kinds) - room:,} other kinds")
    return lines


def _file(problem: Problem) -> str:
    return re.sub(r":\d+$", "", problem.where)


class StoppedError(ResurveyError):
    """The user pressed Ctrl-C; everything finished so far is on disk."""

    exit_code = 130


class MissingError(ResurveyError):
    """Something was named that is not there."""


class MixedError(ResurveyError):
    """Vectors of two encoders would be mixed."""


class HeldError(ResurveyError):
    """Another writer is at it; a moment later it may be free."""


class CheckRefusedError(ResurveyError):
    """Documents would be cut off without a word."""

    exit_code = 3


class PromotionRefusedError(ResurveyError):
    """A candidate that did not pass the gate was asked to go live."""

    exit_code = 3
