"""Settings: what is read, what is refused, and that the documents tell the truth."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from tidegate.adapters.stripe.amounts import PLACES
from tidegate.errors import ConfigurationError
from tidegate.settings import Per, Settings, load
from tidegate.settings.reading import fields, name_of
from tidegate.settings.reference import env_example, markdown, spelled

ROOT = Path(__file__).parents[2]

GOOD = {
    "SECRET_KEY": "k" * 40,
    "AGGREGATOR_BASE_URL": "https://aggregator.example",
    "AGGREGATOR_CLIENT_ID": "7b0c9f6e-58c4-4b2e-9d3f-1f6f0b7f6c11",
    "AGGREGATOR_SECRET_KEY": "bm90LWEtcmVhbC1zZWNyZXQtMzItYnl0ZXMtbG9uZyE=",
    "LENCO_BASE_URL": "https://api.lenco.co/access/v1",
    "LENCO_API_KEY": "lenco-token-for-tests",
    "LENCO_ACCOUNT_ID": "0a1b2c3d-0000-4000-8000-000000000001",
}

# The names that REQUIREMENTS D4 fixes, without prefix.
D4 = """
SERVER_HOST SERVER_PORT DEBUG LOG_LEVEL SECRET_KEY JWT_SECRET CORS_ORIGINS TRUSTED_PROXIES
DATABASE_URL AGGREGATOR_BASE_URL AGGREGATOR_CLIENT_ID AGGREGATOR_SECRET_KEY CURRENCIES
PROVISION_MODE LENCO_BASE_URL LENCO_API_KEY LENCO_ACCOUNT_ID STRIPE_API_KEY STRIPE_API_BASE
STRIPE_WEBHOOK_SECRET ORDER_POLL_INTERVAL PSP_STATUS_CHECK_INTERVAL BALANCE_SYNC_INTERVAL
MAX_ORDER_AMOUNT MIN_ORDER_AMOUNT CRITICAL_BALANCE_THRESHOLD NODE_ID AGGREGATOR_DIALECT
"""


def read(**changes: str) -> Settings:
    return load(GOOD | changes, env_file=None)


def faults(**changes: str) -> list[str]:
    with pytest.raises(ConfigurationError) as refusal:
        read(**changes)
    return refusal.value.faults


def test_the_needed_variables_alone_are_enough() -> None:
    """A production node starts with the needed variables; the rest has sane defaults."""
    settings = read()
    assert settings.node.environment == "production"
    assert settings.server.host == "127.0.0.1"
    assert settings.database.url.path == "tidegate.db"
    assert settings.aggregator.dialect == "spec"
    assert settings.aggregator.provider_url == "https://aggregator.example/v1/provider"
    assert settings.payouts.currencies == ("NGN",)
    assert settings.payouts.psps == ("lenco",)
    assert settings.payouts.lookup_schedule == (5, 15, 30, 60, 120, 300, 600, 900)
    assert settings.payouts.max_order_amount.get("NGN") is None
    assert settings.lenco.max_fee.get("NGN") == Decimal("100.00")
    assert settings.lenco.max_fee.get("KES") is None


def test_the_names_are_those_of_the_requirements() -> None:
    """Every name that D4 lists is a setting, and no name is used twice."""
    names = [name_of(field) for _, _, field in fields()]
    assert set(D4.split()) <= set(names)
    assert len(names) == len(set(names))


def test_all_faults_are_listed_at_once() -> None:
    """Nothing set and three values wrong: every missing and every wrong variable is named."""
    with pytest.raises(ConfigurationError) as refusal:
        load(
            {"SERVER_PORT": "http", "OFFER_TTL": "-1", "MAX_ORDER_AMOUNT": "5,000,000"},
            env_file=None,
        )
    named = {fault.split()[0] for fault in refusal.value.faults}
    assert named == {"SERVER_PORT", "OFFER_TTL", "MAX_ORDER_AMOUNT", *GOOD}
    assert all(fault.endswith(".") and ": " in fault for fault in refusal.value.faults)


def test_a_wrong_value_is_named_once_and_says_what_to_write() -> None:
    """A fault names the variable, what it is, and what to write."""
    assert faults(SERVER_PORT="70000") == [
        "SERVER_PORT is '70000': write a whole number from 1 to 65535."
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TIDEGATE_ENV", "live"),
        ("DEBUG", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("SERVER_HOST", "http://0.0.0.0"),
        ("SERVER_PORT", "0"),
        ("PUBLIC_URL", "node.example"),
        ("CORS_ORIGINS", "*"),
        ("CORS_ORIGINS", "https://shop.example/path"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("METRICS_PORTS", "http"),
        ("METRICS_PORTS", "9471-9464"),
        ("METRICS_PORTS", "9464-9999"),
        ("METRICS_PORTS", "0"),
        ("METRICS_PORTS", "8000"),
        ("METRICS_PORTS", "7999-8001"),
        ("METRICS_HOST", "http://127.0.0.1"),
        ("TRACES", "on"),
        ("DATABASE_URL", "mysql://localhost/x"),
        ("DATABASE_POOL_SIZE", "0"),
        ("AGGREGATOR_BASE_URL", "ftp://aggregator.example"),
        ("AGGREGATOR_BASE_URL", "https://aggregator.example/v1"),
        ("AGGREGATOR_BASE_URL", "https://aggregator.example/v1/provider?x=1"),
        ("AGGREGATOR_BASE_URL", "https://user:pw@aggregator.example"),
        ("AGGREGATOR_CLIENT_ID", "has:colon"),
        ("AGGREGATOR_DIALECT", "both"),
        ("CURRENCIES", "ngn"),
        ("CURRENCIES", "NGN,NGN"),
        ("CURRENCIES", ","),
        ("MAX_ORDER_AMOUNT", "1e6"),
        ("MAX_ORDER_AMOUNT", "NGN:1,NGN:2"),
        ("MAX_ORDER_AMOUNT", "NGN:-1"),
        ("MAX_ORDER_AMOUNT", "NaN"),
        ("MAX_ORDER_AMOUNT", "naira:5"),
        ("MAX_ORDER_AMOUNT", "5,000"),
        ("MAX_ORDER_AMOUNT", "0"),
        ("OFFER_TTL", "nan"),
        ("OFFER_TTL", "20000000000"),
        ("ACCEPT_MARGIN", "20"),
        ("LOOKUP_SCHEDULE", "5,3"),
        ("LOOKUP_SCHEDULE", "0,5"),
        ("LOOKUP_RATE", "0"),
        ("NAME_CHECK", "lax"),
        ("INFO_BALANCES", "maybe"),
        ("PROVISION_MODE", "manual"),
        ("PAYOUTS_PSPS", "paystack"),
        ("LENCO_BASE_URL", "https://api.lenco.co/access/v2"),
        ("METRICS_ALLOW", "0.0.0.0/0"),
        ("METRICS_TOKEN", "short"),
        ("SECRET_KEY", "short"),
        ("JWT_SECRET", "short"),
        ("LENCO_API_KEY", '"quoted"'),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    """Each wrong value gives exactly one fault, which begins with its variable."""
    found = faults(**{name: value})
    assert [fault.split()[0] for fault in found] == [name]


@pytest.mark.parametrize("value", ["changeme", "Secret", "your-secret-key", "<insert>"])
def test_a_secret_from_an_example_is_refused_unless_debug(value: str) -> None:
    """A copied placeholder is no secret; in development it may stand."""
    assert faults(LENCO_API_KEY=value) == [
        "LENCO_API_KEY still holds an example: write the real one."
    ]
    assert read(LENCO_API_KEY=value, DEBUG="1", LENCO_BASE_URL="http://127.0.0.1:9")


def test_our_own_development_secret_is_refused_unless_debug() -> None:
    """The well-known value that DEBUG fills in cannot be carried into production."""
    secret = load({"DEBUG": "true"}, env_file=None).aggregator.secrets[0]
    assert faults(AGGREGATOR_SECRET_KEY=secret) == [
        "AGGREGATOR_SECRET_KEY still holds an example: write the real one."
    ]


def test_debug_needs_nothing() -> None:
    """With DEBUG alone the node starts, and everything outside is on loopback."""
    settings = load({"DEBUG": "true"}, env_file=None)
    assert settings.aggregator.base_url.startswith("http://127.0.0.1:")
    assert settings.lenco.base_url.startswith("http://127.0.0.1:")


def test_debug_excuses_nothing_towards_a_live_psp() -> None:
    """Well-known secrets and real money never meet: whoever knows them could order payouts."""
    with pytest.raises(ConfigurationError) as refusal:
        load({"DEBUG": "1", "LENCO_BASE_URL": GOOD["LENCO_BASE_URL"]}, env_file=None)
    assert {fault.split()[0] for fault in refusal.value.faults} == GOOD.keys() - {"LENCO_BASE_URL"}


@pytest.mark.parametrize("name", ["AGGREGATOR_BASE_URL", "LENCO_BASE_URL"])
def test_plain_http_is_refused_except_to_loopback(name: str) -> None:
    """Plain http leaves the machine only in development."""
    assert faults(**{name: "http://other.example"})[0].startswith(f"{name} is plain http")
    for host in ("127.0.0.1:9", "localhost:9", "[::1]:9", "127.9.9.9"):
        assert read(**{name: f"http://{host}"})
    assert read(**{name: "http://other.example", "DEBUG": "1"} | _away_from_live(name))


def _away_from_live(name: str) -> dict[str, str]:
    return {} if name == "LENCO_BASE_URL" else {"LENCO_BASE_URL": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    "url", ["https://node400.example", "https://node.example:14000", "https://n.example/x400"]
)
def test_a_public_address_with_400_is_refused(url: str) -> None:
    """The aggregator reads "400" in any error text as an answer 400, also in development."""
    assert faults(PUBLIC_URL=url)[0].startswith("PUBLIC_URL contains 400")
    assert faults(PUBLIC_URL=url, DEBUG="1")[0].startswith("PUBLIC_URL contains 400")


def test_a_reachable_port_with_400_is_refused() -> None:
    """A port that holds "400" is refused where others can reach it, and only there."""
    assert faults(SERVER_HOST="10.0.4.1", SERVER_PORT="4000")[0].startswith("SERVER_PORT contains")
    assert read(SERVER_PORT="4000").server.port == 4000
    assert read(SERVER_HOST="::", SERVER_PORT="8000").server.host == "::"


def test_live_and_sandbox_do_not_mix() -> None:
    """Real keys stay away from play addresses, and the environment's name tells the truth."""
    sandbox = "https://sandbox.lenco.co/access/v1"
    assert faults(TIDEGATE_ENV="sandbox")[0].startswith("TIDEGATE_ENV is sandbox")
    assert faults(TIDEGATE_ENV="production", LENCO_BASE_URL=sandbox)[0].startswith(
        "TIDEGATE_ENV is production"
    )
    assert read(LENCO_BASE_URL=sandbox).node.environment == "sandbox"
    key = "sk_live_0123456789abcdef"
    assert faults(STRIPE_API_KEY=key, STRIPE_API_BASE="http://localhost:9")[0].startswith(
        "STRIPE_API_KEY is a live key"
    )
    taken = read(STRIPE_API_KEY=key, STRIPE_WEBHOOK_SECRET="whsec_0123456789abcdef")
    assert taken.payments.is_live


