"""``tidegate sandbox cards``: the processor as a process of its own."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp
import stripe

from tests.unit.sandbox.cards_world import close


async def test_the_processor_runs_alone(tmp_path: Path) -> None:
    """It prints what to set, speaks to the SDK with that key, and stops cleanly when told to."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tidegate", "sandbox", "cards", "--port", "0", "--webhook-url", "",
        "--fault", "declined=0.25", "--seed", "7",
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    given: dict[str, str] = {}
    assert process.stdout is not None
    try:
        async with asyncio.timeout(120):
            for _ in range(3):
                line = (await process.stdout.readline()).decode().strip()
                name, _, value = line.partition("=")
                given[name] = value
        assert given["STRIPE_API_KEY"].startswith("sk_test_")
        assert given["STRIPE_WEBHOOK_SECRET"].startswith("whsec_")
        base = given["STRIPE_API_BASE"]
        http = stripe.AIOHTTPClient(timeout=5)
        client = stripe.StripeClient(
            given["STRIPE_API_KEY"], base_addresses={"api": base}, http_client=http
        )
        customer = await client.v1.customers.create_async({"email": "ada@example.org"})
        assert customer.email == "ada@example.org"
        await close(http)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{base}/_sandbox/faults") as answer,
        ):
            plan = await answer.json()
        assert (plan["seed"], plan["rates"]) == (7, {"declined": 0.25})
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            code = await process.wait()
    assert code == 0
