"""The sandbox's aggregator: another company on a local port, and the handles to drive it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any, Unpack

import aiohttp
from aiohttp import web

from tidegate.clock import Clock, Randomness
from tidegate.sandbox.aggregator import queries
from tidegate.sandbox.aggregator.authentication import Authentication
from tidegate.sandbox.aggregator.book import Book, Float
from tidegate.sandbox.aggregator.control import control
from tidegate.sandbox.aggregator.drafting import OrderFields, draft
from tidegate.sandbox.aggregator.envelope import ROUTE_NOT_FOUND
from tidegate.sandbox.aggregator.events import Subscription
from tidegate.sandbox.aggregator.judgement import Violation
from tidegate.sandbox.aggregator.node_client import Answer, NodeClient
from tidegate.sandbox.aggregator.offering import Offering
from tidegate.sandbox.aggregator.orders import Dialect, Order, Status
from tidegate.sandbox.aggregator.polling import Polling
from tidegate.sandbox.aggregator.provider import Provider, respond
from tidegate.sandbox.aggregator.terms import Terms
from tidegate.sandbox.aggregator.timetable import Timetable
from tidegate.sandbox.faults import AggregatorFault, FaultPlan

__all__ = ["SandboxAggregator"]

_STOP_S = 1.0


class SandboxAggregator:
    """An aggregator that behaves as LIVE does and judges the node that talks to it.

    ``client_id`` is a UUID, ``secret`` the shared key's text (used as bytes, never decoded).
    ``node_url`` may hold a path prefix and may be set later. ``terms`` holds every interval; the
    three most wanted can be given directly, in seconds. Instants in marks and events are seconds
    of ``clock.monotonic()``. Source: aggregator.md sections 2 to 6.
    """

    def __init__(
        self,
        clock: Clock,
        randomness: Randomness,
        *,
        client_id: str,
        secret: str,
        node_url: str | None = None,
        faults: FaultPlan[AggregatorFault] | None = None,
        dialect: Dialect = "live",
        terms: Terms | None = None,
        offer_ttl_s: float | None = None,
        poll_interval_s: float | None = None,
        refund_timeout_s: float | None = None,
        connector: Callable[[], aiohttp.BaseConnector] | None = None,
    ) -> None:
        base = terms or Terms()
        self.terms = replace(
            base,
            offer_ttl_s=base.offer_ttl_s if offer_ttl_s is None else offer_ttl_s,
            poll_interval_s=base.poll_interval_s if poll_interval_s is None else poll_interval_s,
            refund_timeout_s=(
                base.refund_timeout_s if refund_timeout_s is None else refund_timeout_s
            ),
        )
        self.clock = clock
        self.dialect = dialect
        self.origin = ""
        self._randomness = randomness
        self._timetable = Timetable(clock)
        plan = faults if faults is not None else FaultPlan(AggregatorFault)
        self.book = Book(clock, self.terms, plan, self._timetable)
        self._client = NodeClient(
            client_id=str(uuid.UUID(client_id)),
            secret=secret.encode(),
            node_url=node_url,
            timeout_s=self.terms.node_timeout_s,
            connector=connector,
        )
        self._polling = Polling(self.book, self._client, self._spawn)
        self._offering = Offering(self.book, self._client, self._spawn, self._polling.ask)
        self.book.offer_again = self._offering.again
        self._authentication = Authentication(
            clock,
            self.book.judge,
            client_id=self._client.client_id,
            secret=self._client.secret,
            timestamp_age_s=self.terms.timestamp_age_s,
        )
        self._provider = Provider(
            self.book,
            self._authentication,
            self._client,
            refuse=self._refuse_connections,
            ask_early=self._polling.ask,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._address = ("127.0.0.1", 0)

    # -- its life -------------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen, begin the periodic jobs; returns the origin (``http://127.0.0.1:49152``)."""
        await self._client.start()
        self._web = web.Server(self._handle, access_log=None)
        self._address = (host, port)
        listener = await self._listen()
        port = listener.sockets[0].getsockname()[1]
        self._address = (host, port)
        self.origin = f"http://{host}:{port}"
        self._timetable.every(self.terms.reassign_interval_s, self.book.reassign)
        self._timetable.every(self.terms.refund_interval_s, self.book.refund)
        self._timetable.every(self.terms.poll_interval_s, self._polling.tick)
        self._timetable.start()
        return self.origin

    def change_secret(self, secret: str) -> None:
        """The shared key from now on; what is signed with the former one is refused."""
        self._client.secret = self._authentication.secret = secret.encode()

    async def stop(self) -> None:
        """Stop listening, end every call under way. What was recorded can still be read."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        await self._timetable.stop()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._web is not None:
            await self._web.shutdown(_STOP_S)
            self._web = None
        await self._client.stop()
        self.book.events.close()

    async def _listen(self) -> asyncio.Server:
        if self._web is None:
            raise RuntimeError("the sandbox aggregator is not started")
        host, port = self._address
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._web, host, port, backlog=1024)
        return self._listener

    def _refuse_connections(self) -> None:
        """Nobody listens for ``refuse_s``; open connections are torn as well."""
        if self._listener is None or self._web is None:
            return
        self._listener.close()
        self._listener = None
        for connection in list(self._web.connections):
            if connection.transport is not None:
                connection.transport.abort()
        self._timetable.after(self.terms.refuse_s, lambda: self._spawn(self._listen_again()))

    async def _listen_again(self) -> None:
        if self._web is not None and self._listener is None:
            await self._listen()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- HTTP -----------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        # A router and its middlewares would cost more than the work itself; the paths are few.
        path, _, query = request.raw_path.partition("?")
        parts = path.split("/")[1:]
        match parts:
            case [("v1" | "v2") as version, "provider", *rest]:
                return await self._provider.handle(request, version, rest, query)
            case ["_sandbox", *rest]:
                return respond(await control(self, request, rest, query))
            case ["v1", "institutions", currency] if request.method == "GET":
                return respond(queries.institutions(currency))
            case ["v1", "currencies"] if request.method == "GET":
                return respond(queries.currencies())
            case ["health"]:
                return web.json_response({"live": "ok"})
            case ["ready"]:
                return web.json_response({"ready": "ok"})
        return respond(ROUTE_NOT_FOUND)

    # -- driving --------------------------------------------------------------------------------

    @property
    def node_url(self) -> str | None:
        """Where the node listens."""
        return self._client.node_url

    @node_url.setter
    def node_url(self, url: str | None) -> None:
        self._client.node_url = url

    async def offer(
        self,
        amount: Decimal | int | str,
        currency: str = "NGN",
        **fields: Unpack[OrderFields],
    ) -> str:
        """Create an order, send its offer, return the order id once the node has answered.

        ``amount`` is fiat in major units; LIVE orders are rounded half to even to whole ones.
        The other arguments are those of :class:`OrderFields`. An OTC order is created without
        an offer (3.1).
        """
        order = self.create(amount, currency, **fields)
        await self.send(order)
        return order.id

    def create(
        self,
        amount: Decimal | int | str,
        currency: str = "NGN",
        **fields: Unpack[OrderFields],
    ) -> Order:
        """Enter an order without offering it; :meth:`send` does that. Arguments as :meth:`offer`.

        Raises ``ValueError`` for an order id that is known already or is no UUID.
        """
        fields.setdefault("dialect", self.dialect)
        order = draft(self.book, self._randomness, Decimal(amount), currency, fields)
        self.book.add(order)
        return order

    async def send(self, order: Order) -> None:
        """Offer an order that was created; returns when the node has answered."""
        await self._offering.offer(order)

    def send_soon(self, order: Order) -> None:
        """Offer an order that was created, without waiting."""
        self._offering.again(order)

    async def poll(self) -> None:
        """Ask ``/tx_status`` about everything that is due now."""
        await self._polling.round()

    async def ask(self, order_id: str) -> None:
        """Ask ``/tx_status`` about one order now, due or not."""
        await self._polling.ask(self.order(order_id))

    async def call_node(self, path: str, payload: dict[str, Any] | None) -> Answer:
        """Any signed LIVE call, for what has no order here (``/verify_account``, payin)."""
        return await self._client.post(path, payload)

    # -- looking --------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a call that nobody waits for is under way, or a scheduled one is due now."""
        return bool(self._tasks) or self._timetable.due_now

    @property
    def orders(self) -> dict[str, Order]:
        """Every order by id."""
        return self.book.orders

    @property
    def counters(self) -> dict[str, int]:
        """Calls by ``"<verb> <HTTP status>"``, in both directions."""
        return dict(self.book.counters)

    def order(self, order_id: str) -> Order:
        """One order; ``KeyError`` if unknown."""
        return self.book.orders[order_id]

    def balance(self, currency: str = "NGN") -> Float:
        """What the node last reported for a currency, and what is believed of it."""
        return self.book.float_of(currency)

    def judge(self) -> list[Violation]:
        """What the node did wrong so far; empty is good."""
        return list(self.book.judge.violations)

    def events(self) -> Subscription:
        """An async iterator over what happens from now on; close it, or use ``async with``."""
        return self.book.events.subscribe()

    async def wait_for(
        self,
        order_id: str,
        statuses: Status | str | Iterable[Status | str],
        timeout_s: float = 10.0,
    ) -> Order:
        """The order once it is in one of ``statuses``; ``TimeoutError`` after real seconds."""
        wanted = {statuses} if isinstance(statuses, str) else set(statuses)
        order = self.order(order_id)
        async with asyncio.timeout(timeout_s):
            while order.status not in wanted:
                moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                order.waiters.append(moved)
                await moved
        return order