def test_payments_need_the_secret_that_events_are_believed_by() -> None:
    """A key without the webhook's secret would take money and believe nothing."""
    assert faults(STRIPE_API_KEY="sk_test_0123456789abcdef")[0].startswith("STRIPE_WEBHOOK_SECRET")
    assert faults(ACCESS_TOKEN_TTL="100000")[0].startswith("ACCESS_TOKEN_TTL is out of bounds")
    assert faults(PAYMENT_SEND_AGAIN_AFTER="5")[0].startswith("PAYMENT_SEND_AGAIN_AFTER is less")


def test_payments_are_not_offered_in_a_currency_that_the_processor_does_not_take() -> None:
    """Said at the start, by name, instead of to every payer; what nobody set is taken."""
    assert faults(PAYMENT_CURRENCIES="EUR,GHS,VES")[0].startswith(
        "PAYMENT_CURRENCIES names GHS, VES, in which Stripe takes no payments"
    )
    assert set(read().payments.currencies) <= set(PLACES)


def test_limits_are_exact_and_per_currency() -> None:
    """A bare number applies to all, a named one rules over it, and no float is involved."""
    payouts = read(CURRENCIES="NGN,KES", MAX_ORDER_AMOUNT="10.10, NGN:5000000").payouts
    assert payouts.max_order_amount.get("NGN") == Decimal(5_000_000)
    assert payouts.max_order_amount.get("KES") == Decimal("10.10")
    assert (
        read(MAX_ORDER_AMOUNT="NGN:5000000,KES:100000").payouts.max_order_amount.get("TZS") is None
    )


