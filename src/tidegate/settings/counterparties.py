"""The settings of payouts' other companies: aggregator, Lenco (contracts/)."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator

from tidegate.settings.group import DEVELOPMENT, Group, env, secrets_of
from tidegate.settings.values import (
    AmountPer,
    BaseUrl,
    Flag,
    Identifier,
    OptionalSecret,
    Per,
    Says,
    Secret,
)

__all__ = ["OFFERED_PSPS", "AggregatorGroup", "LencoGroup"]

# The PSPs that have a group of settings here.
OFFERED_PSPS = ("lenco",)


def _provider_path(url: str) -> str:
    path = urlsplit(url).path
    if path and not path.endswith(("/v1/provider", "/v2/provider")):
        raise ValueError(
            "has a path that is no provider path: write the origin alone, or end it with "
            "/v1/provider or /v2/provider."
        )
    return url


class AggregatorGroup(Group):
    """Aggregator"""

    base_url: Annotated[BaseUrl, AfterValidator(_provider_path)] = env(
        "AGGREGATOR_BASE_URL",
        "http://127.0.0.1:8701",
        "The aggregator's origin, or origin and path up to `/v1/provider` or `/v2/provider`.",
        needed=True,
    )
    client_id: Identifier = env(
        "AGGREGATOR_CLIENT_ID", "development-only", "Our id there.", needed=True
    )
    secret_key: Secret = env(
        "AGGREGATOR_SECRET_KEY",
        DEVELOPMENT,
        "The shared secret, exactly as given: it is used as text.",
        needed=True,
    )
    secret_key_previous: OptionalSecret = env(
        "AGGREGATOR_SECRET_KEY_PREVIOUS",
        None,
        "The last secret during rotation: still accepted on calls to us, never used to sign.",
    )
    dialect: Annotated[Literal["spec", "live"], Says("spec | live")] = env(
        "AGGREGATOR_DIALECT",
        "spec",
        "The form of calls that no order started, such as balances. Orders are answered in the "
        "form they came in.",
    )
    spec_require_timestamp: Flag = env(
        "SPEC_REQUIRE_TIMESTAMP", False, "Refuse offers to `POST /orders` without a timestamp."
    )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The current secret first, then the previous one if there is one."""
        return secrets_of(self.secret_key, self.secret_key_previous)

    @property
    def provider_url(self) -> str:
        """Where the provider calls begin: the base, with ``/v1/provider`` if it has no path."""
        return self.base_url if urlsplit(self.base_url).path else f"{self.base_url}/v1/provider"


def _lenco_version(url: str) -> str:
    if urlsplit(url).path.endswith("/v2"):
        raise ValueError("is Lenco's version 2, which is not offered yet: write .../access/v1.")
    return url


class LencoGroup(Group):
    """Lenco"""

    base_url: Annotated[BaseUrl, AfterValidator(_lenco_version)] = env(
        "LENCO_BASE_URL",
        "http://127.0.0.1:8702/access/v1",
        "`https://api.lenco.co/access/v1`, or `https://sandbox.lenco.co/access/v1`.",
        needed=True,
    )
    api_key: Secret = env("LENCO_API_KEY", DEVELOPMENT, "The API token.", needed=True)
    api_key_previous: OptionalSecret = env(
        "LENCO_API_KEY_PREVIOUS",
        None,
        "The last token: webhooks are signed with it for up to 24 hours after a change.",
    )
    account_id: Identifier = env(
        "LENCO_ACCOUNT_ID", "development-only", "The account that pays.", needed=True
    )
    max_fee: AmountPer = env(
        "LENCO_MAX_FEE",
        Per(None, (("NGN", Decimal("100.00")),)),
        "The highest fee to expect for one payout; reserved together with the amount.",
    )

    @property
    def api_keys(self) -> tuple[str, ...]:
        """The current token first, then the previous one if there is one."""
        return secrets_of(self.api_key, self.api_key_previous)

    @property
    def is_live(self) -> bool:
        """Whether the address is that of real money."""
        return urlsplit(self.base_url).hostname == "api.lenco.co"

    @property
    def is_sandbox(self) -> bool:
        """Whether the address is Lenco's own sandbox."""
        return (urlsplit(self.base_url).hostname or "").startswith("sandbox.")
