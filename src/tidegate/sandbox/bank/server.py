"""The sandbox bank as a server: paths, the bearer token, and the faults of connection and answer.

One handler under ``aiohttp.web.Server`` without router or middleware, because benchmarks push
hundreds of transfers a second through a process that the bank shares with others.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from aiohttp import web

from tidegate.clock import Clock, Randomness
from tidegate.sandbox.bank import control
from tidegate.sandbox.bank.answers import broken, failure, good, refused
from tidegate.sandbox.bank.books import Books, naira
from tidegate.sandbox.bank.desk import Refusal, TransferDesk
from tidegate.sandbox.bank.patience import Patience
from tidegate.sandbox.bank.readings import Readings
from tidegate.sandbox.bank.transactions import Status, Transaction
from tidegate.sandbox.bank.webhooks import RETRY_AFTER_S, Courier
from tidegate.sandbox.faults import BankFault, BankFaults

__all__ = ["BASE_PATH", "SandboxBank"]

BASE_PATH: Final = "/access/v1"
_PREFIX: Final = BASE_PATH + "/"
_SURPLUS: Final = 100

# Each tuple is tried in this order; at most one of each strikes a call.
_BEFORE: Final = (
    BankFault.REFUSE_CONNECTION,
    BankFault.RATE_LIMITED,
    BankFault.UNAUTHORISED,
    BankFault.DROP_BEFORE,
    BankFault.ERROR_500_BEFORE,
    BankFault.ERROR_503_BEFORE,
    BankFault.HTML_502_BEFORE,
    BankFault.STATUS_FALSE_BEFORE,
)
_AFTER: Final = (
    BankFault.DROP_AFTER,
    BankFault.ERROR_503_AFTER,
    BankFault.HTML_502_AFTER,
    BankFault.STATUS_FALSE_AFTER,
)
_ON_LOOKUP: Final = (BankFault.RATE_LIMITED, BankFault.LOOKUP_401, BankFault.LOOKUP_500)


class SandboxBank:
    """Lenco v1 with one naira account, played on localhost.

    ``decision_delay_s`` is how long a transfer stays pending: a number of seconds, a pair to draw
    from, or 0 for a decision right after the answer. ``fee`` is charged per transfer and returned
    if it fails. ``webhook_retry_s`` are the pauses between tries of a webhook.
    Faults are read from ``faults`` at each step, so they may change at any time.
    """

    def __init__(
        self,
        clock: Clock,
        randomness: Randomness,
        *,
        token: str,
        account_id: str,
        opening_balance: Decimal,
        webhook_url: str | None,
        faults: BankFaults,
        decision_delay_s: float | tuple[float, float] = 0.0,
        fee: Decimal = Decimal("43.50"),
        webhook_retry_s: Sequence[float] = RETRY_AFTER_S,
        webhooks_in_flight: int = 32,
    ) -> None:
        self.faults = faults
        self.requests: Counter[str] = Counter()
        self._clock = clock
        self._authorization = f"Bearer {token}"
        self._patience = Patience(clock)
        self.courier = Courier(
            clock,
            self._patience,
            faults,
            token=token,
            url=webhook_url,
            retry_after_s=webhook_retry_s,
            in_flight=webhooks_in_flight,
        )
        self.desk = TransferDesk(
            clock,
            randomness,
            self._patience,
            self.courier,
            faults,
            account_id=account_id,
            opening_balance=opening_balance,
            fee=fee,
            decision_delay_s=decision_delay_s,
        )
        self._readings = Readings(self.desk, created_ms=clock.now_ms())
        self._server: web.Server | None = None
        self._runner: web.ServerRunner | None = None
        self._site: web.TCPSite | None = None
        self._refusing: asyncio.Task[None] | None = None
        self._address = ("127.0.0.1", 0)

    # -- running it -----------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen (port 0: any free one) and return the base URL, ``http://host:port/access/v1``."""
        await self.courier.start()
        self._server = web.Server(self._handle, access_log=None)
        self._runner = web.ServerRunner(self._server, shutdown_timeout=1.0)
        await self._runner.setup()
        self._address = (host, port)
        await self._listen()
        return self.base_url

    async def stop(self) -> None:
        """Stop listening, drop every connection, give up undelivered webhooks; the books stay."""
        if self._refusing is not None:
            self._refusing.cancel()
            await asyncio.gather(self._refusing, return_exceptions=True)
            self._refusing = None
        self._hang_up()
        self._patience.end()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = self._server = self._site = None
        await self.desk.stop()
        await self.courier.stop()

    @property
    def base_url(self) -> str:
        host, port = self._address
        return f"http://{host}:{port}{BASE_PATH}"

    def refuse_connections(self, seconds: float | None = None) -> None:
        """Drop every connection and let nobody in for a while (default ``faults.refuse_s``)."""
        self._hang_up()
        if self._site is not None:
            site, self._site = self._site, None
            self._refusing = asyncio.ensure_future(
                self._stay_closed(site, self.faults.refuse_s if seconds is None else seconds)
            )

    def heal(self) -> None:
        """End all faults: the plan is empty, waiting ends, what was hidden is shown."""
        self.faults.plan.heal()
        self.desk.reveal()
        self._patience.end()

    # -- what tests and the demo look at --------------------------------------------------------

    @property
    def books(self) -> Books:
        return self.desk.books

    @property
    def transfers(self) -> Mapping[str, Transaction]:
        """Every transfer that was created, by reference."""
        return self.desk.transfers

    @property
    def balance(self) -> Decimal:
        """Naira available to the customer."""
        return Decimal(naira(self.books.balance()))

    def times_paid(self, reference: str) -> int:
        """How often the recipient of this reference got money."""
        return self.books.times_paid(reference)

    def fund(self, amount: Decimal) -> Transaction:
        """Money comes in, and a credit webhook goes out."""
        return self.desk.fund(amount)

    def withdraw(self, amount: Decimal) -> None:
        """Money leaves silently."""
        self.desk.withdraw(amount)

    def reverse(self, reference: str, *, with_fee: bool = False) -> Transaction:
        """Return a successful transfer; see :meth:`TransferDesk.reverse`."""
        return self.desk.reverse(reference, with_fee=with_fee)

    def decide(self, reference: str, status: Status, reason: str | None = None) -> None:
        """Decide a pending or declined transfer by hand; see :meth:`TransferDesk.settle`."""
        self.desk.settle(self.desk.transfers[reference], status, reason)

    def change_token(self, token: str) -> None:
        """The token from now on; the former one is refused, and signs no webhook any more."""
        self._authorization = f"Bearer {token}"
        self.courier.change_token(token)

    def set_webhook_url(self, url: str | None) -> None:
        """Where webhooks go from now on; ``None`` sends none."""
        self.courier.url = url

    # -- requests -------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, method = request.path, request.method
        if not path.startswith(_PREFIX):
            if path.startswith(control.PREFIX):
                return await control.answer(self, request)
            return failure(404, "Not found")
        if request.headers.get("Authorization") != self._authorization:
            self.requests["unauthorized"] += 1
            return failure(401, "Unauthorized")
        parts = path[len(_PREFIX) :].split("/")
        if method == "POST":
            match parts:
                case ["transfer" | "transactions" as endpoint]:
                    self.requests[f"POST /{endpoint}"] += 1
                    return await self._pay(request, queue=endpoint == "transfer")
            return failure(404, "Not found")
        if method != "GET":
            return failure(404, "Not found")
        match parts:
            case ["transfer", "by-reference", reference]:
                return await self._find("/transfer/by-reference", request, reference)
            case ["transaction-by-reference", reference]:
                return await self._find("/transaction-by-reference", request, reference)
            case ["transaction", transaction_id]:
                return await self._find("/transaction", request, transaction_id)
        return await self._read(request, parts)

    async def _read(self, request: web.BaseRequest, parts: list[str]) -> web.StreamResponse:
        """What concerns no single transfer; faults are keyed by its name or the account number."""
        query = request.query
        match parts:
            case ["account", account_id]:
                key, answer = "account", self._readings.account(account_id)
            case ["account", account_id, "balance"]:
                key, answer = "balance", self._readings.balance(account_id)
            case ["accounts"]:
                key, answer = "accounts", self._readings.accounts()
            case ["banks"]:
                key, answer = "banks", self._readings.banks()
            case ["transactions"]:
                key, answer = "transactions", self._readings.transactions(query)
            case ["resolve"]:
                self.requests["GET /resolve"] += 1
                number = query.get("accountNumber", "")
                invalid = BankFault.RECIPIENT_INVALID in self.faults.plan.for_key(number)
                trouble = await self._lookup_fault(request, number)
                return trouble or self._readings.resolve(query, invalid=invalid)
            case _:
                return failure(404, "Not found")
        self.requests[f"GET /{key}"] += 1
        return await self._lookup_fault(request, key) or answer

    async def _pay(self, request: web.BaseRequest, *, queue: bool) -> web.StreamResponse:
        try:
            order = json.loads(await request.read())
        except ValueError:
            order = None
        if not isinstance(order, dict):
            return failure(400, "The body must be a JSON object", errorCode="01")
        reference, account_number = str(order.get("reference")), str(order.get("accountNumber"))
        plan = self.faults.plan
        faults = plan.for_key(reference, account_number)
        if faults:
            for fault in _BEFORE:
                if fault in faults and plan.strike(fault, reference, account_number):
                    return self._break(fault, request)
            late = BankFault.ACT_LATE
            if late in faults and plan.strike(late, reference, account_number):
                await self._patience.pause(self.faults.too_slow_s)
        try:
            transfer = self.desk.create(order, queue=queue)
        except Refusal as refusal:
            return refused(refusal)
        if not queue:
            await self.desk.finish(transfer)
            answer = good(transfer.transaction_json())
        elif BankFault.ANSWER_CREATED in faults:
            transfer.queued = False
            if self.desk.decision_delay_s == 0:
                await self.desk.finish(transfer)
            else:
                self.desk.proceed(transfer)
            answer = good(transfer.pair_json())
        else:
            answer = good(transfer.pair_json())
            self.desk.proceed(transfer)
        return await self._after(faults, request, transfer, answer) if faults else answer

    async def _after(
        self,
        faults: frozenset[BankFault],
        request: web.BaseRequest,
        transfer: Transaction,
        answer: web.Response,
    ) -> web.StreamResponse:
        names = (transfer.reference, transfer.account_number)
        for fault, seconds in (
            (BankFault.SLOW, self.faults.slow_s),
            (BankFault.TOO_SLOW, self.faults.too_slow_s),
        ):
            if fault in faults and self.faults.plan.strike(fault, *names):
                await self._patience.pause(seconds)
        for fault in _AFTER:
            if fault in faults and self.faults.plan.strike(fault, *names):
                return self._break(fault, request)
        return answer

    async def _find(self, endpoint: str, request: web.BaseRequest, key: str) -> web.StreamResponse:
        self.requests[f"GET {endpoint}"] += 1
        by_id = endpoint == "/transaction"
        found = self.desk.transactions.get(key) if by_id else self.desk.transfers.get(key)
        names = (found.reference, found.account_number) if found else (key,)
        if (trouble := await self._lookup_fault(request, *names)) is not None:
            return trouble
        if found is None or not self.desk.visible(found):
            return failure(400, "Transaction was not found")
        surplus = 0
        if BankFault.LOOKUP_OTHER_AMOUNT in self.faults.plan.for_key(*names):
            surplus = _SURPLUS
        if endpoint == "/transfer/by-reference":
            return good(found.pair_json(surplus=surplus))
        if found.queued:
            # There is no transaction yet, only a request for one.
            return failure(400, "Transaction was not found")
        return good(found.transaction_json(surplus=surplus))

    async def _lookup_fault(self, request: web.BaseRequest, *names: str) -> web.Response | None:
        plan = self.faults.plan
        faults = plan.for_key(*names)
        for fault in _ON_LOOKUP:
            if fault in faults and plan.strike(fault, *names):
                return self._break(fault, request)
        timeout = BankFault.LOOKUP_TIMEOUT
        if timeout in faults and plan.strike(timeout, *names):
            await self._patience.pause(self.faults.too_slow_s)
        return None

    def _break(self, fault: BankFault, request: web.BaseRequest) -> web.Response:
        """Answer wrongly, or close the socket; what is returned then reaches nobody."""
        if fault in (BankFault.DROP_BEFORE, BankFault.DROP_AFTER, BankFault.REFUSE_CONNECTION):
            if request.transport is not None:
                request.transport.abort()
            if fault is BankFault.REFUSE_CONNECTION:
                self.refuse_connections()
        return broken(fault, retry_after_s=self.faults.retry_after_s)

    # -- listening ------------------------------------------------------------------------------

    async def _listen(self) -> None:
        if self._runner is None:
            return
        host, port = self._address
        self._site = web.TCPSite(self._runner, host, port, reuse_address=True)
        await self._site.start()
        self._address = (host, self._site.port)

    async def _stay_closed(self, site: web.TCPSite, seconds: float) -> None:
        await site.stop()
        self._hang_up()
        await self._patience.pause(seconds)
        await self._listen()

    def _hang_up(self) -> None:
        for connection in self._server.connections if self._server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