def test_a_limit_for_a_misspelt_currency_is_refused() -> None:
    """NGM:5 would leave NGN without any limit."""
    assert faults(MAX_ORDER_AMOUNT="NGM:5")[0].startswith("MAX_ORDER_AMOUNT names NGM")


def test_a_minimum_above_the_maximum_is_refused() -> None:
    """No order could pass; the currency is named."""
    found = faults(MAX_ORDER_AMOUNT="100", MIN_ORDER_AMOUNT="NGN:100.01")
    assert found == ["MIN_ORDER_AMOUNT is above MAX_ORDER_AMOUNT for NGN: write 100 or less."]


def test_the_base_may_be_an_origin_or_a_provider_path() -> None:
    """Both spellings lead to the same calls, with or without a final slash."""
    for base, provider in (
        ("https://a.example/", "https://a.example/v1/provider"),
        ("https://a.example/v1/provider/", "https://a.example/v1/provider"),
        ("https://a.example/behind/v2/provider", "https://a.example/behind/v2/provider"),
    ):
        assert read(AGGREGATOR_BASE_URL=base).aggregator.provider_url == provider


def test_the_previous_secret_verifies_beside_the_current_one() -> None:
    """During rotation both verify, the current one first; the same one twice is a mistake."""
    settings = read(AGGREGATOR_SECRET_KEY_PREVIOUS="older", LENCO_API_KEY_PREVIOUS="old-token")
    assert settings.aggregator.secrets == (GOOD["AGGREGATOR_SECRET_KEY"], "older")
    assert settings.lenco.api_keys == (GOOD["LENCO_API_KEY"], "old-token")
    assert faults(SECRET_KEY_PREVIOUS=GOOD["SECRET_KEY"])[0].startswith(
        "SECRET_KEY_PREVIOUS equals SECRET_KEY"
    )


