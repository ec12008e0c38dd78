"""Metrics tell balances: who may read them, and that a proxy opens nothing to the world."""

from __future__ import annotations

import pytest

from tests.unit.test_settings import GOOD
from tidegate.monitoring.access import may_read
from tidegate.settings import Settings, load

_TOKEN = "a-token-for-scrapers-0123456789-abcdef"


def _settings(**changes: str) -> Settings:
    return load(GOOD | changes, env_file=None)


def test_this_machine_may_read_and_others_may_not() -> None:
    """Without a token the address decides: this machine's own as a rule."""
    settings = _settings()
    assert may_read(settings, "127.0.0.1", {}, public=True)
    assert may_read(settings, "::1", {}, public=True)
    assert may_read(settings, "::ffff:127.0.0.1", {}, public=True)
    assert not may_read(settings, "203.0.113.7", {}, public=True)
    assert not may_read(settings, "10.0.0.9", {}, public=False)
    assert not may_read(settings, None, {}, public=False)
    assert not may_read(settings, "no address", {}, public=False)


@pytest.mark.parametrize(
    "header",
    ["forwarded", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip"],
)
@pytest.mark.parametrize("public", [True, False])
def test_a_request_through_a_proxy_on_this_machine_is_a_strangers(
    header: str, public: bool
) -> None:
    """It comes from 127.0.0.1, and so would all the world; on either port."""
    assert not may_read(_settings(), "127.0.0.1", {header: "203.0.113.7"}, public=public)


@pytest.mark.parametrize(
    "changes",
    [{"TRUSTED_PROXIES": "127.0.0.1"}, {"PUBLIC_URL": "https://node.example"}],
    ids=lambda changes: next(iter(changes)),
)
def test_where_a_proxy_must_be_its_silence_opens_nothing(changes: dict[str, str]) -> None:
    """A proxy that adds no header cannot be told from a scraper: no address counts at the public
    port. The listener of METRICS_PORTS is nobody's but the scrapers'."""
    settings = _settings(**changes)
    assert not may_read(settings, "127.0.0.1", {}, public=True)
    assert may_read(settings, "127.0.0.1", {}, public=False)


def test_the_token_opens_from_anywhere() -> None:
    """Through a proxy too; a wrong one, and another scheme, do not."""
    settings = _settings(METRICS_TOKEN=_TOKEN, TRUSTED_PROXIES="127.0.0.1")
    through = {"x-forwarded-for": "203.0.113.7"}
    assert may_read(
        settings, "127.0.0.1", {**through, "authorization": f"Bearer {_TOKEN}"}, public=True
    )
    for wrong in (f"Bearer {_TOKEN}x", f"Basic {_TOKEN}", _TOKEN, "Bearer ", "Bearer \u20ac"):
        assert not may_read(
            settings, "127.0.0.1", {**through, "authorization": wrong}, public=True
        ), wrong


def test_no_token_is_not_an_empty_token() -> None:
    """Without METRICS_TOKEN no bearer token opens anything."""
    for given in ("Bearer ", "Bearer None", "Bearer x"):
        assert not may_read(_settings(), "10.0.0.9", {"authorization": given}, public=False)
