"""Lenco passes the suite that every PSP passes."""

from __future__ import annotations

from tests.integration.adapters.bank_conformance import BankConformance
from tests.integration.adapters.lenco_play import LencoPlay


class TestLenco(BankConformance):
    """Lenco v1."""

    play = LencoPlay()
