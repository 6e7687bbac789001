"""Logs: one JSON object a line on stderr, for machines. No query's text, unless the settings ask for it.

Knows nothing about what happened.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

NAME = "resurvey.serve"


class Lines(logging.Formatter):
    """A record as a line of JSON; what others log through `logging` as well."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        facts: dict[str, Any] = getattr(record, "facts", {})
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        told = {"at": moment, "level": record.levelname.lower(), "what": record.getMessage(), **facts}
        if record.exc_info:
            told["trace"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False, default=str)


def log(what: str, *, level: str = "info", error: BaseException | None = None, **facts: Any) -> None:
    """Write one line."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.getLogger(NAME).log(number, what, exc_info=error, extra={"facts": facts})


def begin() -> None:
    """Send this service's lines, and those of the HTTP server, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    for name, level in ((NAME, logging.INFO), ("uvicorn", logging.WARNING), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
    logging.getLogger("uvicorn.error").handlers = []  # it passes on to `uvicorn`
    logging.getLogger("uvicorn.error").propagate = True
