"""The OpenAPI document is true: whatever is asked by it, no answer is a defect, none has another shape than is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from serving import client as client_of
from serving import service_of, workspace
from starlette.testclient import TestClient

from resurvey.serve.service import Service
from resurvey.types import Document

CHECKS = (not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance)


@pytest.fixture(scope="module")
def asks(
    tmp_path_factory: pytest.TempPathFactory, documents: tuple[Document, ...], model_folder: Path
) -> Iterator[TestClient]:
    with client_of(workspace(tmp_path_factory.mktemp("openapi"), documents, model_folder)) as found:
        yield found


@pytest.fixture
def service(asks: TestClient) -> Service:
    return service_of(asks)


@pytest.fixture
def document(asks: TestClient) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_asgi("/openapi.json", asks.app)


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_by_the_document_breaks_anything(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=list(CHECKS))


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
