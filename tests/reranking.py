"""A real reranking endpoint on this machine, and scorers that say what a test wants."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from resurvey.types import Floats, Json

Answer = Callable[[Json], tuple[int, Any]]
"""What was posted to a status and a body; bytes are sent as they are, anything else as JSON."""


class Served:
    """Where the endpoint listens, and what it was sent."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.posted: list[Json] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []


@contextlib.contextmanager
def serving(answer: Answer) -> Iterator[Served]:
    """An HTTP server that answers every POST; its URL has no path."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.posted.append(posted)
            served.headers.append(dict(self.headers))
            served.paths.append(self.path)
            status, body = answer(posted)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            with contextlib.suppress(OSError):  # who asked may be gone
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Served(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def shared_words(posted: Json) -> tuple[int, Json]:
    """A good endpoint: as many points as words are shared, best first as such servers answer."""
    asked = set(posted["query"].split())
    scores = [float(len(asked & set(text.split()))) for text in posted["documents"]]
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    return 200, {"results": [{"index": place, "relevance_score": scores[place]} for place in order]}


class Planted:
    """A scorer that says what a function says, and remembers what it was asked."""

    name = "planted"
    cut_short = None

    def __init__(self, say: Callable[[str, str], float]) -> None:
        self.say = say
        self.asked: list[tuple[str, tuple[str, ...], float | None]] = []

    def scores(self, query: str, texts: Sequence[str], seconds: float | None = None) -> Floats:
        self.asked.append((query, tuple(texts), seconds))
        return np.array([self.say(query, text) for text in texts], dtype=np.float32)
