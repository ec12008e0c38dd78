"""Audit: prove the books from what is written in them (C2, C3, C4). Read-only.

Every check is one question to the database, which answers with what is wrong; blocks are hashed
again from the entries, some thousands at a time. So memory stays bounded however long the book.
Run it in :meth:`Database.read`: all questions must see one snapshot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Row

from tidegate.errors import LedgerFault
from tidegate.ledger import audit_questions as questions
from tidegate.ledger.chart import account_kind, currency_of
from tidegate.ledger.seal import FIRST_PREVIOUS, Block, SealedEntry, block_hash, read_entries

__all__ = ["AuditReport", "Finding", "audit"]

_HASHED_TOGETHER = 2_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong. ``code`` names the check, ``subject`` the row."""

    code: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was read and what is wrong with it.

    ``drift`` is, per currency, the sum of what accounts differ from their legs, in minor units,
    without sign; ``unsealed`` counts entries in no block, which is ordinary while they are young.
    ``head`` is the hash to keep outside the database until the next audit.
    """

    accounts: int
    entries: int
    legs: int
    blocks: int
    unsealed: int
    head_block: int
    head: str | None
    drift: Mapping[str, int]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return not self.findings


def audit(
    connection: Connection, *, expect: str | None, now_ms: int, unsealed_after_ms: int
) -> AuditReport:
    """Check the whole book.

    ``expect`` is a head noted earlier, outside the database: it must be the hash of the newest
    block or of one before it, since blocks are only added. Entries older than
    ``unsealed_after_ms`` (milliseconds, at ``now_ms``) must be in a block.
    """
    findings: list[Finding] = []
    findings += _check_chart(connection)
    findings += _check_entries(connection)
    findings += _check_lines(connection)
    drift, drifted = _check_balances(connection)
    findings += drifted
    head, hashes_bad = _check_blocks(connection, expect)
    findings += hashes_bad
    findings += _check_membership(connection, now_ms - unsealed_after_ms)
    counts = connection.execute(questions.counts).one()
    return AuditReport(
        accounts=counts.accounts,
        entries=counts.entries,
        legs=counts.legs,
        blocks=counts.blocks,
        unsealed=connection.execute(questions.unsealed_count).scalar_one(),
        head_block=head.id if head else 0,
        head=head.hash if head else None,
        drift=drift,
        findings=tuple(findings),
    )


def _check_chart(connection: Connection) -> Iterator[Finding]:
    """Accounts are what the chart says: nobody turned a floor off or a side round."""

    def wrong() -> Iterator[Finding]:
        for row in _accounts(connection):
            try:
                kind = account_kind(row.path)
                wanted = (currency_of(row.path), kind.grows_by.value, kind.floor)
            except LedgerFault as fault:
                yield Finding("account.unknown", row.path, fault.detail)
                continue
            if (row.currency, row.grows_by, row.floor) != wanted:
                yield Finding(
                    "account.changed",
                    row.path,
                    f"is {row.currency}, {row.grows_by}, floor {row.floor}; the chart says "
                    f"{wanted[0]}, {wanted[1]}, floor {wanted[2]}",
                )

    return _some(wrong())


def _check_entries(connection: Connection) -> Iterator[Finding]:
    """Entries have two legs or more and balance per currency; legs have their entry."""

    def wrong() -> Iterator[Finding]:
        for row in connection.execute(questions.orphans):
            yield Finding("leg.orphan", str(row.entry_id), "its entry or account does not exist")
        for window in _windows(connection):
            for row in connection.execute(questions.few_legs, window):
                yield Finding("entry.legs", str(row.id), f"has {row.legs} legs")
            for row in connection.execute(questions.unbalanced, window):
                yield Finding(
                    "entry.unbalanced",
                    str(row.entry_id),
                    f"debits less credits are {int(row.sum)} {row.currency}",
                )

    return _some(wrong())


def _check_lines(connection: Connection) -> Iterator[Finding]:
    """Every leg goes on from the leg before it on its account, and no floor was ever broken."""

    def broken() -> Iterator[Finding]:
        for row in connection.execute(questions.broken_chain):
            yield Finding(
                "leg.balance_after",
                f"{row.path} {row.number}",
                f"entry {row.entry_id}: {row.balance_after} does not follow from the leg before",
            )

    def below() -> Iterator[Finding]:
        for row in connection.execute(questions.below_floor):
            yield Finding(
                "floor.broken",
                f"{row.path} {row.number}",
                f"entry {row.entry_id} left the account at {row.balance_after}",
            )

    return chain(_some(broken()), _some(below()))


def _check_balances(connection: Connection) -> tuple[dict[str, int], list[Finding]]:
    """Kept balances and numbers of legs are the fold of the legs (C2)."""
    drift = {currency: 0 for (currency,) in connection.execute(questions.currencies)}
    findings: list[Finding] = []
    for row in connection.execute(questions.folded):
        folded = int(row.folded or 0)
        drift[row.currency] += abs(row.balance - folded)
        if row.balance != folded:
            findings.append(
                Finding("account.balance", row.path, f"is {row.balance}, its legs say {folded}")
            )
        if row.legs != row.has or row.legs != (row.last or 0):
            findings.append(
                Finding(
                    "account.legs",
                    row.path,
                    f"counts {row.legs} legs, has {row.has}, the last is number {row.last or 0}",
                )
            )
    return drift, list(_some(findings))


def _check_blocks(
    connection: Connection, expect: str | None
) -> tuple[Block | None, Iterable[Finding]]:
    """Hash every block again and follow the chain; look for ``expect`` in it."""
    findings: list[Finding] = []
    before: Block | None = None
    expected_seen = expect is None
    for some in _blocks_by_weight(connection):
        members = _members_of(connection, some)
        for block in some:
            findings += _check_link(before, block)
            findings += _check_block(block, members.get(block.id, []))
            expected_seen = expected_seen or block.hash == expect
            before = block
        del findings[questions.NAMED_MAX + 1 :]  # enough to see that the chain is broken
    findings = list(_some(findings))
    if not expected_seen:
        findings.append(
            Finding("head.missing", str(expect), "no block has the hash that was noted before")
        )
    return before, findings


def _check_link(before: Block | None, block: Block) -> Iterator[Finding]:
    number, previous = (before.id + 1, before.hash) if before else (1, FIRST_PREVIOUS)
    if block.id != number:
        yield Finding("block.missing", str(number), f"the next block is {block.id}")
    if block.previous != previous:
        yield Finding("block.previous", str(block.id), "does not name the hash before it")


def _check_block(block: Block, members: Sequence[SealedEntry]) -> Iterator[Finding]:
    if len(members) != block.count:
        what = "missing" if len(members) < block.count else "foreign"
        yield Finding(
            f"member.{what}",
            str(block.id),
            f"the block counts {block.count} entries and has {len(members)}",
        )
    if block.hash != block_hash(block.id, block.previous, block.sealed_at, block.count, members):
        span = f"entries {members[0].id} to {members[-1].id}" if members else "no entries"
        yield Finding("block.hash", str(block.id), f"{span} are not what was sealed")


def _check_membership(connection: Connection, sealed_before_ms: int) -> Iterator[Finding]:
    """Members have their entry and their block; entries are sealed in time."""

    def wrong() -> Iterator[Finding]:
        for row in connection.execute(questions.strangers):
            yield Finding(
                "member.stranger",
                str(row.entry_id),
                f"is a member of block {row.block_id}; entry or block does not exist",
            )

    def late() -> Iterator[Finding]:
        for row in connection.execute(questions.late, {"before": sealed_before_ms}):
            yield Finding("entry.unsealed", str(row.id), "has been in no block for too long")

    return chain(_some(wrong()), _some(late()))


def _some(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Name the first ones; the rest of a thousand adds nothing."""
    for number, finding in enumerate(findings):
        if number == questions.NAMED_MAX:
            yield Finding(finding.code, "...", "there are more")
            return
        yield finding


