"""Runs in which the node keeps recipients' data encrypted."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from tidegate.db.cipher import Cipher
from tidegate.retention.rekeying import KeyUse, read_key_use
from tidegate.simulation import run as runs
from tidegate.simulation.drawing import draw
from tidegate.simulation.evidence import Evidence, read_evidence
from tidegate.simulation.run import Stage
from tidegate.simulation.world import DATA_KEY

# The node is killed in it.
_SEED = 2


def test_a_run_is_the_same_with_and_without_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kills between commits among the rest: every promise is kept, every value is under the key,
    and not one event differs from the run without it."""
    uses: list[KeyUse] = []

    def read(connection: Connection, now_ms: int) -> Evidence:
        uses.append(read_key_use(connection))
        return read_evidence(connection, now_ms)

    monkeypatch.setattr(runs, "read_evidence", read)
    key = Cipher(DATA_KEY).current_id
    stage = Stage()
    try:
        plain = stage.run(draw(_SEED), encrypted=False)
        assert set(uses[-1]) == {""}
        under_key = stage.run(draw(_SEED), encrypted=True)
        assert set(uses[-1]) == {key}
        assert under_key.figures["lives"] > 1
        assert under_key.broken == []
        assert under_key.digest == plain.digest
    finally:
        stage.close()
