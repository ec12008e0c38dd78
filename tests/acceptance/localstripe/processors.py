"""The two processors as processes of their own, and what a browser does at them.

Both are asked in Stripe's own words; where the two want different calls for the same deed, the
class says which. Amounts are Stripe's units, which in euros and dollars are minor units.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.acceptance.counterparty.server import Answer, send

__all__ = ["PROCESSORS", "LocalStripe", "Processor", "Sandbox", "Seen"]

_ROOT = Path(__file__).parents[3]
_STOP_S_MAX = 60


@dataclass(frozen=True, slots=True)
class Seen:
    """A payment object as the processor shows it."""

    status: str
    amount: int
    captured: int
    refunded: int


class Processor(ABC):
    """A card processor that runs beside the tests. ``key`` and ``secret`` are what the node is
    told: the API key, and the one that signs events."""

    name: ClassVar[str]
    key = "sk_test_acceptance"
    secret = "whsec_acceptance"

    def __init__(self, directory: Path) -> None:
        self.base = ""
        self._directory = directory
        self._process: subprocess.Popen[str] | None = None

    @abstractmethod
    def start(self, events_to: str | None) -> None:
        """Run it; events go to ``events_to``, or nowhere."""

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.terminate()
        try:
            process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            assert process.stdout is not None
            process.stdout.close()

    # -- what the tests look at ----------------------------------------------------------------

    def ask(
        self,
        method: str,
        path: str,
        form: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Answer:
        """One call with the secret key."""
        return self._call(method, path, form or {}, self.key, idempotency_key)

    def look(self, intent: str) -> Seen:
        """A payment object with its charge."""
        answer = self.ask("GET", f"/v1/payment_intents/{intent}?expand%5B0%5D=latest_charge")
        assert answer.status == 200, answer.body
        tree = answer.json
        charge = tree["latest_charge"] or {}
        # localstripe says `captured` of a charge that failed, too, and never how much.
        captured = charge["amount"] if charge.get("captured") and charge["paid"] else 0
        return Seen(
            tree["status"],
            tree["amount"],
            charge.get("amount_captured", captured),
            charge.get("amount_refunded", 0),
        )

    def objects_of(self, payment_id: str) -> list[str]:
        """The ids of the payment objects that carry our payment's id."""
        rows = self.ask("GET", "/v1/payment_intents?limit=100").json
        assert not rows["has_more"]
        ours = [row for row in rows["data"] if row["metadata"]["tidegate_payment"] == payment_id]
        return [row["id"] for row in ours]

    # -- what a browser does -------------------------------------------------------------------

    def card(self, number: str) -> str:
        """Turn a card into a token, as Stripe.js does; a name such as ``pm_card_visa`` is one."""
        if number.startswith("pm_"):
            return number
        form = {
            "type": "card",
            "card[number]": number,
            "card[exp_month]": "12",
            "card[exp_year]": "2040",
            "card[cvc]": "123",
        }
        answer = self._call("POST", "/v1/payment_methods", form, self._card_key)
        assert answer.status == 200, answer.body
        return str(answer.json["id"])

    @abstractmethod
    def store(self, client_secret: str, number: str) -> str:
        """Complete a set-up intent; the token of the stored card."""

    def bring(self, intent: str, number: str) -> Answer:
        """Confirm a payment object that waits for a card.

        A browser does it in one call by the client secret. Neither of the two takes that, so the
        secret key stands in for it.
        """
        path = f"/v1/payment_intents/{intent}"
        updated = self.ask("POST", path, {"payment_method": self.card(number)})
        assert updated.status == 200, updated.body
        return self.ask("POST", f"{path}/confirm")

    @abstractmethod
    def authenticate(self, intent: str, client_secret: str, *, approve: bool) -> None:
        """Answer the bank's question (3-D Secure)."""

    # -- helpers -------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _card_key(self) -> str:
        """The key that cards are made with."""

    def _run(self, *arguments: str) -> None:
        with (self._directory / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=self._directory,
                env={
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": os.pathsep.join((str(_ROOT), str(_ROOT / "src"))),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def _line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, f"{self.name} did not start"
        return line

    def _call(
        self,
        method: str,
        path: str,
        form: Mapping[str, Any],
        key: str,
        idempotency_key: str | None = None,
    ) -> Answer:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        return send(method, self.base + path, urlencode(form).encode(), headers)


class LocalStripe(Processor):
    """The package localstripe."""

    name = "localstripe"

    def start(self, events_to: str | None) -> None:
        self._run("tests.acceptance.localstripe.launch")
        self.base = self._line()
        if events_to is not None:
            hook = {"url": events_to, "secret": self.secret}
            assert self.ask("POST", "/_config/webhooks/node", hook).status == 200

    def store(self, client_secret: str, number: str) -> str:
        intent, token = client_secret.partition("_secret_")[0], self.card(number)
        form = {"key": "pk_test", "client_secret": client_secret, "payment_method": token}
        answer = self._call("POST", f"/v1/setup_intents/{intent}/confirm", form, "")
        assert answer.status == 200, answer.body
        assert answer.json["status"] == "succeeded"
        return str(answer.json["payment_method"])

    def authenticate(self, intent: str, client_secret: str, *, approve: bool) -> None:
        form = {
            "key": "pk_test",
            "client_secret": client_secret,
            "success": "true" if approve else "false",
        }
        answer = self._call("POST", f"/v1/payment_intents/{intent}/_authenticate", form, "")
        assert answer.status == 200, answer.body

    @property
    def _card_key(self) -> str:
        # Stripe takes the publishable key here; it does not.
        return self.key


class Sandbox(Processor):
    """``tidegate sandbox cards``."""

    name = "sandbox"

    def start(self, events_to: str | None) -> None:
        self._run(
            *("tidegate", "sandbox", "cards", "--port", "0"),
            *("--webhook-url", events_to or "", "--settle", "0.2"),
        )
        given = dict(self._line().split("=", 1) for _ in range(3))
        self.base = given["STRIPE_API_BASE"]
        self.key, self.secret = given["STRIPE_API_KEY"], given["STRIPE_WEBHOOK_SECRET"]

    def store(self, client_secret: str, number: str) -> str:
        # It opens set-up intents and completes none: the card alone is what comes of one.
        intent = client_secret.partition("_secret_")[0]
        assert self.ask("GET", f"/v1/setup_intents/{intent}").status == 200
        return self.card(number)

    def authenticate(self, intent: str, client_secret: str, *, approve: bool) -> None:
        self.command("authenticate", payment=intent, approve=approve)

    def command(self, name: str, **order: Any) -> Any:
        """Let something happen that nobody calls for (``/_sandbox/...``)."""
        answer = send("POST", f"{self.base}/_sandbox/{name}", json.dumps(order).encode())
        assert answer.status == 200, answer.body
        return answer.json

    @property
    def _card_key(self) -> str:
        return self.key.replace("sk_", "pk_", 1)


PROCESSORS: Mapping[str, type[Processor]] = {kind.name: kind for kind in (LocalStripe, Sandbox)}
