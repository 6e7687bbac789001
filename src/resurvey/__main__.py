"""The process that the shell starts: Ctrl-C is understood from its first line to its last.

Knows nothing about commands; it imports them after it has learned to stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from resurvey.errors import STOPPED


def main() -> NoReturn:
    """Run the command line; every way to be stopped ends with the same sentence and exit code 130."""
    signal.signal(signal.SIGINT, _first)
    sys.unraisablehook = _swallowed
    try:
        from resurvey.cli import main as run

        run()
    except KeyboardInterrupt:
        _leave()
    except SystemExit as end:
        if end.code == 130:  # told already; a longer way out could let Python die of the signal after all
            os._exit(130)
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what was asked for is done; only the interpreter ends
        _flush()


def _first(_: int, __: FrameType | None) -> None:
    signal.signal(signal.SIGINT, lambda *_: _leave())
    raise KeyboardInterrupt


def _swallowed(what: sys.UnraisableHookArgs) -> None:
    """Python drops what is raised in a destructor or a callback; a Ctrl-C must not be lost there."""
    if issubclass(what.exc_type, KeyboardInterrupt):
        _leave()
    sys.__unraisablehook__(what)


def _leave() -> NoReturn:
    """Go at once: every file is whole at every moment, so there is nothing to tidy."""
    with contextlib.suppress(OSError):
        os.write(2, f"resurvey: {STOPPED}\n".encode())
    os._exit(130)


def _flush() -> None:
    """Write out what was printed; where that fails it was said already, and Python must not say it again."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
