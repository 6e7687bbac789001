"""One worker of several: `python -m resurvey.serve WORKSPACE SOCKET FOLDER`, started by `resurvey serve --workers`."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from resurvey.errors import ResurveyError
from resurvey.serve.logs import log
from resurvey.serve.start import alone
from resurvey.workspace import Workspace


def main() -> None:
    """Serve on the socket that was handed over."""
    root, handle, shared = sys.argv[1:]
    try:
        alone(Workspace.open(Path(root)), socket.socket(fileno=int(handle)), Path(shared))
    except ResurveyError as error:
        log("cannot begin", level="error", problems=list(map(str, error.problems)), next=error.next)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
