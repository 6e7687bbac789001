"""An OpenAI-compatible embeddings endpoint on this machine: a real HTTP server whose vectors are a real encoder's."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from resurvey.types import Floats

Embed = Callable[[list[str]], Floats]
Answer = tuple[int, dict[str, str], bytes]


def shaped(vectors: Floats, *, packed: bool) -> dict[str, Any]:
    """A reply in the API's form, its rows in reverse order, so that only `index` tells which is which."""
    told = [base64.b64encode(v.astype("<f4").tobytes()).decode() if packed else v.tolist() for v in vectors]
    rows = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(told)]
    return {"object": "list", "data": rows[::-1]}


@dataclass
class Server:
    """What is behind the endpoint, and what was asked of it; `before` may answer in its stead."""

    embed: Embed
    before: Callable[[dict[str, Any]], Answer | None] = lambda _: None
    after: Callable[[dict[str, Any]], dict[str, Any]] = lambda reply: reply
    base64: bool = True
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, payload: dict[str, Any]) -> Answer:
        """Status, headers and body for one request."""
        early = self.before(payload)
        if early is not None:
            return early
        packed = payload.get("encoding_format") == "base64"
        if packed and not self.base64:
            return 400, {}, b'{"error": {"message": "encoding_format is not known"}}'
        vectors = np.asarray(self.embed(payload["input"]), dtype=np.float32)[:, : payload.get("dimensions")]
        return 200, {}, json.dumps(self.after(shaped(vectors, packed=packed))).encode()


def serve(server: Server) -> ThreadingHTTPServer:
    """Start it on a free port; the caller shuts it down."""
    lock = threading.Lock()  # the encoder behind it is not made for several threads

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                server.asked.append(payload)
                server.keys.append(self.headers.get("Authorization", ""))
                server.paths.append(self.path)
                status, headers, body = server.answer(payload)
            try:
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except ConnectionError:
                pass  # a client that no longer waits

        def log_message(self, *_: Any) -> None:
            pass

    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.daemon_threads = True
    threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True).start()
    server.url = f"http://127.0.0.1:{made.server_port}/v1"
    return made
