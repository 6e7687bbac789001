"""The OpenAPI document is true: whatever is asked by it, no answer is a defect, none has another shape than is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from serving import client as client_of
from serving import workspace
from starlette.testclient import TestClient

from resurvey.serve.refreshing import Refresher
from resurvey.serve.service import Service
from resurvey.types import Document


def quickly(most: int) -> settings:
    """The same few examples every time."""
    return settings(
        max_examples=most, deadline=None, derandomize=True, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


CHECKS = (not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance)


@pytest.fixture(scope="module")
def asks(
    tmp_path_factory: pytest.TempPathFactory, documents: tuple[Document, ...], model_folder: Path
) -> Iterator[TestClient]:
    with client_of(workspace(tmp_path_factory.mktemp("openapi"), documents, model_folder)) as found:
        yield found


def test_no_request_by_the_document_breaks_anything(asks: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: Service, __: int) -> bool:
        return False

    monkeypatch.setattr(Refresher, "ask", lambda *_: None)
    monkeypatch.setattr(Service, "searchable", at_once)
    document = schemathesis.openapi.from_asgi("/openapi.json", asks.app)
    seen: set[str] = set()
    for found in document.get_all_operations():
        operation = found.ok()
        for mode, most in ((GenerationMode.POSITIVE, 12), (GenerationMode.NEGATIVE, 8)):

            def holds(case: schemathesis.Case) -> None:
                case.call_and_validate(checks=list(CHECKS))
                seen.add(case.operation.label)

            try:
                strategy = operation.as_strategy(generation_mode=mode)
                given(strategy)(quickly(most)(holds))()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE  # nothing can be wrong with a request that holds nothing
    assert len(seen) == sum(len(methods) for methods in asks.get("/openapi.json").json()["paths"].values())


def test_everything_is_described(asks: TestClient) -> None:
    told = asks.get("/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    for path, methods in told["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (path, method)
            assert {"401", "429", "503"} <= set(operation["responses"]), (path, method)
            assert operation["security"] == ([] if path in ("/health", "/ready") else [{"key": []}, {}])
    asked = told["components"]["schemas"]["SearchAsked"]["properties"]
    assert all("description" in part or "examples" in part for part in asked.values()), asked
