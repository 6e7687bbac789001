"""Problems as answers: every error is one JSON object, RFC 9457 with all problems and the next thing to do.

Under /v1 the same object also has `error`, as clients of the OpenAI protocol read it. Knows errors and statuses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.responses import Response

from resurvey.errors import HeldError, MissingError, MixedError, Problem, ResurveyError
from resurvey.types import Json

TYPE = "application/problem+json"
NEXT = "GET /openapi.json describes every request; docs/serve.md has examples"
OPENAI = "/v1/"
STATUSES: Mapping[type[ResurveyError], int] = {MissingError: 404, MixedError: 409, HeldError: 503}


def body(status: int, problems: Sequence[Problem], next: str, path: str = "") -> Json:
    """The object that says what is wrong."""
    detail = "; ".join(map(str, problems))
    told: Json = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "problems": [{"where": problem.where, "what": problem.what} for problem in problems],
        "next": next,
    }
    if path.startswith(OPENAI):
        kind = "server_error" if status >= 500 else "invalid_request_error"
        param = problems[0].where or None if problems else None
        told["error"] = {"message": f"{detail}. {next}", "type": kind, "param": param, "code": None}
    return told


def response(
    status: int,
    problems: Sequence[Problem] | str,
    next: str = NEXT,
    *,
    path: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    """The answer to a request that something is wrong with."""
    found = [Problem("", problems)] if isinstance(problems, str) else list(problems)
    content = json.dumps(body(status, found, next, path), ensure_ascii=False).encode("utf-8", "surrogatepass")
    return Response(content, status, headers, TYPE)


def status_of(error: ResurveyError) -> int:
    """404 for what is not there, 409 for what does not fit what is there, 503 for what is busy, 400 for all else."""
    return next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 400)