def test_no_secret_is_shown() -> None:
    """Neither the settings' text nor a fault repeats a secret, database password included."""
    password = "pw-that-must-not-show"
    settings = read(
        DATABASE_URL=f"postgresql://me:{password}@db.example/tidegate?sslmode=require",
        METRICS_TOKEN="t" * 20,
    )
    for text in (repr(settings), str(settings)):
        for secret in (GOOD["SECRET_KEY"], GOOD["AGGREGATOR_SECRET_KEY"], password, "t" * 20):
            assert secret not in text
    found = faults(
        DATABASE_URL=f"postgresql://me:{password}@db.example:port/tidegate?sslmode=require",
        AGGREGATOR_BASE_URL=f"https://me:{password}@a.example",
        METRICS_TOKEN=password[:9],
    )
    assert len(found) == 3
    assert not any(password[:9] in fault for fault in found)


def test_settings_cannot_be_changed() -> None:
    """They are read once; nobody changes them afterwards."""
    settings = read()
    with pytest.raises(ValidationError):
        setattr(settings.server, "port", 1)  # noqa: B010 -- the type checker forbids it as well
    with pytest.raises(ValidationError):
        setattr(settings, "server", settings.server)  # noqa: B010 -- the same


def test_the_environment_rules_over_the_file(tmp_path: Path) -> None:
    """A variable in the environment wins; an empty one counts as not given; blanks vanish."""
    file = tmp_path / ".env"
    lines = [f"{name}={value}" for name, value in GOOD.items()]
    file.write_text("\n".join([*lines, "SERVER_PORT=8001", "LOG_LEVEL=debug", "# comment"]))
    settings = load({"SERVER_PORT": " 8002 ", "LOG_LEVEL": ""}, env_file=file)
    assert settings.server.port == 8002
    assert settings.observability.log_level == "DEBUG"


