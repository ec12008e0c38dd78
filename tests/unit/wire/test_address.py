"""Addresses from the one configured base."""

from __future__ import annotations

import pytest

from tidegate.errors import ConfigurationError
from tidegate.wire.address import Version, provider_url, public_url


@pytest.mark.parametrize(
    ("base", "version", "provider"),
    [
        ("https://agg.example", "v1", "https://agg.example/v1/provider"),
        ("https://agg.example/", "v1", "https://agg.example/v1/provider"),
        ("https://agg.example", "v2", "https://agg.example/v2/provider"),
        ("https://agg.example/v1/provider", "v2", "https://agg.example/v1/provider"),
        ("https://agg.example/v2/provider/", "v1", "https://agg.example/v2/provider"),
        ("https://agg.example/v2", "v1", "https://agg.example/v2/provider"),
        ("https://agg.example/in/v2/provider", "v1", "https://agg.example/in/v2/provider"),
        ("https://agg.example/in", "v1", "https://agg.example/in/v1/provider"),
        ("http://127.0.0.1:8080", "v1", "http://127.0.0.1:8080/v1/provider"),
        ("http://[::1]:8080/v1/provider", "v1", "http://[::1]:8080/v1/provider"),
        (" https://agg.example\n", "v1", "https://agg.example/v1/provider"),
    ],
)
def test_a_base_is_an_origin_or_already_has_its_version(
    base: str, version: Version, provider: str
) -> None:
    """The version of the base wins; the public endpoints lie beside ``provider``."""
    assert provider_url(base, version, "orders/x/accept") == f"{provider}/orders/x/accept"
    assert provider_url(base, version, "/balances") == f"{provider}/balances"
    public = provider.removesuffix("/provider")
    assert public_url(base, version, "institutions/NGN") == f"{public}/institutions/NGN"


def test_only_slashes_between_base_and_path_are_cut() -> None:
    """Whatever letters stand beside them, and never those at the end of a path."""
    base = "https://agg.example/PROXX//"
    assert provider_url(base, "v1", "//X/1/") == "https://agg.example/PROXX/v1/provider/X/1/"
    assert public_url(base, "v1", "//X/1/") == "https://agg.example/PROXX/v1/X/1/"


@pytest.mark.parametrize(
    "base",
    [
        "",
        "agg.example",
        "ftp://agg.example",
        "https://",
        "https:///v1/provider",
        "https://user:pw@agg.example",
        "https://agg.example?x=1",
        "https://agg.example#x",
        "http://[::1",
    ],
)
def test_a_base_that_is_no_plain_address_is_a_configuration_error(base: str) -> None:
    """It is found before the first call, and the message repeats no password."""
    with pytest.raises(ConfigurationError) as caught:
        provider_url(base, "v1", "orders")
    assert "pw" not in str(caught.value)
