"""The API: routes, errors and the document that describes them, around one service.

What a request may hold is in `shapes.py`, what every request passes in `gate.py`. Knows nothing about processes.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from resurvey import __version__
from resurvey.errors import Problem, ResurveyError
from resurvey.serve import embedding, happening, searching, standing, writing
from resurvey.serve.embedder import UnembeddedError
from resurvey.serve.gate import OPEN, Gate
from resurvey.serve.logs import log
from resurvey.serve.problems import NEXT, response, status_of
from resurvey.serve.refusals import SHAPE
from resurvey.serve.service import BusyError, NotReadyError, Service
from resurvey.serve.shapes import ProblemList
from resurvey.types import Json

ABOUT = """Search, documents, events and embeddings of one Resurvey workspace.

Every error is one JSON object with all `problems` and what to do `next`. Every answer of a search says by which
`candidate`, over which `snapshot` and in the space of which encoder (`fingerprint`) it was made."""
SOON = {"Retry-After": "1"}
LONGEST = 200
"""Characters of a wrong value that are repeated."""


def make(service: Service) -> ASGIApp:
    """The whole application."""

    @contextlib.asynccontextmanager
    async def alive(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="Resurvey", version=__version__, description=ABOUT, docs_url=None, redoc_url=None, lifespan=alive
    )
    for part in (searching, writing, happening, embedding, standing):
        app.include_router(part.routes(service))
    _errors(app)
    _document(app)
    return Gate(app, service)


def _errors(app: FastAPI) -> None:
    @app.exception_handler(RequestValidationError)
    async def shape(request: Request, error: RequestValidationError) -> Response:
        found = [Problem(_place(one["loc"]), _said(one)) for one in error.errors()]
        return response(422, found, path=request.url.path)

    @app.exception_handler(ResurveyError)
    async def wrong(request: Request, error: ResurveyError) -> Response:
        status = status_of(error)
        more = SOON if status == 503 else None
        return response(status, error.problems, error.next or NEXT, path=request.url.path, headers=more)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        headers = dict(error.headers) if error.headers else None
        return response(error.status_code, str(error.detail), path=request.url.path, headers=headers)

    @app.exception_handler(BusyError)
    async def busy(request: Request, _: BusyError) -> Response:
        return response(503, "too many requests wait already", "wait a second, then the same request", path=request.url.path, headers=SOON)  # fmt: skip

    @app.exception_handler(NotReadyError)
    async def opening(request: Request, _: NotReadyError) -> Response:
        return response(503, "what is live is being opened", "wait until GET /ready answers 200", path=request.url.path, headers=SOON)  # fmt: skip

    @app.exception_handler(UnembeddedError)
    async def unembedded(request: Request, error: UnembeddedError) -> Response:
        return response(503, [Problem("embedding", str(error))], "wait until the endpoint answers", path=request.url.path, headers=SOON)  # fmt: skip

    @app.exception_handler(TimeoutError)
    async def late(request: Request, _: TimeoutError) -> Response:
        return response(504, "it took longer than a request may", "ask for less, or raise `serve_seconds` in resurvey.toml", path=request.url.path)  # fmt: skip

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> Response:
        id = request.state.facts["id"]
        log("defect", level="error", error=error, id=id)
        return response(500, "this is a defect of the service", f"its log has more under the id {id}", path=request.url.path)  # fmt: skip


def _place(loc: tuple[Any, ...]) -> str:
    """Where in a request: `documents[3].id`."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc[1:]]
    return "".join(parts).removeprefix(".") or str(loc[0] if loc else "")


def _said(error: Any) -> str:
    """What is wrong, with the value where it is short."""
    value = error.get("input")
    shown = f", not {value!r}" if isinstance(value, str | int | float | bool) and len(repr(value)) < LONGEST else ""
    return f"{error['msg'][0].lower()}{error['msg'][1:]}{shown}"


def _document(app: FastAPI) -> None:
    """Keys and the shape of problems, which FastAPI does not know of, join the document that it makes."""
    made: Json = {}

    def document() -> Json:
        if not made:
            made.update(
                get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            )
            parts = made.setdefault("components", {})
            parts.setdefault("schemas", {})[SHAPE] = ProblemList.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            parts["schemas"] |= parts["schemas"][SHAPE].pop("$defs", {})
            parts["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "A key of `resurvey keys`; none is needed on the loopback while there is none."}}  # fmt: skip
            for path, methods in made["paths"].items():
                for operation in methods.values():
                    operation["security"] = [] if path in OPEN else [{"key": []}, {}]
        return made

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way to extend the document
