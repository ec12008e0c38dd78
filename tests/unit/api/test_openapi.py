"""The OpenAPI document is whole, and its pages need nobody else."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel

from tests.integration.api.face import make_face, opened
from tidegate import __version__
from tidegate.api.openapi import Application, bearer, problems
from tidegate.errors import NotAuthenticated, StillRunning, ValidationFailed


class Bare(BaseModel):
    amount: int


def faults(document: dict[str, Any]) -> Iterator[str]:
    """What is missing from the operations under /api, in words."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith("/api/"):
                for fault in _faults_of(document, operation):
                    yield f"{method} {path}: {fault}"


def _faults_of(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[str]:
    for part in ("summary", "description", "tags"):
        if not operation.get(part):
            yield f"no {part}"
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if not _has_example(document, content):
            yield "no example of the body"
    refusals = 0
    for status, response in operation["responses"].items():
        if "X-Request-ID" not in response.get("headers", {}):
            yield f"{status}: no X-Request-ID"
        for kind, content in response.get("content", {}).items():
            if not _has_example(document, content):
                yield f"{status}: no example"
            if status[0] in "45" and kind != "application/problem+json":
                yield f"{status}: {kind}"
        refusals += status[0] == "4" and "content" in response
    if not refusals:
        yield "no 4xx problem"


def _has_example(document: dict[str, Any], content: dict[str, Any]) -> bool:
    given = content.keys() & {"example", "examples"}
    return bool(given) or _shows(document, content.get("schema", {}))


def _shows(document: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether a reader sees an example: the schema's own, or one made of those of its parts."""
    if schema.keys() & {"example", "examples", "const", "default"} or schema.get("type") == "null":
        return True
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _shows(document, document["components"]["schemas"][name])
    if "anyOf" in schema:
        return any(_shows(document, each) for each in schema["anyOf"] if each != {"type": "null"})
    if "items" in schema:
        return _shows(document, schema["items"])
    parts = schema.get("properties", {}).values()
    return bool(parts) and all(_shows(document, each) for each in parts)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return make_face().openapi()


def test_every_operation_is_described_with_examples_and_problems(document: dict[str, Any]) -> None:
    """Of the routes that stand for the payment API's and of those that are there."""
    asked = [path for path in document["paths"] if path.startswith("/api/")]
    assert "/api/samples" in asked
    assert list(faults(document)) == []


def test_a_bare_operation_would_be_found() -> None:
    """The walk above finds what it is for."""

    router = APIRouter()

    @router.post("/api/bare")
    async def bare(body: Bare) -> Bare:
        return body

    app = Application()
    app.include_router(router)
    found = "\n".join(faults(app.openapi()))
    for fault in ("no description", "no tags", "no example of the body", "200: no example"):
        assert fault in found
    plain = FastAPI()
    plain.include_router(router)
    found = "\n".join(faults(plain.openapi()))
    for fault in ("422: application/json", "200: no X-Request-ID"):
        assert fault in found


def test_the_document_says_who_it_is_about(document: dict[str, Any]) -> None:
    """Title, version, licence, this very node as server, tags for every operation."""
    assert document["info"]["title"] == "Tidegate"
    assert document["info"]["version"] == __version__
    assert document["info"]["license"]["name"] == "Apache-2.0"
    assert [server["url"] for server in document["servers"]] == ["/"]
    described = {tag["name"] for tag in document["tags"]}
    used = {
        tag
        for methods in document["paths"].values()
        for operation in methods.values()
        for tag in operation["tags"]
    }
    assert used <= described


def test_every_reference_of_the_document_resolves(document: dict[str, Any]) -> None:
    """Schemas and headers that are pointed at are there; the framework's own errors are not."""
    references = set(re.findall(r"'\$ref': '#/([^']+)'", str(document)))
    assert "components/schemas/Problem" in references
    for reference in references:
        part: Any = document
        for name in reference.split("/"):
            part = part[name]
        assert part
    assert "HTTPValidationError" not in str(document)


def test_the_nodes_calls_show_body_and_answer(document: dict[str, Any]) -> None:
    """As the aggregator sends them; nothing is said of a path that is not there."""
    order = document["paths"]["/new_order"]["post"]
    assert order["requestBody"]["content"]["application/json"]["example"]["institution"]
    assert order["responses"]["200"]["content"]["application/json"]["example"]["data"] == {
        "orderId": "550e8400-e29b-41d4-a716-446655440000",
        "status": "pending",
    }
    assert "400" not in document["paths"]["/tx_status"]["post"]["responses"]


def test_problems_with_one_status_share_a_response() -> None:
    """Each code is an example; the headers of the status are told."""
    found = problems(NotAuthenticated, ValidationFailed, StillRunning)
    assert list(found) == [401, 422, 409]
    assert "WWW-Authenticate" in found[401]["headers"]
    assert "Retry-After" in found[409]["headers"]
    examples = found[422]["content"]["application/problem+json"]["examples"]
    assert examples["validation_failed"]["value"]["errors"]


def test_the_token_scheme_is_part_of_the_document() -> None:
    """A route that asks for the token brings the scheme, with the URL that Authorize uses."""
    assert bearer.scheme_name == "accessToken"
    flows = bearer.model.model_dump(by_alias=True)["flows"]
    assert flows["password"]["tokenUrl"] == "/api/auth/token"


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_of_the_documentation_works_offline(path: str) -> None:
    """All it loads comes from this node, and its policy lets it load nothing else."""
    async with opened() as face:
        status, page, headers = await face.ask("GET", path)
        assert status == 200
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert not re.search(r"script-src[^;]*unsafe|https?:", policy)
        assert re.findall(r"""(?:src|href|url)=?\s*[:=]?\s*["']https?:""", page) == []
        loaded = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page)
        loaded += re.findall(r"url: '([^']+)'", page)
        assert len(loaded) >= 3
        for each in loaded:
            status, _, got = await face.ask("GET", each)
            assert (status, got["X-Content-Type-Options"]) == (200, "nosniff")
        for script in re.findall(r"<script>(.*?)</script>", page, re.DOTALL):
            digest = base64.b64encode(sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
