"""What must be true of the settings together; pure.

D4: refused are wrong values; without ``DEBUG`` default or missing secrets, http for aggregator
or PSP and a database without TLS, except loopback; a public address holding "400"; live keys with
sandbox bases; days of retention below what money needs. ``DEBUG`` excuses nothing once a PSP's
address is that of real money.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from pydantic import SecretStr

from tidegate.adapters.stripe.amounts import PLACES
from tidegate.retention.rules import FLOORS
from tidegate.settings.counterparties import OFFERED_PSPS
from tidegate.settings.group import DEVELOPMENT_SECRET, Group
from tidegate.settings.groups import Settings
from tidegate.settings.values import Per, is_loopback

__all__ = ["Fault", "check"]

_SECRET_LENGTH_MIN = 32
_TOKEN_LENGTH_MIN = 16
_ACCESS_TOKEN_TTL_MAX_S = 86_400

# What examples, tutorials and hurried people write where a secret belongs.
_PLACEHOLDERS = frozenset(
    {
        "change-me",
        "change_me",
        "changeme",
        "default",
        "development-only",
        "example",
        "insecure",
        "password",
        "placeholder",
        "secret",
        "todo",
        "xxx",
        DEVELOPMENT_SECRET,
    }
)
_PLACEHOLDER_BEGINNINGS = ("<", "${", "change-me", "change_me", "replace", "your-", "your_")

# Everything else lets whoever stands between have the connection in clear.
_TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})

# The aggregator takes any error text that holds these digits for HTTP 400 (aggregator.md 7.7).
_POISON = "400"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: the variable, and the rest of the sentence."""

    name: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.name} {self.sentence}"


