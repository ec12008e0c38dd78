"""The played processor as a whole: what it is made of, how it is started, what may be asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tidegate.clock import Clock, Randomness
from tidegate.sandbox.bank.patience import Patience
from tidegate.sandbox.cards import control
from tidegate.sandbox.cards.books import Books, Line
from tidegate.sandbox.cards.courier import RETRY_AFTER_S, Courier
from tidegate.sandbox.cards.desk import Desk
from tidegate.sandbox.cards.disputes import Disputes
from tidegate.sandbox.cards.door import Door
from tidegate.sandbox.cards.events import Events
from tidegate.sandbox.cards.network import CardNetwork
from tidegate.sandbox.cards.payments import PaymentIntent
from tidegate.sandbox.cards.refunds import Refunds
from tidegate.sandbox.cards.returns import Dispute, Refund
from tidegate.sandbox.cards.routes import Routes
from tidegate.sandbox.cards.service import PREFIX, Service
from tidegate.sandbox.cards.settlement import Settlement
from tidegate.sandbox.cards.store import Store
from tidegate.sandbox.cards.terms import Terms
from tidegate.sandbox.cards.wallet import Wallet
from tidegate.sandbox.faults import CardFaults

__all__ = ["SandboxCards"]


class SandboxCards:
    """Stripe's API as far as a payments service uses it, played on localhost.

    ``api_key`` is the secret key; the publishable one has ``pk_`` in place of ``sk_``. Webhooks
    are signed with ``webhook_secret``; ``webhook_retry_s`` are the pauses between their tries.
    A charge's balance transaction comes ``settle_s`` after its capture; ``delay_s`` is how long a
    call takes that asks the card network. Fees and other times are in ``terms``.
    Faults are read from ``faults`` at each step, so they may change at any time.
    """

    def __init__(
        self,
        clock: Clock,
        randomness: Randomness | None = None,
        *,
        api_key: str,
        webhook_secret: str,
        webhook_url: str | None = None,
        faults: CardFaults | None = None,
        terms: Terms | None = None,
        settle_s: float = 1.0,
        delay_s: float = 0.0,
        webhook_retry_s: Sequence[float] = RETRY_AFTER_S,
        webhooks_in_flight: int = 32,
    ) -> None:
        self.faults = faults or CardFaults()
        self.books = Books()
        terms = terms or Terms()
        self._patience = Patience(clock)
        self.courier = Courier(
            clock,
            self._patience,
            self.faults,
            secret=webhook_secret,
            url=webhook_url,
            retry_after_s=webhook_retry_s,
            in_flight=webhooks_in_flight,
        )
        self._store = Store(clock, randomness or Randomness(clock))
        self.events = Events(self._store, self.courier, terms)
        wallet = Wallet(self._store, self.events, terms)
        self._settlement = Settlement(
            self._store, self.events, self.books, terms, settle_s=settle_s
        )
        self._disputes = Disputes(self._store, self.events, self._settlement, terms)
        self._network = CardNetwork(
            self._store,
            self.events,
            wallet,
            self._settlement,
            self._disputes,
            self.faults,
            terms,
        )
        desk = Desk(self._store, self.events, wallet, self._network, terms)
        self._refunds = Refunds(self._store, self.events, self._settlement, self.faults, terms)
        self._service = Service(
            self._store,
            Routes(self._store, self.events, wallet, desk, self._refunds),
            self.events,
            self._patience,
            self.faults,
            terms,
            api_key=api_key,
            publishable_key=api_key.replace("sk_", "pk_", 1),
            delay_s=delay_s,
            refuse=self.refuse_connections,
        )
        self._door = Door(self._handle, self._patience)
        self._later = (
            self._settlement.later,
            self._disputes.later,
            self._refunds.later,
            self._network.processing,
            self._network.expiring,
        )

    # -- running it -----------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen (port 0: any free one) and return the base URL, ``http://host:port``."""
        await self.courier.start()
        self._network.origin = await self._door.open(host, port)
        return self.base_url

    def change_key(self, api_key: str) -> None:
        """The secret key from now on; the former one has expired."""
        self._service.api_key = api_key

    async def stop(self) -> None:
        """Stop listening, drop every connection, give up undelivered webhooks; the books stay."""
        await self._door.close()
        for later in self._later:
            await later.stop()
        await self.courier.stop()

    @property
    def base_url(self) -> str:
        """What the SDK calls the base address of the API."""
        return self._door.origin

    def refuse_connections(self, seconds: float | None = None) -> None:
        """Drop every connection and let nobody in for a while (default ``faults.refuse_s``)."""
        self._door.refuse(self.faults.refuse_s if seconds is None else seconds)

    def heal(self) -> None:
        """End all faults: the plan is empty, waiting ends, what was processing goes on."""
        self.faults.plan.heal()
        self._network.processing.flush()
        self._patience.end()

    # -- what tests and the demo look at --------------------------------------------------------

    @property
    def requests(self) -> Counter[str]:
        """Calls by step, and how many were refused or replayed."""
        return self._service.requests

    def charges_of(self, payment: str) -> list[Line]:
        """How often, and how much, a payment (``tidegate_payment``) took; once is right."""
        return self.books.charges_of(payment)

    def intent(self, payment: str) -> PaymentIntent | None:
        """By its id, or the newest of a ``tidegate_payment``."""
        found = self._store.get(PaymentIntent, payment)
        if found is not None:
            return found
        newest_first = reversed(self.intents)
        return next((intent for intent in newest_first if intent.payment == payment), None)

    @property
    def intents(self) -> Sequence[PaymentIntent]:
        """Every payment's object, oldest first."""
        return self._store.all(PaymentIntent)

    def refunds_of(self, payment: str) -> list[Refund]:
        """Every refund of a payment, oldest first."""
        return [
            refund
            for refund in self._store.all(Refund)
            if payment in (refund.charge.intent.payment, refund.charge.intent.id)
        ]

    def state(self) -> dict[str, Any]:
        """Totals, violations and counters, as ``/_sandbox/state`` shows them."""
        intents = Counter(intent.status.value for intent in self.intents)
        return {
            **self.books.as_json(),
            "payment_intents": dict(intents),
            "refunds": dict(Counter(refund.status for refund in self._store.all(Refund))),
            "disputes": dict(Counter(dispute.status for dispute in self._store.all(Dispute))),
            "requests": dict(self.requests),
            "webhooks": {**self.courier.counts, "waiting": self.courier.waiting},
        }

    # -- what happens without a call ------------------------------------------------------------

    def authenticate(self, payment: str, *, approve: bool = True) -> None:
        """The cardholder's answer; ``KeyError`` and ``ValueError`` where nobody asked."""
        self._network.authenticate(self._known(payment), approve=approve)

    def expire(self, payment: str) -> None:
        """The authorisation runs out now."""
        self._network.expire(self._known(payment))

    def dispute(
        self, payment: str, amount: int | None = None, reason: str = "fraudulent"
    ) -> Dispute:
        """The cardholder disputes a payment; ``ValueError`` when it took no money."""
        charge = self._known(payment).latest_charge
        if charge is None:
            raise ValueError(f"{payment} was never charged")
        return self._disputes.open(charge, amount, reason)

    def close_dispute(self, dispute_id: str, *, won: bool) -> Dispute:
        """The issuer decides a dispute."""
        dispute = self._store.get(Dispute, dispute_id)
        if dispute is None:
            raise KeyError(dispute_id)
        self._disputes.close(dispute, won=won)
        return dispute

    def decide_refund(self, refund_id: str, status: str) -> Refund:
        """A refund succeeds or fails now; see :meth:`Refunds.decide`."""
        refund = self._store.get(Refund, refund_id)
        if refund is None:
            raise KeyError(refund_id)
        self._refunds.decide(refund, status)
        return refund

    def settle(self) -> None:
        """Every charge gets its balance transaction now."""
        self._settlement.later.flush()

    def set_webhook_url(self, url: str | None) -> None:
        """Where webhooks go from now on; ``None`` sends none."""
        self.courier.url = url

    def _known(self, payment: str) -> PaymentIntent:
        intent = self.intent(payment)
        if intent is None:
            raise KeyError(payment)
        return intent

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        if path.startswith(PREFIX):
            return await self._service.answer(request)
        if path.startswith(control.PREFIX):
            return await control.answer(self, request)
        return web.Response(status=404, text="Not found")
