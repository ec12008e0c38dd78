"""``DATABASE_URL`` in the spellings people paste, translated for the drivers we use.

Accepted (D4): ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite+aiosqlite:///...``
and a bare file name; ``postgres://``, ``postgresql://`` and ``postgresql+<driver>://`` with
libpq's query parameters (the names and meanings of PostgreSQL's manual, section "Connection
Strings"), a Unix socket as ``?host=/directory``, and a pooler's address. What asyncpg cannot do
is either harmless, and then listed in ``notes``, or refused with a sentence.

Nothing here connects. Reading certificate files is put off until ``connect_args`` is asked for.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import parse_qsl, quote, unquote

from tidegate.errors import ConfigurationError

__all__ = ["DatabaseUrl", "parse"]

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")

_SQLITE = re.compile(r"sqlite(\+(aiosqlite|pysqlite))?://(?P<rest>.*)", re.DOTALL)
_POSTGRESQL = re.compile(
    r"postgres(ql)?(\+(asyncpg|psycopg|psycopg2|psycopg2cffi|psycopg_async|pg8000))?://(?P<rest>.*)",
    re.DOTALL,
)
_HOST = re.compile(r"[^\s/?#@\[\]]+")
_FILE = re.compile(r"[^:?#]+\.(db|sqlite|sqlite3)")
_TRUE = frozenset({"1", "true", "yes", "on", ""})

# pgbouncer's own port and the one that hosted PostgreSQL offers for transaction pooling.
_POOLER_PORTS = frozenset({6432, 6543})

# PostgreSQL cuts a connection's name off behind it.
_NAME_MAX = 63

# Harmless to leave out: they tune libpq or another library's pool, not what is true.
_IGNORED = frozenset(
    {
        "connection_limit",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "pool_timeout",
        "sslsni",
        "tcp_user_timeout",
    }
)


def _unnamed_statement() -> str:
    """The server's unnamed statement, which no other client of a pooled connection can own."""
    return ""


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """Where the database is, for the engine, and how to say so, for a person.

    ``path`` is the file (SQLite only, else empty). ``pooled`` means that a transaction pooler
    stands in between: prepared statements cannot outlive a transaction and LISTEN does not work.
    ``notes`` are sentences about what was left out, for ``doctor``.
    """

    dialect: Literal["sqlite", "postgresql"]
    display: str
    path: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    host: str = ""
    port: int = 5432
    database: str = ""
    ssl_mode: str = ""
    root_certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""
    client_key_password: str = field(default="", repr=False)
    timeout_s: float = 0.0
    target: str = ""
    server_settings: tuple[tuple[str, str], ...] = ()
    pooled: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_socket(self) -> bool:
        """Whether ``host`` is the directory of a Unix socket (TLS has no meaning there)."""
        return self.host.startswith(("/", "@"))

    @property
    def sqlalchemy_url(self) -> str:
        """For ``create_engine`` / ``create_async_engine``. Holds the password: never log it."""
        if self.dialect == "sqlite":
            return f"sqlite+pysqlite:///{quote(self.path)}"
        secret = f":{quote(self.password, safe='')}" if self.password else ""
        login = f"{quote(self.user, safe='')}{secret}@" if self.user or secret else ""
        return f"postgresql+asyncpg://{login}{self._address}/{quote(self.database, safe='')}"

    @property
    def connect_args(self) -> dict[str, object]:
        """SQLAlchemy's ``connect_args`` for asyncpg; empty for SQLite.

        Raises :class:`ConfigurationError` when a certificate file cannot be read.
        """
        if self.dialect == "sqlite":
            return {}
        args = self._connection_arguments()
        if self.is_socket:
            args |= {"host": self.host, "port": self.port}
        if self.pooled:
            args["prepared_statement_cache_size"] = 0
            name_of_statement: Callable[[], str] = _unnamed_statement
            args["prepared_statement_name_func"] = name_of_statement
        return args

    @property
    def asyncpg_args(self) -> dict[str, object]:
        """Keyword arguments for ``asyncpg.connect`` (the connection that listens)."""
        args = self._connection_arguments() | {
            "host": self.host,
            "port": self.port,
            "database": self.database,
        }
        if self.user:
            args["user"] = self.user
        if self.password:
            args["password"] = self.password
        return args

    def marked(self, mark: str) -> DatabaseUrl:
        """The same, with ``mark`` at the end of the name that PostgreSQL shows of a connection."""
        settings = dict(self.server_settings)
        if "application_name" in settings:
            kept = settings["application_name"][: _NAME_MAX - len(mark)]
            settings["application_name"] = kept + mark
        return replace(self, server_settings=tuple(settings.items()))

    @property
    def _address(self) -> str:
        if self.is_socket:
            return ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def _connection_arguments(self) -> dict[str, object]:
        args: dict[str, object] = {"server_settings": dict(self.server_settings)}
        if self.ssl_mode and not self.is_socket:
            args["ssl"] = self._ssl()
        if self.timeout_s:
            args["timeout"] = self.timeout_s
        if self.target:
            args["target_session_attrs"] = self.target
        if self.pooled:
            args["statement_cache_size"] = 0
        return args

    def _ssl(self) -> object:
        if self.ssl_mode == "disable":
            return False
        if self.ssl_mode in ("allow", "prefer"):
            # Only the driver knows how to fall back in the middle of a handshake.
            return self.ssl_mode
        try:
            return self._ssl_context()
        except OSError as problem:  # ssl.SSLError is one
            raise ConfigurationError(
                [
                    "DATABASE_URL names a certificate or key file that cannot be used "
                    f"({problem.strerror or type(problem).__name__}): write the path of a "
                    "readable PEM file in sslrootcert, sslcert and sslkey."
                ]
            ) from None

    def _ssl_context(self) -> ssl.SSLContext:
        named = self.root_certificate not in ("", "system")
        context = ssl.create_default_context(cafile=self.root_certificate if named else None)
        context.check_hostname = self.ssl_mode == "verify-full"
        # libpq: "require" checks the chain too once a root certificate is named.
        if self.ssl_mode == "require" and not self.root_certificate:
            context.verify_mode = ssl.CERT_NONE
        if self.client_certificate:
            context.load_cert_chain(
                self.client_certificate, self.client_key or None, self.client_key_password
            )
        return context


