"""What the guides tell people to set is there, is enough, and is spelled as the settings are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.docs.documents import DOCUMENTS, ROOT, first_cells, name_of, section
from tests.unit.test_settings import GOOD
from tidegate.errors import ConfigurationError
from tidegate.settings import Settings, load
from tidegate.settings.counterparties import AggregatorGroup, LencoGroup
from tidegate.settings.group import Group
from tidegate.settings.payments import PaymentsGroup
from tidegate.settings.reading import fields
from tidegate.settings.reading import name_of as variable

HOW_TO = ROOT / "docs" / "how-to"
GUIDES: dict[str, type[Group]] = {
    "aggregator.md": AggregatorGroup,
    "lenco.md": LencoGroup,
    "stripe.md": PaymentsGroup,
}
SETTINGS = {variable(field) for _, _, field in fields()}
_WHOLE = re.MULTILINE | re.DOTALL
_WORD = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")
# Variables of OpenTelemetry's own, which no file of ours names.
_OF_OTHERS = re.compile(r"OTEL_")


def _told(guide: str) -> set[str]:
    return first_cells(section(HOW_TO / guide, "What to set"))


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_names_settings_and_all_that_are_needed(guide: str) -> None:
    """Its table has nothing that does not exist, and lacks nothing without which no node starts."""
    group = GUIDES[guide].model_fields.values()
    needed = {
        variable(field)
        for field in group
        if isinstance(field.json_schema_extra, dict) and field.json_schema_extra["needed"]
    }
    told = _told(guide)
    assert told <= SETTINGS
    assert needed <= told
    assert told & {variable(field) for field in group}


def test_a_key_of_stripe_needs_what_its_guide_tells() -> None:
    """With the key alone the node says what is missing, and the guide has it; then it starts."""
    assert _load(STRIPE_API_KEY="sk_test_0123456789").keys() <= _told("stripe.md")
    given = {"STRIPE_API_KEY": "sk_live_0123456789", "STRIPE_WEBHOOK_SECRET": "whsec_0123456789"}
    assert given.keys() <= _told("stripe.md")
    assert _load(**given) == {}


def _load(**more: str) -> dict[str, str]:
    """The faults by variable."""
    try:
        read: Settings = load(GOOD | more, env_file=None)
    except ConfigurationError as refusal:
        return {fault.split()[0]: fault for fault in refusal.faults}
    assert read.payments.stripe_api_key is not None
    return {}


def _source() -> str:
    files = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "compose.yaml"]
    # Not this folder: what a test of documents quotes would excuse itself.
    kept = [path for path in files if "docs" not in path.parts]
    return "\n".join(path.read_text() for path in kept)


def test_every_name_in_capitals_is_a_setting_or_a_word_of_the_source() -> None:
    """A misspelt or former setting in a sentence is found; so is a code that nothing says."""
    words = {word: name_of(page) for page in DOCUMENTS for word in _WORD.findall(page.read_text())}
    assert len(words.keys() & SETTINGS) > 60
    known = SETTINGS | set(_WORD.findall(_source()))
    lost = {
        word: page
        for word, page in words.items()
        if word not in known and not _OF_OTHERS.match(word) and not _typed(word)
    }
    assert lost == {}


def _typed(word: str) -> bool:
    """What the reader of a command fills in."""
    pages = (path.read_text() for path in DOCUMENTS)
    return any(re.search(rf"tidegate [^\n`]*\b{word}\b", page) for page in pages)


def test_a_misspelt_setting_would_be_found(tmp_path: Path) -> None:
    """`LENCO_API_KEYS` is no word of the source, and nobody types it."""
    misspelt = "LENCO_API_" + "KEYS"
    assert _WORD.findall(f"Set `{misspelt}` first.") == [misspelt]
    assert misspelt not in SETTINGS | set(_WORD.findall(_source()))
    assert not _typed(misspelt)


def test_the_reference_names_what_is_secret() -> None:
    """Each secret by its name, and no setting that is none."""
    page = (ROOT / "docs" / "configuration.md").read_text()
    (told,) = re.findall(r"^- Secret, and written to no (.*?), and the password", page, _WHOLE)
    named = set(re.findall(r"`(\w+)`", told))
    written = {variable(field) for _, _, field in fields() if "SecretStr" in str(field.annotation)}
    assert named == written
    assert {"SECRET_KEY", "LENCO_API_KEY_PREVIOUS", "METRICS_TOKEN"} <= named
    assert "STRIPE_PUBLISHABLE_KEY" not in named


def test_the_runbook_tells_how_each_secret_is_changed() -> None:
    """`..._PREVIOUS` where there is one; the others by their name."""
    page = (ROOT / "docs" / "runbooks" / "key-rotation.md").read_text()
    secret = {variable(field) for _, _, field in fields() if "SecretStr" in str(field.annotation)}
    assert [name for name in sorted(secret) if f"`{name}`" not in page] == []
    assert "`DATABASE_URL`" in page
