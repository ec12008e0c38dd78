"""DATABASE_URL: the common spellings, and what the drivers are told."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.engine import make_url

from tidegate.db.url import DatabaseUrl, parse
from tidegate.errors import ConfigurationError


def what_asyncpg_gets(url: DatabaseUrl) -> dict[str, object]:
    """The keyword arguments as SQLAlchemy's own dialect puts them together."""
    dialect = PGDialect_asyncpg()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it so
    made = make_url(url.sqlalchemy_url)
    _, arguments = dialect.create_connect_args(made)  # type: ignore[no-untyped-call]  # the same
    return {**arguments, **url.connect_args}


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///tidegate.db", "tidegate.db"),
        ("sqlite:///data/tidegate.db", "data/tidegate.db"),
        ("sqlite:////var/lib/tidegate.db", "/var/lib/tidegate.db"),
        ("sqlite+aiosqlite:///tidegate.db", "tidegate.db"),
        ("sqlite+pysqlite:////a.db", "/a.db"),
        ("sqlite:///my%20files/a.db", "my files/a.db"),
        ("  sqlite:///a.db\n", "a.db"),
        ("tidegate.db", "tidegate.db"),
        ("data/tidegate.sqlite3", "data/tidegate.sqlite3"),
        ("/var/lib/tidegate", "/var/lib/tidegate"),
        ("./tidegate", "./tidegate"),
    ],
)
def test_a_sqlite_file(text: str, path: str) -> None:
    """Three slashes are relative, four absolute; other drivers' names and bare files pass."""
    url = parse(text)
    assert (url.dialect, url.path, url.connect_args) == ("sqlite", path, {})
    assert url.display == f"sqlite:///{path}"


@pytest.mark.parametrize(
    "scheme",
    ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg2", "postgresql+psycopg"],
)
def test_a_postgresql_server(scheme: str) -> None:
    """Every usual scheme leads to asyncpg with the same arguments."""
    url = parse(f"{scheme}://me:pw@db.example:5433/books")
    assert url.sqlalchemy_url == "postgresql+asyncpg://me:pw@db.example:5433/books"
    assert what_asyncpg_gets(url) == {
        "user": "me",
        "password": "pw",
        "host": "db.example",
        "port": 5433,
        "database": "books",
        "server_settings": {"application_name": "tidegate"},
    }
    assert url.asyncpg_args == what_asyncpg_gets(url)


def test_odd_characters_arrive_as_meant() -> None:
    """Percent-encoded login parts are decoded once, and survive the way through SQLAlchemy."""
    url = parse("postgres://we%40ird:p%40ss%2Fw%3Ao%25r+d%23@db.example/my%20books")
    assert (url.user, url.password, url.database) == ("we@ird", "p@ss/w:o%r+d#", "my books")
    arguments = what_asyncpg_gets(url)
    assert arguments["user"] == url.user
    assert arguments["password"] == url.password
    assert arguments["database"] == url.database


def test_the_password_is_never_shown() -> None:
    """repr, str and the display form are for logs."""
    url = parse("postgresql://me:top-word@db.example/books?sslpassword=key-word")
    assert url.display == "postgresql://me:***@db.example:5432/books"
    for text in (repr(url), str(url), url.display):
        assert "top-word" not in text
        assert "key-word" not in text


@pytest.mark.parametrize(
    ("text", "host", "display"),
    [
        ("postgresql:///books?host=/run/postgresql", "/run/postgresql", "?host=/run/postgresql"),
        ("postgresql://me@/books?host=/tmp&port=5433", "/tmp", "?host=/tmp"),  # noqa: S108 -- read only
        ("postgresql://%2Frun%2Fpg/books?sslmode=require", "/run/pg", "?host=/run/pg"),
    ],
)
def test_a_unix_socket(text: str, host: str, display: str) -> None:
    """A directory as host is a socket; TLS has no meaning there."""
    url = parse(text)
    arguments = what_asyncpg_gets(url)
    assert arguments["host"] == host
    assert arguments["port"] == (5433 if "5433" in text else 5432)
    assert "ssl" not in arguments
    assert url.display.endswith(display)


def test_an_ipv6_address() -> None:
    """Brackets belong to the URL, not to the host."""
    url = parse("postgresql://[::1]:5433/books")
    assert (url.host, url.port) == ("::1", 5433)
    assert what_asyncpg_gets(url)["host"] == "::1"
    assert url.display == "postgresql://[::1]:5433/books"


@pytest.mark.parametrize("mode", ["allow", "prefer"])
def test_modes_with_a_fallback_are_left_to_the_driver(mode: str) -> None:
    """Only the driver can change its mind in the middle of a handshake."""
    assert parse(f"postgres://h/d?sslmode={mode}").connect_args["ssl"] == mode


def test_disable_means_no_tls() -> None:
    """sslmode=disable, and the spelling ssl=false."""
    assert parse("postgres://h/d?sslmode=disable").connect_args["ssl"] is False
    assert parse("postgres://h/d?ssl=false").connect_args["ssl"] is False