def parse(url: str) -> DatabaseUrl:
    """Read a database URL.

    Raises :class:`ConfigurationError` with one sentence; it never repeats the URL, which may
    hold a password.
    """
    url = url.strip()
    if match := _SQLITE.fullmatch(url):
        return _sqlite_from(match["rest"])
    if match := _POSTGRESQL.fullmatch(url):
        return _postgresql_from(match["rest"])
    if "://" not in url and (url.startswith(("/", "./", "../")) or _FILE.fullmatch(url)):
        return _sqlite(url)
    raise _fault(
        "is of no kind known here: write sqlite:///tidegate.db for a file, or "
        "postgresql://user:password@host:5432/database for a server."
    )


def _sqlite_from(rest: str) -> DatabaseUrl:
    location, _, query = rest.partition("?")
    if query:
        raise _fault("has parameters after the file name: write sqlite:/// and the path alone.")
    if location and not location.startswith("/"):
        raise _fault(
            "has two slashes before the file: write three for a relative path "
            "(sqlite:///tidegate.db) and four for an absolute one (sqlite:////data/tidegate.db)."
        )
    return _sqlite(unquote(location[1:]))


def _sqlite(path: str) -> DatabaseUrl:
    if path in ("", ":memory:") or path.startswith("file:"):
        raise _fault(
            "names a database in memory, which would forget every order at exit: write a file, "
            "such as sqlite:///tidegate.db."
        )
    if path.startswith("~"):
        raise _fault("starts with ~, which only a shell understands: write the path in full.")
    if path.endswith("/"):
        raise _fault("names a directory: write the path of a file, such as tidegate.db in it.")
    return DatabaseUrl(dialect="sqlite", path=path, display=f"sqlite:///{path}")


