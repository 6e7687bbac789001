"""The gate: every request passes it. An id, the key and its scope, the rate, the size, the time; then a log line.

Plain ASGI, since each search pays for it. What is refused here was never looked at. Knows keys and limits; knows
nothing about what is behind it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from resurvey.serve.keys import Key
from resurvey.serve.logs import log
from resurvey.serve.problems import response
from resurvey.serve.service import Service

OPEN = frozenset({"/health", "/ready", "/openapi.json"})
"""What anybody may ask."""
SCOPES: Mapping[str, str] = {
    "/search": "search", "/v1/embeddings": "search", "/v1/models": "search", "/v1/models/{model}": "search",
    "/events": "write", "/documents": "write", "/documents/delete": "write", "/documents/{id}": "write",
    "/metrics": "admin",
}  # fmt: skip
"""By path, what a key must be allowed; what is not here wants `admin`."""
QUIET = frozenset({"/health", "/ready", "/metrics"})
"""Asked every few seconds by machines: not worth a line in the log while all is well."""
ID = re.compile(r"[\w.:-]{1,128}")
SLOW = 30.0
"""Seconds in which a request's body must have come."""
OTHER = "other"


class _RefusedError(Exception):
    def __init__(self, status: int, what: str, next: str, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.what = what
        self.next = next
        self.headers = headers
        super().__init__(what)


class Gate:
    """Around the whole application."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app = app
        self.service = service
        self._most = int(service.settings.number("serve_megabytes") * 1e6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's own start and stop."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, headers = time.perf_counter(), dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        id = given if ID.fullmatch(given) else secrets.token_hex(12)
        facts: dict[str, Any] = {"id": id}
        scope.setdefault("state", {})["facts"] = facts
        status, started = 500, False

        async def told(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = [*message["headers"], (b"x-request-id", id.encode())]
            await send(message)

        try:
            key = self._allowed(scope, headers)
            facts |= {"key": key.name} if key else {}
            await self.app(scope, await self._body(scope, headers, receive), told)
        except _RefusedError as error:
            self.service.metrics.refused.labels(str(error.status)).inc()
            more = {"Connection": "close"} if error.status in (408, 413) else {}
            answer = response(
                error.status, error.what, error.next, path=scope["path"], headers={**(error.headers or {}), **more}
            )
            await answer(scope, receive, told)
        except Exception:  # the application has answered it and written it down
            if not started:
                raise
        finally:
            self._note(scope, status, time.perf_counter() - began, facts)

    def _allowed(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Key | None:
        """The key of a request that may pass; None where none is needed."""
        path, key = scope["path"], None
        if path not in OPEN and self.service.keyring.keys:
            key = self._key(headers)
            wanted = SCOPES.get(route_of(path), "admin")
            if not key.may(wanted):
                raise _RefusedError(403, f"the key {key.name!r} may {', '.join(key.scopes)}, and this wants {wanted}", f"resurvey keys DIR add NAME --scope {wanted}")  # fmt: skip
        if path not in OPEN:
            who = key.name if key else str((scope.get("client") or ("",))[0])
            wait = self.service.buckets.wait(who)
            if wait > 0:
                raise _RefusedError(
                    429,
                    f"more than {self.service.buckets.rate:g} requests a second",
                    f"wait {wait:.1f} s, then the same request",
                    {"Retry-After": str(max(1, round(wait)))},
                )
        return key

    def _key(self, headers: Mapping[bytes, bytes]) -> Key:
        kind, _, token = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        found = self.service.keyring.of(token.strip()) if kind.lower() == "bearer" else None
        if found is None:
            what = "no key was sent" if not kind else "this is no key, or it was revoked"
            raise _RefusedError(401, what, "send the header `Authorization: Bearer KEY`; resurvey keys DIR add NAME makes one", {"WWW-Authenticate": "Bearer"})  # fmt: skip
        return found

    async def _body(self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> Receive:
        """The whole body, read in time and no larger than it may be, to be received again."""
        if (
            scope["method"] in ("GET", "HEAD")
            and b"content-length" not in headers
            and b"transfer-encoding" not in headers
        ):
            return receive
        told = headers.get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._most:
            raise self._large()
        whole = b""
        async with asyncio.timeout(SLOW) as limit:
            try:
                while True:
                    message = await receive()
                    if message["type"] != "http.request":
                        break
                    whole += message.get("body", b"")
                    if len(whole) > self._most:
                        raise self._large()
                    if not message.get("more_body"):
                        break
            except asyncio.CancelledError:
                if limit.expired():
                    raise _RefusedError(408, f"the body did not come within {SLOW:g} s", "send it again") from None
                raise
        first: list[Message] = [{"type": "http.request", "body": whole, "more_body": False}]

        async def again() -> Message:
            return first.pop() if first else await receive()

        return again

    def _large(self) -> _RefusedError:
        return _RefusedError(413, f"the body is larger than {self._most / 1e6:g} MB", "send less at a time, or raise `serve_megabytes` in resurvey.toml")  # fmt: skip

    def _note(self, scope: Scope, status: int, seconds: float, facts: Mapping[str, Any]) -> None:
        route = route_of(scope["path"])
        self.service.metrics.requests.labels(route, str(status)).inc()
        self.service.metrics.seconds.labels(route).observe(seconds)
        if route not in QUIET or status == 500:
            log("request", **facts, method=scope["method"], route=route, status=status, milliseconds=round(1000 * seconds, 2))  # fmt: skip


def route_of(path: str) -> str:
    """The route of a path, for counting: few names whatever is asked."""
    if path in SCOPES or path in OPEN:
        return path
    for route in ("/documents/{id}", "/v1/models/{model}"):
        if path.startswith(route.partition("{")[0]) and len(path) > len(route.partition("{")[0]):
            return route
    return OTHER
