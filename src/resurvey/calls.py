"""Calls to HTTP endpoints: JSON out, JSON in; what passes is waited for, what does not is said clearly.

The standard library's client is enough: one request, one answer, no session. Redirects are not followed, so
that a key never goes to another host. Knows nothing about what is asked.
"""

from __future__ import annotations

import email.utils
import http.client
import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any

from resurvey.errors import Problem, ResurveyError
from resurvey.types import Json

SHOWN = 200
"""Characters of an endpoint's own message that are repeated."""
AGAIN = "then the same command again"


@dataclass(frozen=True, slots=True)
class Patience:
    """How often is asked, and how many seconds are waited: twice as long before each try, or as the endpoint says."""

    tries: int = 6
    first_wait: float = 1.0
    longest_wait: float = 60.0
    timeout: float = 60.0


PATIENCE = Patience()


class EndpointError(ResurveyError):
    """An endpoint that did not give what was asked for; `status` is 0 where it did not answer at all."""

    def __init__(self, url: str, what: str, next: str, status: int = 0) -> None:
        self.status = status
        super().__init__([Problem(url, what)], next)


class _PassingError(Exception):
    """What may be over in a moment; `wait` is the seconds that the endpoint itself asks for."""

    def __init__(self, what: str, status: int = 0, wait: float | None = None) -> None:
        super().__init__(what)
        self.status = status
        self.wait = wait


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows none: a key goes to the host that it was meant for."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Nowhere."""


def post(
    url: str,
    payload: Mapping[str, Any],
    *,
    key_env: str = "",
    patience: Patience | None = None,
    stop: threading.Event | None = None,
) -> Json:
    """Send `payload` as JSON and return the JSON object that is answered.

    Asks again on 429, on 5xx and where no answer comes, as Retry-After says or after 1, 2, 4, … seconds.

    Args:
        key_env: the environment variable that holds the key; where it is not set, none is sent.
        stop: once set, nothing is waited for any more.

    Raises:
        EndpointError: naming the address, the status, the endpoint's own message and the next command.
    """
    patience = patience or PATIENCE
    wait = patience.first_wait
    for number in range(1, patience.tries + 1):
        try:
            return _asked(url, payload, key_env, patience.timeout)
        except _PassingError as error:
            pause = wait if error.wait is None else error.wait
            given_up = number == patience.tries or pause > patience.longest_wait
            if given_up or (stop or threading.Event()).wait(pause):
                tried = f", after {number} tries" if number > 1 else ""
                asks = f"; it asks to wait {pause:.0f} s" if pause > patience.longest_wait else ""
                goes_on = "when the endpoint answers, the same command goes on where it was"
                raise EndpointError(url, f"{error}{tried}{asks}", goes_on, error.status) from error
            wait = min(2 * wait, patience.longest_wait)
    raise AssertionError("at least one try")


def _asked(url: str, payload: Mapping[str, Any], key_env: str, timeout: float) -> Json:
    """One request; raises `_PassingError` where another may do better."""
    key = os.environ.get(key_env, "") if key_env else ""
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "resurvey"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = urllib.request.Request(url, json.dumps(payload).encode("utf-8"), headers)
    try:
        with urllib.request.build_opener(NoRedirects).open(request, timeout=timeout) as reply:
            found = reply.read()
    except urllib.error.HTTPError as error:
        with error:
            said = _message(error, key)
        if error.code == 429 or error.code >= 500:
            raise _PassingError(f"answers {error.code}{said}", error.code, _retry_after(error.headers)) from error
        raise EndpointError(url, f"answers {error.code}{said}", _next(error.code, key_env, key), error.code) from error
    except TimeoutError as error:
        raise _PassingError(f"does not answer within {timeout:g} s") from error
    except (OSError, http.client.HTTPException) as error:  # a URLError is an OSError
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise _PassingError(f"does not answer within {timeout:g} s") from error
        raise _PassingError(f"cannot be reached: {reason or type(error).__name__}") from error
    return _object(url, found)


def _object(url: str, found: bytes) -> Json:
    try:
        value = json.loads(found)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        start = found[:SHOWN].decode("utf-8", "replace")
        raise EndpointError(
            url, f"answers no JSON object, but {start!r}", f"correct the address in resurvey.toml; {AGAIN}"
        )
    return value


def _message(error: urllib.error.HTTPError, key: str) -> str:
    """What the endpoint itself says, in one line, the key left out."""
    try:
        body = error.read(64 * 1024).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        body = ""
    try:
        value = json.loads(body)
        inner = value.get("error", value) if isinstance(value, dict) else value
        told = inner.get("message", inner.get("detail", inner)) if isinstance(inner, dict) else inner
        said = str(told)
    except ValueError:
        said = body
    if error.code in {301, 302, 303, 307, 308}:
        said = f"it has moved to {error.headers.get('Location', 'nowhere')}"
    said = " ".join(said.split())
    said = said.replace(key, "…") if key else said
    return f": {said[:SHOWN]}" if said else ""


def _retry_after(headers: Message) -> float | None:
    """Seconds that a Retry-After header asks for: it holds a number, or a date."""
    asked = (headers.get("Retry-After") or "").strip()
    try:
        return max(0.0, float(asked))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(asked).timestamp() - time.time())
    except ValueError:
        return None


def _next(status: int, key_env: str, key: str) -> str:
    if status in {401, 403}:
        have = "another" if key else "a"
        return f"put {have} key into the environment variable {key_env or '(none is named)'}; {AGAIN}"
    return f"correct the address, the model's name or what is asked of it in resurvey.toml; {AGAIN}"
