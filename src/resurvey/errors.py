"""What a user can do wrong, said once and well: the value, the rule, the next command.

A `ResurveyError` carries every problem found, never only the first. Anything else that is raised
is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN = 20
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
        lines = [str(problem) for problem in self.problems[:SHOWN]]
        hidden = len(self.problems) - SHOWN
        if hidden > 0:
            lines.append(f"… and {hidden} more problems of these kinds")
        if self.next:
            lines.append(f"Next: {self.next}")
        return "\n".join(lines)


class StoppedError(ResurveyError):
    """The user pressed Ctrl-C; everything finished so far is on disk."""

    exit_code = 130


class PromotionRefusedError(ResurveyError):
    """A candidate that did not pass the gate was asked to go live."""

    exit_code = 3
