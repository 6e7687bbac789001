"""Refusals as the OpenAPI document tells them: which statuses a route may answer with, all in one shape."""

from __future__ import annotations

from typing import Any

from resurvey.serve.problems import TYPE

SHAPE = "ProblemList"
WHY = {
    400: "What was asked cannot be done: every problem is named.",
    401: "No key was sent, or none that is known.",
    403: "The key may not do this.",
    404: "There is no such thing.",
    405: "The address does not know this method.",
    408: "The body did not come in time.",
    409: "It does not fit what is there: vectors of two encoders do not mix.",
    413: "The body is too large.",
    422: "The body or an argument has not the shape that is described: every problem is named.",
    429: "Too many requests; `Retry-After` says how many seconds to wait.",
    500: "A defect of ours; the log has more under the request's id.",
    503: "Not now: nothing is opened yet, or too many wait. `Retry-After` says when to ask again.",
    504: "It took longer than a request may.",
}
ALWAYS = (401, 403, 408, 413, 429, 500, 503, 504)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What FastAPI's `responses` wants: these, and those that any route may answer with."""
    content = {TYPE: {"schema": {"$ref": f"#/components/schemas/{SHAPE}"}}}
    return {status: {"description": WHY[status], "content": content} for status in sorted({*statuses, *ALWAYS})}
