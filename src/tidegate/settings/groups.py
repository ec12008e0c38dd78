"""The settings as frozen groups; each field says its variable, default and meaning (D4).

``docs/configuration.md`` and ``.env.example`` are generated from these classes. Durations are
seconds, limits are ``Decimal`` in major units.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from tidegate.db.url import parse
from tidegate.settings.counterparties import AggregatorGroup, LencoGroup
from tidegate.settings.data import DataGroup
from tidegate.settings.group import DEVELOPMENT, Group, env, secrets_of
from tidegate.settings.payments import AccountsGroup, PaymentsGroup
from tidegate.settings.retention import RetentionGroup
from tidegate.settings.values import (
    AmountPer,
    BaseUrl,
    Count,
    CurrencyCodes,
    Database,
    Delay,
    Flag,
    Host,
    Identifier,
    LogLevel,
    Networks,
    OptionalFile,
    OptionalSecret,
    Origins,
    Per,
    Port,
    Ports,
    Psps,
    RatePer,
    Says,
    Schedule,
    Seconds,
    Secret,
    networks,
)

__all__ = [
    "DatabaseGroup",
    "IntervalsGroup",
    "NodeGroup",
    "ObservabilityGroup",
    "PayoutsGroup",
    "ServerGroup",
    "Settings",
    "WorkGroup",
]


class NodeGroup(Group):
    """Who this node is"""

    environment: Annotated[
        Literal["production", "staging", "sandbox"], Says("production | staging | sandbox")
    ] = env(
        "TIDEGATE_ENV",
        "production",
        "What the money is. Goes into every payout reference, so that real and play money never "
        "share one. When unset: `sandbox` with Lenco's sandbox, otherwise `production`.",
    )
    debug: Flag = env(
        "DEBUG",
        False,
        "Development: missing secrets get well-known values and plain http is allowed, except "
        "towards a live PSP.",
    )
    node_id: Annotated[Identifier | None, Says("an id")] = env(
        "NODE_ID",
        None,
        "Restores the node's identity after the database was lost. Otherwise leave it out: the "
        "identity is made at the first migration and kept in the database.",
    )
    secret_key: Secret = env(
        "SECRET_KEY",
        DEVELOPMENT,
        "Encrypts and peppers what is stored; 32 characters or more.",
        needed=True,
    )
    secret_key_previous: OptionalSecret = env(
        "SECRET_KEY_PREVIOUS", None, "The last `SECRET_KEY` while it is being replaced."
    )
    info_balances: Annotated[Literal["show", "hide"], Says("show | hide")] = env(
        "INFO_BALANCES", "show", "Whether `GET /info`, which anyone may read, tells balances."
    )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The current secret first, then the previous one if there is one."""
        return secrets_of(self.secret_key, self.secret_key_previous)


class ServerGroup(Group):
    """Listening"""

    host: Host = env("SERVER_HOST", "127.0.0.1", "The address to listen on.")
    port: Port = env("SERVER_PORT", 8000, "The port to listen on.")
    public_url: Annotated[BaseUrl | None, Says("an http(s) address", quiet=True)] = env(
        "PUBLIC_URL",
        None,
        "How others reach this node. Must not contain `400`: the aggregator looks for that text "
        "in error messages, which repeat the address.",
    )
    trusted_proxies: Networks = env(
        "TRUSTED_PROXIES", (), "Proxies whose `X-Forwarded-For` is believed."
    )
    cors_origins: Origins = env(
        "CORS_ORIGINS", (), "Origins whose pages may call the payment API; none when empty."
    )
    shutdown_delay: Delay = env(
        "SHUTDOWN_DELAY",
        0.0,
        "How long a serving process still answers after a stop signal while `/ready` says no, so "
        "that a load balancer stops sending before the listener closes.",
    )
    shutdown_grace: Seconds = env(
        "SHUTDOWN_GRACE", 25.0, "How long running turns may take to finish after a stop signal."
    )


