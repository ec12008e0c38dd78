"""``sandbox``: one of the played companies alone, on its own port, for someone else's tests.

What to set so that a node talks to it goes to standard output as lines of an environment file, at
once and before anything else; what a person should know goes to standard error.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Final, TypeVar

import typer

from tidegate.cli.loop import run
from tidegate.cli.output import NO, JsonOption, print_json, show_table
from tidegate.clock import Clock, Randomness, SystemClock
from tidegate.sandbox.aggregator import SandboxAggregator
from tidegate.sandbox.bank import SandboxBank
from tidegate.sandbox.cards import SandboxCards
from tidegate.sandbox.faults import (
    AggregatorFault,
    BankFault,
    BankFaults,
    CardFault,
    CardFaults,
    Fault,
    FaultPlan,
)

__all__ = ["register"]

F = TypeVar("F", bound=Fault)

AGGREGATOR_PORT: Final = 8701
BANK_PORT: Final = 8702
CARDS_PORT: Final = 8703
_DELAY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:-([0-9]+(?:\.[0-9]+)?))?")

_HOST = typer.Option("127.0.0.1", help="The address to listen on.")
_FAULT = typer.Option([], help="NAME or NAME=RATE, the share of orders hit (0 to 1); repeatable.")
_SEED = typer.Option(0, help="Decides which orders a rate hits: the same seed, the same ones.")


def register(app: typer.Typer) -> None:
    sandbox = typer.Typer(help="Played counterparties, each alone.", no_args_is_help=True)
    sandbox.command("aggregator")(aggregator)
    sandbox.command("bank")(bank)
    sandbox.command("cards")(cards)
    sandbox.command("faults")(faults)
    app.add_typer(sandbox, name="sandbox")


def aggregator(
    host: str = _HOST,
    port: int = typer.Option(AGGREGATOR_PORT, min=0, max=65535, help="0: any free one."),
    node_url: str = typer.Option("http://127.0.0.1:8000", help="Where offers are sent."),
    dialect: str = typer.Option("live", help="The form of offers: live or spec."),
    client_id: str = typer.Option("", help="A UUID; made up when left out."),
    secret_env: str = typer.Option("", help="The variable with the shared secret; else made up."),
    fault: list[str] = _FAULT,
    seed: int = _SEED,
) -> None:
    """Play the aggregator until stopped. Orders are made with POST /_sandbox/offers."""
    if dialect not in ("live", "spec"):
        raise typer.BadParameter("write live or spec.", param_hint="--dialect")
    try:
        client = str(uuid.UUID(client_id)) if client_id else str(uuid.uuid4())
    except ValueError:
        raise typer.BadParameter("it is a UUID.", param_hint="--client-id") from None
    secret = _secret(secret_env)
    plan = _plan(AggregatorFault, fault, seed)

    async def play(clock: Clock, randomness: Randomness, stop: asyncio.Event) -> None:
        company = SandboxAggregator(
            clock,
            randomness,
            client_id=client,
            secret=secret,
            node_url=node_url,
            faults=plan,
            dialect="live" if dialect == "live" else "spec",
        )
        origin = await _started(company.start(host, port), host, port)
        given = {"AGGREGATOR_BASE_URL": origin, "AGGREGATOR_CLIENT_ID": client}
        if not secret_env:
            given["AGGREGATOR_SECRET_KEY"] = secret
        _announce(
            {**given, "AGGREGATOR_DIALECT": dialect},
            f'The aggregator offers to {node_url}. An order: curl -d \'{{"amount": "1500", '
            '"institution": "GTBINGLA", "account": "0123456789"}\' '
            f"{origin}/_sandbox/offers",
        )
        await _until(stop, company.stop)

    run(_play(play))


def bank(
    host: str = _HOST,
    port: int = typer.Option(BANK_PORT, min=0, max=65535, help="0: any free one."),
    webhook_url: str = typer.Option(
        "http://127.0.0.1:8000/webhooks/psp", help="Where webhooks go; empty: nowhere."
    ),
    token: str = typer.Option("", help="The API token of the played bank; made up if left out."),
    account_id: str = typer.Option("", help="The account that pays; made up when left out."),
    opening_balance: str = typer.Option("10000000", help="Naira on the account at the start."),
    delay: str = typer.Option(
        "0", help="Seconds until a transfer is decided: 2, or a range to draw from: 1-5."
    ),
    fault: list[str] = _FAULT,
    seed: int = _SEED,
) -> None:
    """Play a bank that speaks Lenco v1 until stopped. Its books: GET /_sandbox/state."""
    opening = _naira(opening_balance)
    decided = _delay(delay)
    token = token or f"sandbox-{secrets.token_hex(24)}"
    account_id = account_id or str(uuid.uuid4())
    plan = _plan(BankFault, fault, seed)

    async def play(clock: Clock, randomness: Randomness, stop: asyncio.Event) -> None:
        company = SandboxBank(
            clock,
            randomness,
            token=token,
            account_id=account_id,
            opening_balance=opening,
            webhook_url=webhook_url or None,
            faults=BankFaults(plan),
            decision_delay_s=decided,
        )
        base = await _started(company.start(host, port), host, port)
        _announce(
            {"LENCO_BASE_URL": base, "LENCO_API_KEY": token, "LENCO_ACCOUNT_ID": account_id},
            f"The bank has {opening} naira and calls {webhook_url or 'nobody'}.",
        )
        await _until(stop, company.stop)

    run(_play(play))


def cards(
    host: str = _HOST,
    port: int = typer.Option(CARDS_PORT, min=0, max=65535, help="0: any free one."),
    webhook_url: str = typer.Option(
        "http://127.0.0.1:8000/api/webhooks/stripe", help="Where webhooks go; empty: nowhere."
    ),
    settle: float = typer.Option(1.0, min=0, help="Seconds until a charge's fee is known."),
    delay: float = typer.Option(0.0, min=0, help="Seconds that asking the card network takes."),
    fault: list[str] = _FAULT,
    seed: int = _SEED,
) -> None:
    """Play a card processor that speaks Stripe's API until stopped. GET /_sandbox/state."""
    api_key = f"sk_test_{secrets.token_hex(24)}"
    webhook_secret = f"whsec_{secrets.token_hex(24)}"
    plan = _plan(CardFault, fault, seed)

    async def play(clock: Clock, randomness: Randomness, stop: asyncio.Event) -> None:
        company = SandboxCards(
            clock,
            randomness,
            api_key=api_key,
            webhook_secret=webhook_secret,
            webhook_url=webhook_url or None,
            faults=CardFaults(plan),
            settle_s=settle,
            delay_s=delay,
        )
        base = await _started(company.start(host, port), host, port)
        _announce(
            {
                "STRIPE_API_KEY": api_key,
                "STRIPE_API_BASE": base,
                "STRIPE_WEBHOOK_SECRET": webhook_secret,
            },
            f"The processor takes test cards such as pm_card_visa and calls "
            f"{webhook_url or 'nobody'}.",
        )
        await _until(stop, company.stop)

    run(_play(play))


