"""The only place that knows concrete classes: settings in, one application object out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import aiohttp
from sqlalchemy import Connection, select, update

from tidegate import __version__
from tidegate.adapters.aggregator import HttpAggregator
from tidegate.adapters.http import HttpClient
from tidegate.adapters.institutions import load_institutions, psp_codes, verify
from tidegate.adapters.lenco.adapter import LencoBank
from tidegate.adapters.notifier import HttpNotifier
from tidegate.adapters.stripe.adapter import StripeCards
from tidegate.clock import Clock, Randomness, SystemClock
from tidegate.db.committer import Committer, Unit
from tidegate.db.data_keys import check_keys
from tidegate.db.engine import Database, Executor, ThreadExecutor, open_database
from tidegate.db.identity import read_node_id
from tidegate.db.inbox import inbox
from tidegate.db.rows import Insert
from tidegate.db.vault import Vault
from tidegate.errors import AlreadyExists, ConfigurationError
from tidegate.observability.metrics import Metrics
from tidegate.payments.make import MoneyIn, Telling, make_money_in, make_telling
from tidegate.payments.tables import disputes, payments, refunds, webhook_endpoints
from tidegate.payments.witness import PaymentWitness
from tidegate.payouts.balances import Float, psp_balance_id
from tidegate.payouts.circuit import Circuits
from tidegate.payouts.facts import FactsReader
from tidegate.payouts.institutions import Directory, Verify, bank_list_id
from tidegate.payouts.resolve import Resolve
from tidegate.payouts.rules import Rules
from tidegate.payouts.states import AttemptState
from tidegate.payouts.tables import attempts, bank_lists, payouts, psp_balances
from tidegate.payouts.witness import Witness
from tidegate.ports.aggregator import Aggregator
from tidegate.ports.bank import Bank, ListedBank
from tidegate.settings import Settings
from tidegate.settings.rules import cipher_of, payment_rules_of, rules_of, user_rules_of
from tidegate.users.make import Users, make_users
from tidegate.wire.dialect import Dialect
from tidegate.work.claim import end_leases
from tidegate.work.tables import periodic

__all__ = ["Application", "ConnectorFactory", "build"]

# Every table with work in it.
_LEASED = (payouts, attempts, payments, refunds, disputes, webhook_endpoints, inbox, periodic)

ConnectorFactory = Callable[[], aiohttp.BaseConnector]

# Calls in flight to one company, and how long an idle connection is kept: shorter than what
# servers commonly keep, because a connection closed under a POST leaves its outcome unknown.
_CONNECTIONS = 256
_IDLE_S = 15.0
# What requests that were torn off may take to cut their leases short.
_LET_GO_S = 2.0


def _connector() -> aiohttp.BaseConnector:
    return aiohttp.TCPConnector(limit=_CONNECTIONS, keepalive_timeout=_IDLE_S)


@dataclass(slots=True)
class Application:
    """Everything one process needs; nothing runs before it is started."""

    settings: Settings
    clock: Clock
    randomness: Randomness
    metrics: Metrics
    witness: Witness
    database: Database
    committer: Committer
    rules: Rules
    directory: Directory
    verify_banks: Verify
    circuits: Circuits
    facts: FactsReader
    float_: Float
    aggregator: Aggregator
    banks: Mapping[str, Bank]
    resolve: Resolve
    vault: Vault
    users: Users
    telling: Telling
    # None: no processor is configured, so no payments are taken.
    money_in: MoneyIn | None
    # Every kind of work there is, whether this process does it or not; the worker tells.
    kinds: tuple[str, ...] = ()

    async def open(self, periodic_ids: Sequence[str] = ()) -> None:
        """Start the committer and make the rows exist that everything else changes.

        Raises ``ConfigurationError`` when the settings lack a key of the data.
        """
        try:
            await self.database.read(lambda c: check_keys(c, self.database.cipher))
        except ConfigurationError:
            await self.database.close()
            raise
        if self.database.dialect == "sqlite":
            await self.database.write(self._take_over)
        self.committer.start()
        await self._ensure(periodic_ids)
        await self.directory.load(self.database)

    async def close(self) -> None:
        """Write what is waiting, then let go of everything."""
        if self.money_in is not None:
            await self.money_in.leases.let_go(_LET_GO_S)
        await self.committer.stop()
        await self.telling.notifier.close()
        if self.money_in is not None:
            await self.money_in.cards.close()
        await self.aggregator.close()
        for bank in self.banks.values():
            await bank.close()
        await self.database.close()

    def _take_over(self, connection: Connection) -> None:
        """Go on at once where a killed predecessor stopped (one process serves SQLite)."""
        now_ms = self.clock.now_ms()
        end_leases(connection, _LEASED, now_ms)
        connection.execute(
            update(attempts)
            .where(attempts.c.state == AttemptState.SENDING.value)
            .values(due_at=now_ms)
        )

    async def _ensure(self, periodic_ids: Sequence[str]) -> None:
        pairs = [
            (name, currency)
            for name, bank in self.banks.items()
            for currency in sorted(self.rules.currencies & bank.capabilities().currencies)
        ]
        there = await self.database.read(_ids_there)
        wanted = [
            *(Insert(periodic, {"id": row_id}) for row_id in periodic_ids),
            *(
                Insert(
                    psp_balances,
                    {
                        "id": psp_balance_id(psp, currency),
                        "psp": psp,
                        "currency": currency,
                        "version": 0,
                    },
                )
                for psp, currency in pairs
            ),
            *(
                Insert(
                    bank_lists,
                    {
                        "id": bank_list_id(psp, currency),
                        "psp": psp,
                        "currency": currency,
                        "banks": [],
                        "verified_at": 0,
                    },
                )
                for psp, currency in pairs
            ),
        ]
        for insert in wanted:
            if (insert.table.name, insert.values["id"]) in there:
                continue
            try:
                await self.committer.commit(Unit([insert]))
            except AlreadyExists:
                continue  # another process was quicker


def _ids_there(connection: Connection) -> set[tuple[str, str]]:
    return {
        (table.name, row.id)
        for table in (periodic, psp_balances, bank_lists)
        for row in connection.execute(select(table.c.id))
    }


async def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    randomness: Randomness | None = None,
    executor: Callable[[str], Executor] = ThreadExecutor,
    connector: ConnectorFactory = _connector,
    metrics: Metrics | None = None,
    mark: str = "",
) -> Application:
    """Build the application over a migrated database. ``mark`` is for its connections' name.

    ``clock``, ``randomness``, ``executor`` and ``connector`` are the seams of a simulation, which
    also shares the ``metrics`` of many lives.
    """
    clock = clock or SystemClock()
    randomness = randomness or Randomness(clock)
    metrics = metrics or Metrics(__version__)
    database = open_database(
        settings.database.url.marked(mark),
        clock,
        executor=executor,
        pool_size=settings.database.pool_size,
        cipher=cipher_of(settings),
    )
    node_id = await database.read(read_node_id)
    if settings.node.node_id not in {None, node_id}:
        await database.close()
        raise ConfigurationError(
            [f"NODE_ID is not this database's identity ({node_id}): run `tidegate migrate`."]
        )
    rules = rules_of(settings, node_id)

    def committed(units: int, seconds: float) -> None:
        metrics.commits.labels("committed").inc()
        metrics.commit_duration.observe(seconds)
        metrics.commit_group_size.observe(units)

    failed = metrics.commits.labels("failed").inc
    committer = Committer(database, on_commit=committed, on_failure=failed)
    one = (database, committer, clock, randomness)
    witness = Witness(metrics, rules.psps)
    vault = Vault(settings.node.secrets[0], settings.node.secrets[1:])
    telling = make_telling(
        *one,
        vault,
        HttpNotifier(clock, debug=settings.node.debug),
        streams_per_user=settings.payments.streams_per_user,
    )

    watch_payments = PaymentWitness(metrics, telling.hub)

    def written(unit: Unit) -> None:
        witness(unit)
        watch_payments(unit)

    committer.on_written = written

    def http(name: str) -> HttpClient:
        return HttpClient(clock, randomness, connector, name)

    keys = settings.lenco.api_keys
    lenco = LencoBank(
        base_url=settings.lenco.base_url,
        api_key=keys[0],
        previous_api_keys=keys[1:],
        account_id=settings.lenco.account_id,
        http=http("lenco"),
        clock=clock,
    )
    every_bank: dict[str, Bank] = {lenco.name: lenco}
    banks = {name: every_bank[name] for name in rules.psps}
    aggregator = HttpAggregator(
        settings.aggregator.provider_url,
        settings.aggregator.client_id,
        settings.aggregator.secrets[0],
        http("aggregator"),
        clock,
        randomness,
        Dialect(settings.aggregator.dialect),
    )
    stripe_key = settings.payments.stripe_api_key
    money_in = None
    if stripe_key is not None:
        cards = StripeCards(
            api_key=stripe_key.get_secret_value(),
            api_base=settings.payments.stripe_api_base,
            webhook_secrets=settings.payments.webhook_secrets,
            publishable_key=settings.payments.stripe_publishable_key,
            node_id=node_id,
            live=settings.payments.is_live,
            clock=clock,
            randomness=randomness,
            connector=connector,
            timeout_s=settings.payments.stripe_timeout,
        )
        money_in = make_money_in(*one, payment_rules_of(settings), cards)
    directory = Directory(verify_banks)
    float_ = Float(*one)
    circuits = Circuits(clock, settings.payouts.psp_rest)
    return Application(
        settings=settings,
        clock=clock,
        randomness=randomness,
        metrics=metrics,
        witness=witness,
        database=database,
        committer=committer,
        rules=rules,
        directory=directory,
        verify_banks=verify_banks,
        circuits=circuits,
        facts=FactsReader(database, clock, directory, circuits),
        float_=float_,
        aggregator=aggregator,
        banks=banks,
        resolve=Resolve(*one, rules, float_, aggregator, banks),
        vault=vault,
        users=make_users(*one, user_rules_of(settings)),
        telling=telling,
        money_in=money_in,
    )


def verify_banks(psp: str, currency: str, listed: Sequence[ListedBank]) -> Mapping[str, str]:
    """Institution code -> the PSP's bank code, for those that its list confirms."""
    return verify(psp_codes(load_institutions(), psp, currency), listed).supported