class DatabaseGroup(Group):
    """Database"""

    url: Database = env(
        "DATABASE_URL",
        parse("sqlite:///tidegate.db"),
        "Where everything is kept: a SQLite file, or `postgresql://user:password@host:5432/name`. "
        "To another machine it must insist on TLS: `?sslmode=require`, or better "
        "`?sslmode=verify-full&sslrootcert=/path/to/ca.pem`, which also proves who answers.",
    )
    pool_size: Count = env("DATABASE_POOL_SIZE", 8, "Connections a process holds (PostgreSQL).")
    programs: Annotated[str | None, Says("a folder")] = env(
        "POSTGRESQL_PROGRAMS",
        None,
        "The folder of `pg_dump` and `pg_restore`, as new as the server or newer; otherwise they "
        "are found on the path. For `tidegate backup` and `restore`.",
    )


class PayoutsGroup(Group):
    """Payouts"""

    currencies: CurrencyCodes = env("CURRENCIES", ("NGN",), "What this node pays out.")
    provision_mode: Annotated[Literal["automatic", "manual"], Says("automatic")] = env(
        "PROVISION_MODE", "automatic", "`automatic`; `manual` is not offered yet."
    )
    psps: Psps = env("PAYOUTS_PSPS", ("lenco",), "PSPs in order of preference.")
    max_order_amount: AmountPer = env(
        "MAX_ORDER_AMOUNT", Per(), "The largest order taken; no limit when unset."
    )
    min_order_amount: AmountPer = env(
        "MIN_ORDER_AMOUNT", Per(), "The smallest order taken; no limit when unset."
    )
    critical_balance_threshold: AmountPer = env(
        "CRITICAL_BALANCE_THRESHOLD",
        Per(),
        "Below this available float an alert is raised and no more orders are taken.",
    )
    offer_ttl: Seconds = env(
        "OFFER_TTL",
        20.0,
        "How long after its arrival an offer may be accepted. The aggregator's own limit started "
        "earlier and is not told: stay well below it.",
    )
    accept_margin: Seconds = env(
        "ACCEPT_MARGIN", 2.0, "What must be left of the offer's time when accept is sent."
    )
    name_check: Annotated[Literal["off", "strict"], Says("off | strict")] = env(
        "NAME_CHECK",
        "off",
        "`strict` refuses a recipient whose bank tells another name than the order.",
    )
    lookup_schedule: Schedule = env(
        "LOOKUP_SCHEDULE",
        (5, 15, 30, 60, 120, 300, 600, 900),
        "The waits between questions about a payout whose outcome is open; the last one holds for "
        "a day, then it is an hour.",
    )
    not_found_count: Count = env(
        "NOT_FOUND_COUNT", 3, "How often a PSP must not know a payout before that means anything."
    )
    not_found_window: Seconds = env(
        "NOT_FOUND_WINDOW", 900.0, "The time over which these answers must be spread."
    )
    cool_off: Seconds = env(
        "COOL_OFF", 1800.0, "The wait before a failure with an ambiguous reason is believed."
    )
    hold_limit: Seconds = env(
        "HOLD_LIMIT", 1200.0, "How long an unpaid order waits for a person before it is cancelled."
    )
    psp_rest: Seconds = env(
        "PSP_REST",
        30.0,
        "How long a PSP gets no new orders after five failures in a row, or after one refusal "
        "that is our fault; each such refusal that follows doubles it, up to 15 minutes.",
    )
    zero_balance_on_shutdown: Flag = env(
        "ZERO_BALANCE_ON_SHUTDOWN",
        False,
        "Tell the aggregator a balance of zero when the last serving process stops.",
    )


class IntervalsGroup(Group):
    """Intervals"""

    order_poll: Seconds = env(
        "ORDER_POLL_INTERVAL",
        30.0,
        "Between comparisons of the aggregator's list of our orders with our rows.",
    )
    psp_status_check: Seconds = env(
        "PSP_STATUS_CHECK_INTERVAL",
        10.0,
        "Between sweeps for transfers that nobody would look after.",
    )
    balance_sync: Seconds = env(
        "BALANCE_SYNC_INTERVAL", 300.0, "Between readings of PSP balances, each then reported."
    )
    balance_push_gap: Seconds = env(
        "BALANCE_PUSH_GAP", 1.0, "The least time between two balance reports of one currency."
    )
    expiry_check: Seconds = env(
        "EXPIRY_CHECK_INTERVAL", 5.0, "Between sweeps for orders that nobody would go on with."
    )
    work_poll: Seconds = env(
        "WORK_POLL_INTERVAL", 1.0, "Between looks for due rows when nobody called."
    )
    institution_sync: Seconds = env(
        "INSTITUTION_SYNC_INTERVAL", 86400.0, "Between checks of each PSP's bank list."
    )
    processor_events: Seconds = env(
        "PROCESSOR_EVENTS_INTERVAL",
        300.0,
        "Between looks at the card processor's own list of events for those that never came.",
    )
    seal: Seconds = env("SEAL_INTERVAL", 60.0, "Between sealed blocks of the ledger.")
    audit: Seconds = env("AUDIT_INTERVAL", 3600.0, "Between audits of the ledger.")