def faults(as_json: bool = JsonOption) -> None:
    """List the faults each company may have."""
    companies: dict[str, type[Fault]] = {
        "aggregator": AggregatorFault,
        "bank": BankFault,
        "cards": CardFault,
    }
    if as_json:
        print_json(
            {
                name: {fault.value: fault.meaning for fault in kind}
                for name, kind in companies.items()
            }
        )
        return
    show_table(
        ("company", "fault", "meaning"),
        [(name, fault.value, fault.meaning) for name, kind in companies.items() for fault in kind],
    )


async def _play(play: Callable[[Clock, Randomness, asyncio.Event], Awaitable[None]]) -> None:
    """Run a company until the process is told to stop."""
    clock = SystemClock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stop.set)
    await play(clock, Randomness(clock), stop)


async def _started(starting: Awaitable[str], host: str, port: int) -> str:
    try:
        return await starting
    except OSError as problem:
        typer.echo(
            f"Nobody can listen on {host}:{port} ({problem.strerror}): choose another --port, or "
            "0 for any free one.",
            err=True,
        )
        raise typer.Exit(NO) from None


def _announce(environment: Mapping[str, str], note: str) -> None:
    for name, value in environment.items():
        typer.echo(f"{name}={value}")
    typer.echo(f"# {note}\n# Stop with Ctrl-C.", err=True)


async def _until(stop: asyncio.Event, end: Callable[[], Awaitable[None]]) -> None:
    try:
        await stop.wait()
    finally:
        with suppress(OSError):  # a connection that breaks while everything ends
            await end()


def _secret(secret_env: str) -> str:
    if not secret_env:
        return secrets.token_urlsafe(32)
    secret = os.environ.get(secret_env, "")
    if not secret:
        raise typer.BadParameter(
            f"the variable {secret_env} is not set, or empty.", param_hint="--secret-env"
        )
    return secret


def _naira(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0 or amount != round(amount, 2):
        raise typer.BadParameter(
            f"{text!r} is no amount: write naira, such as 250000.00.",
            param_hint="--opening-balance",
        )
    return amount


def _delay(text: str) -> float | tuple[float, float]:
    match = _DELAY.fullmatch(text)
    if match is None or (match[2] is not None and float(match[2]) < float(match[1])):
        raise typer.BadParameter(
            f"{text!r} is no delay: write seconds, such as 2, or 1-5.", param_hint="--delay"
        )
    return float(match[1]) if match[2] is None else (float(match[1]), float(match[2]))


def _plan(kind: type[F], wanted: list[str], seed: int) -> FaultPlan[F]:
    """Read ``NAME`` and ``NAME=RATE``."""
    known = {fault.value: fault for fault in kind}
    rates: dict[F, float] = {}
    for text in wanted:
        name, _, share = text.partition("=")
        if name not in known:
            near = get_close_matches(name, known, n=1)
            raise typer.BadParameter(
                f"there is no fault {name!r}"
                + (f"; {near[0]}?" if near else "")
                + ": `tidegate sandbox faults` lists them.",
                param_hint="--fault",
            )
        try:
            rates[known[name]] = float(share or 1)
        except ValueError:
            rates[known[name]] = -1.0
        if not 0 <= rates[known[name]] <= 1:
            raise typer.BadParameter(
                f"{share!r} is no rate: write a share from 0 to 1.", param_hint="--fault"
            )
    plan = FaultPlan(kind, seed)
    plan.set_rates(rates)
    return plan