def test_a_missing_file_is_no_fault(tmp_path: Path) -> None:
    """Containers have no .env."""
    assert load(GOOD, env_file=tmp_path / "none")


def test_an_unreadable_file_is_a_fault(tmp_path: Path) -> None:
    """A file in another encoding is refused with a sentence, not with a traceback."""
    file = tmp_path / ".env"
    file.write_bytes(b"SECRET_KEY=\xff\xfe\n")
    with pytest.raises(ConfigurationError) as refusal:
        load(GOOD, env_file=file)
    assert refusal.value.faults[0].endswith(
        "cannot be read (UnicodeDecodeError): write it as UTF-8."
    )


def test_a_misspelt_name_in_the_file_is_a_fault(tmp_path: Path) -> None:
    """A limit that nobody reads limits nothing; names of other programs pass."""
    file = tmp_path / ".env"
    file.write_text("MAX_ORDER_AMOUNTS=5\nPOSTGRES_PASSWORD=x\nCOMPOSE_PROJECT_NAME=y\n")
    with pytest.raises(ConfigurationError) as refusal:
        load(GOOD, env_file=file)
    assert refusal.value.faults == [
        "MAX_ORDER_AMOUNTS is no setting: write MAX_ORDER_AMOUNT, or remove the line."
    ]


def test_the_process_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments the real environment counts, names as they are, letter case included."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("server_port", "1")
    monkeypatch.delenv("SERVER_PORT", raising=False)
    assert load(env_file=None).server.port == 8000


def test_every_default_can_be_written_as_it_is_shown() -> None:
    """What the reference shows as default, set explicitly, changes nothing."""
    shown = {
        name_of(field): text
        for _, _, field in fields()
        if (text := spelled(field.default)) and name_of(field) not in GOOD
    }
    assert len(shown) > 30
    assert load(GOOD | shown, env_file=None) == read()


def test_the_documents_are_in_step() -> None:
    """docs/configuration.md and .env.example are what the settings generate."""
    again = "run: python -m tidegate.settings.reference"
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == markdown(), again
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example(), again


def test_the_example_only_lacks_what_is_needed(tmp_path: Path) -> None:
    """A copied example, not filled in, names exactly the needed variables."""
    file = tmp_path / ".env"
    file.write_text(env_example())
    with pytest.raises(ConfigurationError) as refusal:
        load({}, env_file=file)
    assert {fault.split()[0] for fault in refusal.value.faults} == GOOD.keys()


def test_per_prefers_the_named_value() -> None:
    """A value of its own rules over the one for the rest; without either there is none."""
    per = Per(1, (("NGN", 2),))
    assert (per.get("NGN"), per.get("KES"), Per[int]().get("NGN")) == (2, 1, None)
    assert str(per) == "1,NGN:2"


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("postgresql://u:p@db.example/books", False),
        ("postgresql://u:p@db.example/books?sslmode=prefer", False),
        ("postgresql://u:p@db.example/books?sslmode=disable", False),
        ("postgresql://u:p@10.0.0.5:6432/books?sslmode=require", True),
        ("postgresql://u:p@db.example/books?sslmode=verify-full", True),
        ("postgresql://u:p@127.0.0.1/books", True),
        ("postgresql://u:p@localhost/books", True),
        ("postgresql://u:p@/books?host=/run/postgresql", True),
        ("sqlite:///books.db", True),
    ],
)
def test_a_database_on_another_machine_needs_tls(url: str, good: bool) -> None:
    """Without DEBUG, a connection that may be in clear is refused with what to write."""
    given = {**GOOD, "DATABASE_URL": url}
    if good:
        load(given, None)
        return
    with pytest.raises(ConfigurationError) as refused:
        load(given, None)
    (fault,) = refused.value.faults
    assert fault.startswith("DATABASE_URL ")
    assert "sslmode=verify-full" in fault
    sandbox = {"LENCO_BASE_URL": "https://sandbox.lenco.co/access/v1", "DEBUG": "true"}
    load({**given, **sandbox}, None)
