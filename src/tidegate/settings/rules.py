"""What the settings mean to each part: figures in minor units and milliseconds."""

from __future__ import annotations

from decimal import Decimal
from urllib.parse import urlsplit

from tidegate.cases.switch import SwitchKind
from tidegate.db.cipher import Cipher
from tidegate.money.amount import MINOR_MAX, parse_balance
from tidegate.money.currency import parse_currency
from tidegate.payments.rules import PaymentRules
from tidegate.payouts.rules import Rules
from tidegate.retention.rules import FLOORS, RetentionRules
from tidegate.settings.group import secrets_of
from tidegate.settings.groups import Settings
from tidegate.settings.values import Per
from tidegate.users.rules import UserRules

__all__ = [
    "cipher_of",
    "payment_rules_of",
    "retention_rules_of",
    "rules_of",
    "switches_of",
    "user_rules_of",
]


def rules_of(settings: Settings, node_id: str) -> Rules:
    """The figures of the settings in minor units and milliseconds."""
    payouts, currencies = settings.payouts, settings.payouts.currencies

    def minor(per: Per[Decimal]) -> dict[str, int]:
        found = {}
        for code in currencies:
            amount = per.get(code)
            if amount is not None:
                found[code] = parse_balance(amount, parse_currency(code)).minor
        return found

    def ms(seconds: float) -> int:
        return round(seconds * 1000)

    return Rules(
        environment=settings.node.environment,
        node_id=node_id,
        currencies=frozenset(currencies),
        psps=tuple(payouts.psps),
        fee_max=minor(settings.lenco.max_fee),
        amount_max=minor(payouts.max_order_amount),
        amount_min=minor(payouts.min_order_amount),
        critical_balance=minor(payouts.critical_balance_threshold),
        offer_ttl_ms=ms(payouts.offer_ttl),
        accept_margin_ms=ms(payouts.accept_margin),
        lookup_schedule_s=tuple(payouts.lookup_schedule),
        not_found_count=payouts.not_found_count,
        not_found_window_ms=ms(payouts.not_found_window),
        cool_off_ms=ms(payouts.cool_off),
        unsent_limit_ms=ms(payouts.hold_limit),
        name_check=payouts.name_check == "strict",
        show_balances=settings.node.info_balances == "show",
        spec_require_timestamp=settings.aggregator.spec_require_timestamp,
    )


def cipher_of(settings: Settings) -> Cipher:
    """What encrypts and opens recipients' data."""
    return Cipher(settings.data.current, settings.data.previous)


def payment_rules_of(settings: Settings) -> PaymentRules:
    """What payments go by; a currency without a limit takes what the ledger can hold."""
    given = settings.payments
    most = {}
    for code in given.currencies:
        amount = given.max_amount.get(code)
        most[code] = (
            MINOR_MAX if amount is None else parse_balance(amount, parse_currency(code)).minor
        )
    return PaymentRules(
        amount_max=most,
        lookup_schedule_s=tuple(given.lookup_schedule),
        send_again_after_ms=round(given.send_again_after * 1000),
        abandoned_after_ms=round(given.abandoned_after * 1000),
    )


def retention_rules_of(settings: Settings) -> RetentionRules:
    """How many days each kind is kept."""
    return RetentionRules({name: getattr(settings.retention, name) for name in FLOORS})


def user_rules_of(settings: Settings) -> UserRules:
    """What accounts and sessions go by."""
    accounts, jwt = settings.accounts, settings.accounts.jwt_secret
    public = settings.server.public_url
    origins = {*settings.server.cors_origins}
    if public is not None:
        split = urlsplit(public)
        origins.add(f"{split.scheme}://{split.netloc}")
    return UserRules(
        secret_keys=settings.node.secrets,
        jwt_secrets=() if jwt is None else secrets_of(jwt, accounts.jwt_secret_previous),
        access_ttl_s=round(accounts.access_token_ttl),
        session_ttl_s=round(accounts.refresh_token_ttl),
        refresh_grace_s=accounts.refresh_grace,
        auth_per_minute=accounts.auth_rate_limit,
        origins=frozenset(origins),
        debug=settings.node.debug,
    )


def switches_of(settings: Settings) -> list[tuple[SwitchKind, str]]:
    """Everything that this node can switch off, by kind and name."""
    payouts, payments = settings.payouts, settings.payments
    return [
        *((SwitchKind.PSP, name) for name in payouts.psps),
        *((SwitchKind.CURRENCY, code) for code in payouts.currencies),
        (SwitchKind.PROCESSOR, "stripe"),
        *((SwitchKind.PAYMENTS, code) for code in payments.currencies),
    ]