class WorkGroup(Group):
    """Work"""

    accept_concurrency: Count = env("ACCEPT_CONCURRENCY", 32, "Accepts at a time, a process.")
    disburse_concurrency: Count = env("DISBURSE_CONCURRENCY", 32, "Payouts sent at a time.")
    confirm_concurrency: Count = env("CONFIRM_CONCURRENCY", 32, "Look-ups at a time.")
    report_concurrency: Count = env("REPORT_CONCURRENCY", 32, "Reports at a time.")
    payment_concurrency: Count = env(
        "PAYMENT_CONCURRENCY", 32, "Payments, refunds and disputes worked on at a time."
    )
    delivery_concurrency: Count = env(
        "DELIVERY_CONCURRENCY", 16, "Webhook endpoints that are told something at a time."
    )
    periodic_concurrency: Count = env("PERIODIC_CONCURRENCY", 4, "Other work at a time.")
    psp_concurrency: Count = env("PSP_CONCURRENCY", 32, "Calls in flight to one PSP, a process.")
    lookup_rate: RatePer = env(
        "LOOKUP_RATE", Per(Decimal(200)), "Look-ups a second, so that a PSP can recover."
    )
    heartbeat_file: OptionalFile = env(
        "HEARTBEAT_FILE",
        None,
        "A file that a working process touches every five seconds, for a probe of its own machine.",
    )


class ObservabilityGroup(Group):
    """Logs, metrics, traces, errors"""

    log_level: LogLevel = env("LOG_LEVEL", "INFO", "The least important lines to write.")
    log_format: Annotated[Literal["json", "console"], Says("json | console")] = env(
        "LOG_FORMAT", "json", "`console` is for people."
    )
    traces: Annotated[Literal["off", "otlp"], Says("off | otlp")] = env(
        "TRACES",
        "off",
        "`otlp`: traces of orders and payments go where the standard variables "
        "`OTEL_EXPORTER_OTLP_...` say, which are read from the environment alone. Needs the extra "
        "`otel`.",
    )
    sentry_dsn: OptionalSecret = env(
        "SENTRY_DSN",
        None,
        "Where errors are told to Sentry, redacted, without bodies and variables. Needs the extra "
        "`sentry`.",
    )
    metrics_token: OptionalSecret = env(
        "METRICS_TOKEN", None, "A bearer token that opens `/metrics` from anywhere."
    )
    metrics_allow: Networks = env(
        "METRICS_ALLOW",
        networks("127.0.0.0/8,::1/128"),
        "From where metrics are open without a token. On `SERVER_PORT` an address counts only "
        "where nothing says that a proxy stands in front: no header of one, no `TRUSTED_PROXIES`, "
        "no `https` in `PUBLIC_URL`.",
    )
    metrics_ports: Ports = env(
        "METRICS_PORTS",
        (),
        "Each process, workers too, shows its metrics on the first of these ports that is free; "
        "no listener when unset.",
    )
    metrics_host: Host = env(
        "METRICS_HOST", "127.0.0.1", "The address of that listener. Never put a proxy before it."
    )


class Settings(Group):
    """Everything the process was told, read once."""

    node: NodeGroup
    server: ServerGroup
    database: DatabaseGroup
    data: DataGroup
    aggregator: AggregatorGroup
    payouts: PayoutsGroup
    lenco: LencoGroup
    intervals: IntervalsGroup
    work: WorkGroup
    observability: ObservabilityGroup
    accounts: AccountsGroup
    payments: PaymentsGroup
    retention: RetentionGroup