def _postgresql_from(rest: str) -> DatabaseUrl:
    if "#" in rest:
        raise _fault("holds a bare #: write %23 instead, also inside the password.")
    location, _, query_text = rest.partition("?")
    authority, _, database = location.partition("/")
    login, _, address = authority.rpartition("@")
    user, _, password = login.partition(":")
    query = _query(query_text)

    address_host, address_port = _split_address(address)
    host = query.pop("host", "") or address_host or "localhost"
    if "," in host or "," in address:
        raise _fault("names several hosts: write one, or the address of a proxy before them.")
    if not host.startswith(("/", "@")) and _HOST.fullmatch(host) is None:
        raise _fault("has no usable host: write a name or an address, or ?host=/ and a directory.")
    port = _port(query.pop("port", "") or address_port)
    database = query.pop("dbname", "") or unquote(database)
    if not database:
        raise _fault("names no database: write its name after the host, as in host:5432/tidegate.")
    user = query.pop("user", "") or unquote(user)
    password = query.pop("password", "") or unquote(password)

    pooled = _is_pooled(host, port, query)
    notes: list[str] = []
    ssl_mode = _ssl_mode(query)
    if query.pop("channel_binding", "") == "require":
        if ssl_mode in ("", "disable", "allow", "prefer"):
            ssl_mode = "require"
        notes.append(
            "channel_binding=require is not offered by the driver; TLS is required instead "
            "(sslmode=verify-full proves who the server is)."
        )
    url = DatabaseUrl(
        dialect="postgresql",
        display=_display(user, bool(password), host, port, database),
        user=user,
        password=password,
        host=host,
        port=port,
        database=database,
        ssl_mode=ssl_mode,
        root_certificate=query.pop("sslrootcert", ""),
        client_certificate=query.pop("sslcert", ""),
        client_key=query.pop("sslkey", ""),
        client_key_password=query.pop("sslpassword", ""),
        timeout_s=_timeout(query.pop("connect_timeout", "")),
        target=_target(query.pop("target_session_attrs", "")),
        server_settings=_server_settings(query),
        pooled=pooled,
        notes=(*notes, *_left_out(query)),
    )
    if query:
        raise _fault(f"has parameters that mean nothing here: remove {', '.join(sorted(query))}.")
    return url


def _query(text: str) -> dict[str, str]:
    query: dict[str, str] = {}
    # libpq reads "+" as itself, so it must not become a blank (a password may hold one).
    for name, value in parse_qsl(text.replace("+", "%2B"), keep_blank_values=True):
        if name in query:
            raise _fault(f"gives the parameter {name} twice: write it once.")
        query[name] = value
    return query


def _split_address(address: str) -> tuple[str, str]:
    if address.startswith("["):
        host, _, port = address[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = address.partition(":")
    return unquote(host), port


def _port(text: str) -> int:
    if not text:
        return 5432
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536):
        raise _fault(
            "has no usable port: write a number from 1 to 65535 after the host, and %40, %3A, "
            "%2F for @, :, / inside a password."
        )
    return int(text)


def _ssl_mode(query: dict[str, str]) -> str:
    mode = query.pop("sslmode", "") or query.pop("ssl", "")
    mode = {"true": "require", "1": "require", "false": "disable", "0": "disable"}.get(mode, mode)
    query.pop("ssl", None)
    if mode and mode not in SSL_MODES:
        raise _fault(f"has an unknown sslmode: write one of {', '.join(SSL_MODES)}.")
    return mode


def _is_pooled(host: str, port: int, query: dict[str, str]) -> bool:
    # Two names other libraries use for "no prepared statements, please".
    said = query.pop("pgbouncer", None)
    caches_off = [
        query.pop(name, None) == "0"
        for name in ("statement_cache_size", "prepared_statement_cache_size", "prepareThreshold")
    ]
    if said is not None:
        return said.lower() in _TRUE
    return any(caches_off) or "pooler" in host or "pgbouncer" in host or port in _POOLER_PORTS


def _timeout(text: str) -> float:
    if not text:
        return 0.0
    if not (text.isascii() and text.isdigit()):
        raise _fault("has an unusable connect_timeout: write whole seconds, such as 10.")
    return float(text)


def _target(text: str) -> str:
    if text in ("", "any"):
        return ""
    if text in ("primary", "read-write"):
        return text
    raise _fault("asks for a server that cannot be written to: write target_session_attrs=primary.")


def _server_settings(query: dict[str, str]) -> tuple[tuple[str, str], ...]:
    settings = {"application_name": query.pop("application_name", "") or "tidegate"}
    if options := query.pop("options", ""):
        settings["options"] = options
    if schema := query.pop("schema", ""):
        settings["search_path"] = schema
    return tuple(settings.items())


def _left_out(query: dict[str, str]) -> list[str]:
    if query.get("gssencmode") == "require":
        raise _fault("asks for GSSAPI encryption, which the driver lacks: write sslmode=require.")
    return [
        f"The parameter {name} of DATABASE_URL has no effect here."
        for name in sorted(_IGNORED & query.keys())
        if query.pop(name) is not None
    ]


def _display(user: str, has_password: bool, host: str, port: int, database: str) -> str:
    login = f"{user}{':***' if has_password else ''}@" if user else ""
    if host.startswith(("/", "@")):
        return f"postgresql://{login}/{database}?host={host}"
    return f"postgresql://{login}{f'[{host}]' if ':' in host else host}:{port}/{database}"


def _fault(sentence: str) -> ConfigurationError:
    return ConfigurationError([f"DATABASE_URL {sentence}"])
