"""Receivers that a user names: what would lead elsewhere than a public name says is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from tests.integration.api.ops_world import Ops, ops, prepare
from tests.support.databases import Prepare

ELSEWHERE = (
    "https://localhost.:8443/",
    "https://2130706433/",
    "https://0x7f.1/",
    "https://127.0.0.1./",
    "https://%31%32%37.0.0.1/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[v1.x]/",
    "https://[v1.example.com]:8443/",
    "https://shop.test@127.0.0.1/",
    "https://shop.test\\@127.0.0.1/",
    "https://169.254.169.254/",
    "https://shop.test:+443/",
    "unix:///run/docker.sock",
)


@pytest.fixture
async def node(
    make_template: Callable[[str, Prepare], Callable[[], str]],
) -> AsyncIterator[Ops]:
    async with ops(make_template("api_ops", prepare)()) as made:
        yield made


async def test_no_spelling_leads_elsewhere(node: Ops) -> None:
    token = await node.log_in("shop@example.com")
    for url in ELSEWHERE:
        body = {"url": url, "events": ["payment.*"]}
        status, problem = await node.ask("POST", "/api/webhook-endpoints", body, token)
        assert (url, status, problem["code"]) == (url, 422, "receiver_refused")
    assert (await node.ask("GET", "/api/webhook-endpoints", token=token))[1]["data"] == []
