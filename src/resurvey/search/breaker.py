"""A circuit breaker: what has failed several times in a row is left alone for a while, then tried once.

Knows nothing about what is called. Time is an argument, so that tests need not wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FAILURES = 3
REST = 30.0


class Breaker:
    """Counts failures in a row; open (nothing is asked) for `rest` seconds from the `failures`-th on.

    After the rest one call is let through; if it fails too, the rest begins anew.
    """

    def __init__(
        self, failures: int = FAILURES, rest: float = REST, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failures = failures
        self.rest = rest
        self.clock = clock
        self._row = 0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether calls are barred, a rest that is over not counted."""
        return self._row >= self.failures and self.clock() < self._until

    def allows(self) -> bool:
        """Whether to call now; a call let through after a rest bars others until it has ended or rested."""
        if self._row < self.failures:
            return True
        if self.clock() < self._until:
            return False
        self._until = self.clock() + self.rest
        return True

    def failed(self) -> None:
        """The call did not succeed."""
        self._row += 1
        self._until = self.clock() + self.rest

    def succeeded(self) -> None:
        """The call did."""
        self._row = 0
