"""The shipped bank codes, and what a PSP's own list makes of them."""

from __future__ import annotations

import pytest

from tidegate.adapters.institutions import (
    load_institutions,
    psp_codes,
    shrunk,
    verify,
)
from tidegate.ports.bank import ListedBank

OURS = psp_codes(load_institutions(), "lenco", "NGN")


def listed(**changes: str | None) -> list[ListedBank]:
    """A list that agrees with us, but for ``changes`` (institution code -> listed name)."""
    names = {code: changes.get(code, name) for code, (_, name) in OURS.items()}
    return [ListedBank(OURS[code][0], name) for code, name in names.items() if name is not None]


def test_the_shipped_tables_are_read() -> None:
    """Every row arrives, with its currency, kind and the code of each PSP."""
    known = load_institutions()
    assert len(known) == 33 + 195
    assert known["ABNGNGLA"].psp_codes == {
        "lenco": "000014",
        "paystack": "044",
        "flutterwave": "044",
    }
    assert known["OPAYNGPC"].psp_codes["lenco"] == "100004"
    assert known["OPAYNGPC"].psp_codes["paystack"] == "999992"
    assert (known["SAFAKEPC"].kind, known["SAFAKEPC"].currency) == ("mobile_money", "KES")
    assert known["SAFAKEPC"].psp_codes == {}
    assert known["MOMONGPC"].kind == "mobile_money"
    assert all(each.kind in {"bank", "mobile_money"} for each in known.values())


def test_lenco_codes_are_nip_codes() -> None:
    """Lenco v1 wants six digits, a different one for each institution."""
    codes = [code for code, _ in OURS.values()]
    assert all(len(code) == 6 and code.isdigit() for code in codes)
    assert len(set(codes)) == len(codes) == 32


def test_heritage_is_refused() -> None:
    """The bank whose licence was revoked is known, and never offered for payment."""
    assert load_institutions()["HBCLNGLA"].refused is not None
    assert "HBCLNGLA" not in OURS
    assert "HBCLNGLA" not in psp_codes(load_institutions(), "paystack", "NGN")


def test_an_agreeing_list_supports_everything() -> None:
    """Our own names fit themselves, and none is mistaken for another."""
    verified = verify(OURS, listed())
    assert set(verified.supported) == set(OURS)
    assert (verified.missing, verified.names_that_differ) == ({}, {})
    assert verified.supported["GTBINGLA"] == "000013"


def test_a_vanished_code_is_not_supported() -> None:
    """What the PSP no longer lists is missing; an empty list leaves nothing."""
    verified = verify(OURS, listed(ABNGNGLA=None))
    assert verified.missing == {"ABNGNGLA": "000014"}
    assert "ABNGNGLA" not in verified.supported
    assert verify(OURS, []).supported == {}


def test_diamond_only_if_listed() -> None:
    """The merged bank counts as long as the PSP lists its code, under either name."""
    assert "DBLNNGLA" in verify(OURS, listed(DBLNNGLA="ACCESS(DIAMOND)")).supported
    assert "DBLNNGLA" in verify(OURS, listed(DBLNNGLA=None)).missing


@pytest.mark.parametrize(
    ("institution", "name"),
    [
        ("UNAFNGLA", "UBA"),
        ("UNAFNGLA", "UNITED BANK FOR AFRICA PLC"),
        ("GTBINGLA", "GTBANK PLC"),
        ("GTBINGLA", "GTB"),
        ("FBNINGLA", "FBN"),
        ("FBNINGLA", "First Bank Plc"),
        ("FCMBNGLA", "First City Monument Bank"),
        ("SCBLNGLA", "STANDARDCHARTERED"),
        ("CITINGLA", "CITI BANK"),
        ("ECOCNGLA", "ECOBANK NIGERIA"),
        ("OPAYNGPC", "PAYCOM (OPAY)"),
        ("OPAYNGPC", "OPay Digital Services Limited"),
        ("SAHVNGPC", "SAFE HAVEN MFB"),
        ("PAYTNGPC", "TITAN-PAYSTACK MICROFINANCE BANK"),
        ("MOMONGPC", "MOMO PSB"),
        ("KUDANGPC", "Kuda."),
        ("ABNGNGLA", "Àccess Bank"),
        ("DBLNNGLA", "ACCESS(DIAMOND)"),
    ],
)
def test_other_spellings_of_the_same_bank(institution: str, name: str) -> None:
    """Initials, joined words, suffixes and additions do not make another bank."""
    assert institution in verify(OURS, listed(**{institution: name})).supported


@pytest.mark.parametrize(
    ("institution", "name"),
    [
        ("ABNGNGLA", "ZENITH BANK"),
        ("FBNINGLA", "FIRST CITY MONUMENT BANK"),
        ("UBNINGLA", "UNITED BANK FOR AFRICA"),
        ("PAYTNGPC", "TITAN TRUST BANK"),
        ("WEMANGLA", "Bank Plc"),
        ("WEMANGLA", ""),
        ("KUDANGPC", "KOLOMONI MFB"),
        ("ABNGNGLA", "ALPHA BANK"),
    ],
)
def test_a_code_that_names_another_bank(institution: str, name: str) -> None:
    """A code that now means another bank is reported with both names and not supported."""
    verified = verify(OURS, listed(**{institution: name}))
    assert verified.names_that_differ == {institution: (OURS[institution][1], name)}
    assert institution not in verified.supported


def test_a_code_listed_twice_needs_one_fitting_name() -> None:
    """An alias row beside the right one does no harm."""
    twice = [ListedBank("000014", "SOMETHING ELSE"), *listed()]
    assert "ABNGNGLA" in verify(OURS, twice).supported


@pytest.mark.parametrize(
    ("previous", "now", "gone"),
    [
        (range(10), range(9), False),
        (range(10), range(8), True),
        (range(20), range(18), False),
        (range(20), range(17), True),
        (range(10), range(5, 30), True),
        (range(0), range(5), False),
        (range(1), range(0), True),
    ],
)
def test_more_than_a_tenth_gone(previous: range, now: range, gone: bool) -> None:
    """Exactly 10 % is still believed; additions do not hide losses."""
    assert shrunk(set(map(str, previous)), set(map(str, now))) is gone
