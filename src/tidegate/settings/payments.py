"""The settings of the payment API: accounts and sessions, the card processor, what it takes."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from tidegate.settings.group import Group, env, secrets_of
from tidegate.settings.values import (
    AmountPer,
    BaseUrl,
    Count,
    CurrencyCodes,
    Identifier,
    OptionalSecret,
    Per,
    Says,
    Schedule,
    Seconds,
)

__all__ = ["AccountsGroup", "PaymentsGroup"]


class AccountsGroup(Group):
    """Accounts and sessions"""

    jwt_secret: OptionalSecret = env(
        "JWT_SECRET",
        None,
        "Signs access tokens; 32 characters or more. When unset, a key derived from `SECRET_KEY` "
        "does.",
    )
    jwt_secret_previous: OptionalSecret = env(
        "JWT_SECRET_PREVIOUS", None, "The last one during rotation: its tokens still verify."
    )
    access_token_ttl: Seconds = env(
        "ACCESS_TOKEN_TTL", 900.0, "How long an access token lives; a day at most."
    )
    refresh_token_ttl: Seconds = env(
        "REFRESH_TOKEN_TTL", 2_592_000.0, "How long a session lives without a new log-in."
    )
    refresh_grace: Seconds = env(
        "REFRESH_GRACE",
        10.0,
        "How long an exchanged refresh token gets the same successor again, for a lost answer.",
    )
    auth_rate_limit: Count = env(
        "AUTH_RATE_LIMIT",
        5,
        "Log-ins, registrations and password changes a minute, per client address and account.",
    )


class PaymentsGroup(Group):
    """Payment API"""

    stripe_api_key: OptionalSecret = env(
        "STRIPE_API_KEY", None, "Stripe's secret key. Without it no payments are taken."
    )
    stripe_publishable_key: Annotated[Identifier | None, Says("a key")] = env(
        "STRIPE_PUBLISHABLE_KEY", None, "Stripe's key for browsers, handed to clients."
    )
    stripe_api_base: BaseUrl = env(
        "STRIPE_API_BASE", "https://api.stripe.com", "Stripe, or a local double."
    )
    stripe_webhook_secret: OptionalSecret = env(
        "STRIPE_WEBHOOK_SECRET", None, "The endpoint's signing secret."
    )
    stripe_webhook_secret_previous: OptionalSecret = env(
        "STRIPE_WEBHOOK_SECRET_PREVIOUS", None, "The last one during rotation."
    )
    stripe_timeout: Seconds = env("STRIPE_TIMEOUT", 10.0, "The time limit of one call to Stripe.")
    currencies: CurrencyCodes = env(
        "PAYMENT_CURRENCIES",
        ("USD", "EUR", "GBP", "CAD", "AUD", "JPY", "NGN", "KES", "ZAR"),
        "The currencies that payments may be made in.",
    )
    max_amount: AmountPer = env(
        "MAX_PAYMENT_AMOUNT",
        Per(Decimal("999999"), ()),
        "The largest payment, in major units, per currency.",
    )
    lookup_schedule: Schedule = env(
        "PAYMENT_LOOKUP_SCHEDULE",
        (5, 15, 30, 60, 120, 300, 600, 900),
        "The waits between questions about a payment whose outcome is open; the last one holds "
        "for a day, then it is an hour.",
    )
    send_again_after: Seconds = env(
        "PAYMENT_SEND_AGAIN_AFTER",
        20.0,
        "How long after a call without an answer the processor must still show no trace of it "
        "before the same call, with the same key, is made again.",
    )
    abandoned_after: Seconds = env(
        "PAYMENT_ABANDONED_AFTER",
        604_800.0,
        "How long a payment waits for the client before it is cancelled at the processor.",
    )
    streams_per_user: Count = env(
        "STREAMS_PER_USER", 10, "Open event streams one user may have in a process."
    )

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The current secret first, then the previous one; none when none is set."""
        if self.stripe_webhook_secret is None:
            return ()
        return secrets_of(self.stripe_webhook_secret, self.stripe_webhook_secret_previous)

    @property
    def is_live(self) -> bool:
        """Whether the key moves real money."""
        key = self.stripe_api_key
        return key is not None and key.get_secret_value().startswith(("sk_live_", "rk_live_"))