def _accounts(connection: Connection) -> Iterator[Row[Any]]:
    after = 0
    while rows := connection.execute(questions.account_page, {"after": after}).all():
        yield from rows
        after = rows[-1].id


def _windows(connection: Connection) -> Iterator[dict[str, int]]:
    """Ranges of ids, each of so many entries that exist: a forged id far away costs nothing."""
    low = connection.execute(questions.first_id).scalar_one()
    while low is not None:
        high = connection.execute(questions.window_end, {"low": low}).scalar_one()
        if high is None:
            return
        yield {"low": low, "high": high}
        low = high + 1


def _blocks_by_weight(connection: Connection) -> Iterator[list[Block]]:
    """Blocks in their order, in bundles of some thousand entries."""
    after = bundled = 0
    bundle: list[Block] = []
    while rows := connection.execute(questions.block_page, {"after": after}).all():
        for row in rows:
            bundle.append(block := Block(*row))
            bundled += block.count
            if bundled >= _HASHED_TOGETHER:
                yield bundle
                bundle, bundled = [], 0
        after = rows[-1].id
    if bundle:
        yield bundle


def _members_of(connection: Connection, some: Sequence[Block]) -> dict[int, list[SealedEntry]]:
    """The entries of some consecutive blocks, by block and id."""
    block_of = {
        row.entry_id: row.block_id
        for row in connection.execute(questions.members, {"low": some[0].id, "high": some[-1].id})
    }
    members: dict[int, list[SealedEntry]] = {}
    for entry in read_entries(connection, connection.dialect.name, list(block_of)):
        members.setdefault(block_of[entry.id], []).append(entry)
    return members