def check(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    """Yield every fault; ``given`` names the variables that were set."""
    if not settings.node.debug or _is_live(settings):
        yield from _missing(settings, given)
        yield from _placeholders(settings, given)
        yield from _plain_http(settings, given)
        yield from _lengths(settings, given)
        yield from _database_in_clear(settings)
    yield from _unchanged_previous(settings)
    yield from _public_address(settings)
    yield from _live_and_sandbox(settings, given)
    yield from _modes(settings)
    yield from _limits(settings, given)
    yield from _times(settings)
    yield from _payments(settings, given)
    yield from _metrics(settings)
    yield from _retention(settings)


def _is_live(settings: Settings) -> bool:
    return (
        "lenco" in settings.payouts.psps and settings.lenco.is_live
    ) or settings.payments.is_live


def _groups(settings: Settings) -> Iterator[Group]:
    for key in Settings.model_fields:
        # A PSP that is not in use needs nothing.
        if key not in OFFERED_PSPS or key in settings.payouts.psps:
            yield getattr(settings, key)


def _missing(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    for group in _groups(settings):
        for field in type(group).model_fields.values():
            extra = field.json_schema_extra
            name = str(field.validation_alias)
            if isinstance(extra, dict) and extra["needed"] and name not in given:
                yield Fault(name, f"is missing: {_advice(name)}")


def _advice(name: str) -> str:
    match name:
        case "SECRET_KEY":
            return f"write {_SECRET_LENGTH_MIN} or more random characters."
        case "AGGREGATOR_BASE_URL":
            return "write the aggregator's https address."
        case "LENCO_BASE_URL":
            return "write https://api.lenco.co/access/v1, or the sandbox's address."
        case _ if name.startswith("AGGREGATOR"):
            return "write the one that the aggregator issued."
        case _:
            return "write the one that the provider issued."


def _placeholders(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    for name, text in _texts(settings):
        low = text.lower()
        if name in given and (low in _PLACEHOLDERS or low.startswith(_PLACEHOLDER_BEGINNINGS)):
            yield Fault(name, "still holds an example: write the real one.")


def _texts(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every secret and every needed id, as (variable, text)."""
    for group in _groups(settings):
        for attribute, field in type(group).model_fields.items():
            value = getattr(group, attribute)
            extra = field.json_schema_extra
            if isinstance(value, SecretStr):
                yield str(field.validation_alias), value.get_secret_value()
            elif isinstance(value, str) and isinstance(extra, dict) and extra["needed"]:
                yield str(field.validation_alias), value


def _plain_http(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    bases = {
        "AGGREGATOR_BASE_URL": settings.aggregator.base_url,
        "STRIPE_API_BASE": settings.payments.stripe_api_base,
    }
    if "lenco" in settings.payouts.psps:
        bases["LENCO_BASE_URL"] = settings.lenco.base_url
    for name, base in bases.items():
        split = urlsplit(base)
        if name in given and split.scheme == "http" and not is_loopback(split.hostname or ""):
            yield Fault(name, "is plain http, which anyone between may change: write https://.")


def _database_in_clear(settings: Settings) -> Iterator[Fault]:
    url = settings.database.url
    if url.dialect == "sqlite" or url.is_socket or is_loopback(url.host):
        return
    if url.ssl_mode not in _TLS_MODES:
        yield Fault(
            "DATABASE_URL",
            "leads to another machine and does not insist on TLS: add ?sslmode=verify-full and "
            "&sslrootcert=/path/to/ca.pem, or at least ?sslmode=require.",
        )


def _lengths(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    for name, secret in (
        ("SECRET_KEY", settings.node.secret_key),
        ("JWT_SECRET", settings.accounts.jwt_secret),
        ("DATA_KEY", settings.data.key),
    ):
        if secret is not None and name in given and len(secret) < _SECRET_LENGTH_MIN:
            yield Fault(name, f"is short: write {_SECRET_LENGTH_MIN} or more random characters.")


def _unchanged_previous(settings: Settings) -> Iterator[Fault]:
    texts = dict(_texts(settings))
    for name, text in texts.items():
        if text == texts.get(f"{name}_PREVIOUS"):
            yield Fault(f"{name}_PREVIOUS", f"equals {name}: remove it, or write the last one.")


def _public_address(settings: Settings) -> Iterator[Fault]:
    server = settings.server
    why = "which the aggregator mistakes for an error code: choose another"
    if _POISON in (server.public_url or ""):
        yield Fault("PUBLIC_URL", f"contains {_POISON}, {why} address.")
    if is_loopback(server.host):
        return
    if _POISON in server.host:
        yield Fault("SERVER_HOST", f"contains {_POISON}, {why} address.")
    if _POISON in str(server.port):
        yield Fault("SERVER_PORT", f"contains {_POISON}, {why} port.")


def _live_and_sandbox(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    environment = settings.node.environment
    if "lenco" in settings.payouts.psps and "LENCO_BASE_URL" in given:
        if settings.lenco.is_live and environment == "sandbox":
            yield Fault(
                "TIDEGATE_ENV",
                "is sandbox, but LENCO_BASE_URL pays real money: write production, or use "
                "https://sandbox.lenco.co/access/v1.",
            )
        if settings.lenco.is_sandbox and environment == "production":
            yield Fault(
                "TIDEGATE_ENV",
                "is production, but LENCO_BASE_URL is the sandbox: write sandbox, or use "
                "https://api.lenco.co/access/v1.",
            )
    if settings.payments.is_live:
        if urlsplit(settings.payments.stripe_api_base).hostname != "api.stripe.com":
            yield Fault(
                "STRIPE_API_KEY",
                "is a live key, but STRIPE_API_BASE is not Stripe: write a test key, or remove "
                "STRIPE_API_BASE.",
            )
        if environment == "sandbox":
            yield Fault(
                "STRIPE_API_KEY", "is a live key in the sandbox environment: write a test key."
            )


def _modes(settings: Settings) -> Iterator[Fault]:
    if settings.payouts.provision_mode == "manual":
        yield Fault("PROVISION_MODE", "is manual, which is not offered yet: write automatic.")
    for psp in settings.payouts.psps:
        if psp not in OFFERED_PSPS:
            yield Fault(
                "PAYOUTS_PSPS",
                f"names {psp}, which is not offered: write {','.join(OFFERED_PSPS)}.",
            )


def _limits(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    payouts = settings.payouts
    for name, limit in (
        ("MAX_ORDER_AMOUNT", payouts.max_order_amount),
        ("MIN_ORDER_AMOUNT", payouts.min_order_amount),
        ("CRITICAL_BALANCE_THRESHOLD", payouts.critical_balance_threshold),
        ("LENCO_MAX_FEE", settings.lenco.max_fee),
    ):
        if name in given:
            yield from _stray(name, "CURRENCIES", limit.names, payouts.currencies, limit)
    rate = settings.work.lookup_rate
    if "LOOKUP_RATE" in given:
        yield from _stray("LOOKUP_RATE", "PAYOUTS_PSPS", rate.names, payouts.psps, rate)
        if rate.rest == 0 or any(value == 0 for _, value in rate.named):
            yield Fault("LOOKUP_RATE", "is 0, so no outcome would ever be known: write more.")
    for currency in payouts.currencies:
        most, least = payouts.max_order_amount.get(currency), payouts.min_order_amount.get(currency)
        if most is not None and most == 0:
            yield Fault(
                "MAX_ORDER_AMOUNT",
                f"is 0 for {currency}, so every order would be refused: write more, or leave "
                f"{currency} out of CURRENCIES.",
            )
        elif most is not None and least is not None and least > most:
            yield Fault(
                "MIN_ORDER_AMOUNT",
                f"is above MAX_ORDER_AMOUNT for {currency}: write {most} or less.",
            )


def _stray(
    name: str, of: str, names: Collection[str], served: Collection[str], values: Per[Decimal]
) -> Iterator[Fault]:
    """A limit for a misspelt currency is none: refuse it while a served one goes without."""
    strays = [each for each in names if each not in served]
    bare = [each for each in served if values.get(each) is None]
    if strays and bare:
        yield Fault(
            name,
            f"names {', '.join(strays)}, not in {of}, and says nothing of {', '.join(bare)}: "
            "correct the name.",
        )


def _times(settings: Settings) -> Iterator[Fault]:
    payouts = settings.payouts
    if payouts.accept_margin >= payouts.offer_ttl:
        yield Fault(
            "ACCEPT_MARGIN",
            f"leaves no time to accept: write less than OFFER_TTL ({payouts.offer_ttl:g}).",
        )


def _payments(settings: Settings, given: Collection[str]) -> Iterator[Fault]:
    payments = settings.payments
    if payments.stripe_api_key is not None and payments.stripe_webhook_secret is None:
        yield Fault(
            "STRIPE_WEBHOOK_SECRET",
            "is missing, so no event of Stripe could be believed: write the endpoint's secret.",
        )
    untaken = [each for each in payments.currencies if each not in PLACES]
    if untaken:
        yield Fault(
            "PAYMENT_CURRENCIES",
            f"names {', '.join(untaken)}, in which Stripe takes no payments: leave out what is "
            "named.",
        )
    if not 60 <= settings.accounts.access_token_ttl <= _ACCESS_TOKEN_TTL_MAX_S:
        yield Fault("ACCESS_TOKEN_TTL", "is out of bounds: write 60 to 86400 seconds.")
    if "MAX_PAYMENT_AMOUNT" in given:
        limit = payments.max_amount
        yield from _stray(
            "MAX_PAYMENT_AMOUNT", "PAYMENT_CURRENCIES", limit.names, payments.currencies, limit
        )
    if payments.send_again_after < payments.stripe_timeout:
        yield Fault(
            "PAYMENT_SEND_AGAIN_AFTER",
            "is less than STRIPE_TIMEOUT, so a call could be made again while it runs: write "
            f"{payments.stripe_timeout:g} or more.",
        )


def _metrics(settings: Settings) -> Iterator[Fault]:
    observability = settings.observability
    if any(network.prefixlen == 0 for network in observability.metrics_allow):
        yield Fault(
            "METRICS_ALLOW",
            "lets everyone in, and metrics tell balances: write the networks that scrape, or "
            "set METRICS_TOKEN.",
        )
    if settings.server.port in observability.metrics_ports:
        yield Fault(
            "METRICS_PORTS",
            f"holds SERVER_PORT ({settings.server.port}), which is public: write other ports.",
        )
    token = observability.metrics_token
    if token is not None and len(token) < _TOKEN_LENGTH_MIN:
        yield Fault("METRICS_TOKEN", f"is short: write {_TOKEN_LENGTH_MIN} or more characters.")


def _retention(settings: Settings) -> Iterator[Fault]:
    for name, floor in FLOORS.items():
        days = getattr(settings.retention, name)
        if 0 < days < floor:
            yield Fault(
                f"RETAIN_{name.upper()}_DAYS",
                f"is {days}, and these may still be needed then: write {floor} or more, or 0 to "
                "keep them for ever.",
            )