@pytest.mark.parametrize(
    ("mode", "verify", "host"),
    [
        ("require", ssl.CERT_NONE, False),
        ("verify-ca", ssl.CERT_REQUIRED, False),
        ("verify-full", ssl.CERT_REQUIRED, True),
    ],
)
def test_tls_checks_as_much_as_libpq(mode: str, verify: ssl.VerifyMode, host: bool) -> None:
    """require encrypts, verify-ca checks the chain, verify-full the name as well."""
    for name in ("sslmode", "ssl"):
        context = parse(f"postgres://h/d?{name}={mode}").connect_args["ssl"]
        assert isinstance(context, ssl.SSLContext)
        assert (context.verify_mode, context.check_hostname) == (verify, host)


def test_a_missing_certificate_is_a_sentence(tmp_path: Path) -> None:
    """The file is named by its parameter, not by a traceback."""
    url = parse(f"postgres://h/d?sslmode=verify-full&sslrootcert={tmp_path}/none.pem")
    with pytest.raises(ConfigurationError, match="sslrootcert"):
        _ = url.connect_args


def test_channel_binding_becomes_tls_and_a_note() -> None:
    """Hosted servers print channel_binding=require; the driver has none, so TLS is required."""
    url = parse("postgresql://me:pw@db.example/d?sslmode=prefer&channel_binding=require")
    assert url.ssl_mode == "require"
    assert "channel_binding" in url.notes[0]
    strict = parse("postgresql://h/d?sslmode=verify-full&channel_binding=require")
    assert strict.ssl_mode == "verify-full"
    assert parse("postgresql://h/d?channel_binding=prefer").notes == ()


def test_server_settings_are_passed_on() -> None:
    """options, application_name and schema reach the server as they are."""
    url = parse(
        "postgres://h/d?application_name=node-1&options=-c%20statement_timeout%3D5000&schema=pay"
    )
    assert url.connect_args["server_settings"] == {
        "application_name": "node-1",
        "options": "-c statement_timeout=5000",
        "search_path": "pay",
    }


def test_timeout_and_target() -> None:
    """connect_timeout is seconds; a server that takes writes may be asked for."""
    url = parse("postgres://h/d?connect_timeout=7&target_session_attrs=read-write")
    assert url.connect_args["timeout"] == 7.0
    assert url.connect_args["target_session_attrs"] == "read-write"


@pytest.mark.parametrize(
    "text",
    [
        "postgres://h/d?pgbouncer=true",
        "postgres://h:6432/d",
        "postgres://db.example:6543/d",
        "postgres://ep-x-pooler.eu.example/d",
        "postgres://aws-0.pooler.example/d",
        "postgres://h/d?statement_cache_size=0",
        "postgres://h/d?prepareThreshold=0",
    ],
)
def test_behind_a_pooler_no_statement_outlives_its_transaction(text: str) -> None:
    """Both caches are off and statements have no name that another client could own."""
    url = parse(text)
    arguments = url.connect_args
    assert url.pooled
    assert arguments["statement_cache_size"] == 0
    assert arguments["prepared_statement_cache_size"] == 0
    name = arguments["prepared_statement_name_func"]
    assert callable(name)
    assert name() == ""
    assert "prepared_statement_name_func" not in url.asyncpg_args


def test_a_pooler_can_be_denied() -> None:
    """pgbouncer=false rules over what the address looks like."""
    url = parse("postgres://h:6432/d?pgbouncer=false")
    assert not url.pooled
    assert "statement_cache_size" not in url.connect_args


def test_what_has_no_effect_is_noted() -> None:
    """Harmless parameters are left out, and said to be."""
    url = parse("postgres://h/d?keepalives=1&connection_limit=5")
    assert [note.split()[2] for note in url.notes] == ["connection_limit", "keepalives"]
    assert "keepalives" not in what_asyncpg_gets(url)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no kind"),
        ("mysql://h/d", "no kind"),
        ("tidegate", "no kind"),
        ("sqlite://", "memory"),
        ("sqlite:///:memory:", "memory"),
        ("sqlite:///file:x", "memory"),
        ("sqlite://tidegate.db", "two slashes"),
        ("sqlite:///~/tidegate.db", "~"),
        ("sqlite:///data/", "directory"),
        ("sqlite:///a.db?mode=ro", "parameters"),
        ("postgresql://h", "no database"),
        ("postgresql://h/", "no database"),
        ("postgresql://h1,h2/d", "several hosts"),
        ("postgresql://h1:5432,h2:5432/d", "several hosts"),
        ("postgresql:///d?host=h1,h2", "several hosts"),
        ("postgresql://h:port/d", "port"),
        ("postgresql://h:70000/d", "port"),
        ("postgresql://me:p/w@h/d", "%2F"),
        ("postgresql://me:p#w@h/d", "%23"),
        ("postgresql://h/d?sslmode=strict", "sslmode"),
        ("postgresql://h/d?sslmode=require&sslmode=disable", "twice"),
        ("postgresql://h/d?connect_timeout=soon", "connect_timeout"),
        ("postgresql://h/d?target_session_attrs=read-only", "written"),
        ("postgresql://h/d?gssencmode=require", "GSSAPI"),
        ("postgresql://h/d?service=x&krbsrvname=y", "krbsrvname, service"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_sentence(text: str, word: str) -> None:
    """One sentence, beginning with the variable, saying what to write."""
    with pytest.raises(ConfigurationError) as refusal:
        parse(text)
    (fault,) = refusal.value.faults
    assert fault.startswith("DATABASE_URL ")
    assert word in fault
    assert fault.endswith(".")
