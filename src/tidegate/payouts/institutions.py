"""Which institutions this node reaches, through which PSP (A12).

The shipped mapping says how each PSP calls an institution; a PSP's own bank list, read daily,
says whether it still does. The last verified list is kept in the database; what was never
verified is unsupported. A list that fails, or shrinks by more than a tenth, is a case and changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection, select

from tidegate.cases.store import OpenCase
from tidegate.clock import Clock, Randomness
from tidegate.db.committer import Committer, Unit
from tidegate.db.engine import Database
from tidegate.db.exchanges import exchange_row
from tidegate.db.rows import Change
from tidegate.payouts.tables import bank_lists
from tidegate.ports.bank import Bank, ListedBank, Unavailable

__all__ = ["Directory", "RefreshBanks", "Verify", "bank_list_id"]

# PSP name, currency and its list -> the bank codes of the institutions that it confirms.
Verify = Callable[[str, str, Sequence[ListedBank]], Mapping[str, str]]

_lists = select(bank_lists.c.psp, bank_lists.c.currency, bank_lists.c.banks)


def bank_list_id(psp: str, currency: str) -> str:
    """The id of the row that keeps a PSP's list."""
    return f"{psp}:{currency}"


class Directory:
    """The verified routes this process knows: (PSP, institution) -> the PSP's bank code."""

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self.routes: Mapping[tuple[str, str], str] = {}

    async def load(self, database: Database) -> None:
        """Take the verified lists from the database."""
        listed = await database.read(_read_lists)
        routes: dict[tuple[str, str], str] = {}
        for (psp, currency), banks in listed.items():
            for institution, code in self._verify(psp, currency, banks).items():
                routes[psp, institution] = code
        self.routes = routes


def _read_lists(connection: Connection) -> dict[tuple[str, str], tuple[ListedBank, ...]]:
    return {
        (row.psp, row.currency): tuple(ListedBank(code, name) for code, name in row.banks)
        for row in connection.execute(_lists)
    }


class RefreshBanks:
    """Read one PSP's list and keep it if it can be believed."""

    def __init__(
        self,
        database: Database,
        committer: Committer,
        clock: Clock,
        randomness: Randomness,
        directory: Directory,
        verify: Verify,
    ) -> None:
        self._database = database
        self._committer = committer
        self._clock = clock
        self._randomness = randomness
        self._directory = directory
        self._verify = verify

    async def __call__(self, bank: Bank, currency: str) -> bool:
        """``True`` if the list was verified now."""
        row_id = bank_list_id(bank.name, currency)
        listed = await bank.banks(currency)
        if isinstance(listed, Unavailable):
            await self._committer.commit(
                Unit(
                    [
                        exchange_row(row_id, listed.exchange, self._randomness),
                        OpenCase(
                            "bank_list_failed",
                            row_id,
                            "The PSP's bank list could not be read; the last one stays in force.",
                            "low",
                            {},
                        ),
                    ]
                )
            )
            return False
        before = (await self._database.read(_read_lists)).get((bank.name, currency), ())
        reached = self._verify(bank.name, currency, listed)
        reached_before = self._verify(bank.name, currency, before)
        if len(reached) * 10 < len(reached_before) * 9:
            gone = sorted(set(reached_before) - set(reached))
            await self._committer.commit(
                Unit(
                    [
                        OpenCase(
                            "bank_list_shrunk",
                            row_id,
                            "The PSP's bank list lost more than a tenth of our institutions; the "
                            "last one stays in force. Ask the PSP.",
                            "medium",
                            {"gone": gone},
                        )
                    ]
                )
            )
            return False
        await self._committer.commit(
            Unit(
                [
                    Change(
                        bank_lists,
                        row_id,
                        values={
                            "banks": [[bank.code, bank.name] for bank in listed],
                            "verified_at": self._clock.now_ms(),
                        },
                    )
                ]
            )
        )
        await self._directory.load(self._database)
        return True
