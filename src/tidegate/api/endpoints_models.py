"""What the routes of webhook endpoints take and answer, with examples for ``/docs``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from tidegate.payments.deliver_filters import FILTERS

__all__ = [
    "DELIVERY_ID",
    "ENDPOINT_ID",
    "Delivery",
    "Endpoint",
    "EndpointList",
    "EndpointWithSecret",
    "NewEndpoint",
    "PatchEndpoint",
    "Queued",
    "Since",
]

ENDPOINT_ID: Final = "we_01jd8m3q7v5x2n9c4t6b8r0w1z"
DELIVERY_ID: Final = "dlv_01jd8m4r8w6y3p0d5v7c9s1x2z4k7m2q9t1b"
_EVENT_ID: Final = "evt_01jd8m4r8w6y3p0d5v7c9s1x2z"
_PAYMENT_ID: Final = "pay_01jd8m4q6s2v8n1c3x5b7r9w0y"
_URL: Final = "https://shop.example.com/hooks/tidegate"
_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw0123456789A="  # noqa: S105 -- an example
_MOMENT: Final = "2026-11-21T10:00:00.000Z"

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
_Url = Annotated[
    str,
    Field(
        min_length=1,
        max_length=2048,
        description="An https URL on the public internet; redirects are not followed.",
        # Judged by the verb, which says what is wrong with it; http is for DEBUG.
        json_schema_extra={"pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$"},
    ),
]
_Events = Annotated[
    list[Annotated[str, Field(max_length=64, json_schema_extra={"enum": sorted(FILTERS)})]],
    Field(
        min_length=1,
        max_length=32,
        description=f"Types of events, or families of them: {', '.join(sorted(FILTERS))}.",
    ),
]


class _Taken(BaseModel):
    """What is sent to us: no field but these, each of its own type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NewEndpoint(_Taken):
    """Where to send which events."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": _URL, "events": ["payment.*", "refund.*"]}]}
    )
    url: _Url
    events: _Events


class PatchEndpoint(_Taken):
    """What to change; what is left out, or null, stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"enabled": True}]})
    url: _Url | None = None
    events: _Events | None = None
    enabled: bool | None = None


class Since(_Taken):
    """From when on to send again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"since": _MOMENT}]})
    since: Annotated[
        AwareDatetime,
        Field(strict=False, description="An RFC 3339 time; events of that moment are included."),
    ]

    @field_validator("since", mode="before")
    @classmethod
    def _spelt(cls, value: Any) -> Any:
        # Without strictness a number would be read as Unix seconds or milliseconds, by its size.
        if not isinstance(value, str) or "T" not in value.upper():
            raise ValueError("Input should be an RFC 3339 time, such as 2026-11-21T10:00:00Z")
        return value

    @property
    def since_ms(self) -> int:
        """Unix milliseconds, the fraction of one cut off."""
        elapsed = self.since - datetime(1970, 1, 1, tzinfo=UTC)
        return elapsed.days * 86_400_000 + elapsed.seconds * 1000 + elapsed.microseconds // 1000


_ENDPOINT: Final[dict[str, Any]] = {
    "id": ENDPOINT_ID,
    "object": "webhook_endpoint",
    "url": _URL,
    "events": ["payment.*", "refund.*"],
    "enabled": True,
    "disabled_reason": None,
    "failures": 0,
    "previous_secret_until": None,
    "created_at": _MOMENT,
    "updated_at": _MOMENT,
}


class Endpoint(BaseModel):
    """A receiver of events."""

    model_config = ConfigDict(json_schema_extra={"examples": [_ENDPOINT]})
    id: str
    object: Literal["webhook_endpoint"]
    url: str
    events: list[str]
    enabled: bool
    disabled_reason: str | None = Field(
        description="`by_user`; `gone`: it answered 410; `failing`: an event failed for five days."
    )
    failures: int = Field(description="Turns in a row in which nothing could be delivered.")
    previous_secret_until: Instant | None = Field(
        description="Until then the previous secret signs as well."
    )
    created_at: Instant
    updated_at: Instant


class EndpointWithSecret(Endpoint):
    """The receiver and its secret, which is shown this once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_ENDPOINT, "secret": _SECRET}]})
    secret: str = Field(description="For any Standard Webhooks library, as it is.")


class EndpointList(BaseModel):
    """All endpoints of the user, newest first: at most 16, so there is no further page."""

    data: list[Endpoint]
    next_cursor: None = None


class Attempt(BaseModel):
    """One try: the HTTP status, or why none was read, and the first KiB of the answer."""

    at: Instant
    status: int | None
    error: str | None
    answer: str
    took_ms: int


class Delivery(BaseModel):
    """One event on its way to one endpoint, with its latest 20 tries, newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": DELIVERY_ID,
                    "object": "webhook_delivery",
                    "endpoint_id": ENDPOINT_ID,
                    "event_id": _EVENT_ID,
                    "event_type": "payment.succeeded",
                    "payment_id": _PAYMENT_ID,
                    "sequence": 3,
                    "state": "delivered",
                    "tries": 1,
                    "next_try_at": None,
                    "last_status": 204,
                    "last_error": None,
                    "delivered_at": _MOMENT,
                    "created_at": _MOMENT,
                    "attempts": [
                        {"at": _MOMENT, "status": 204, "error": None, "answer": "", "took_ms": 48}
                    ],
                }
            ]
        }
    )
    id: str
    object: Literal["webhook_delivery"]
    endpoint_id: str
    event_id: str = Field(description="The `webhook-id` of every try.")
    event_type: str
    payment_id: str
    sequence: int = Field(description="The event's number within its payment, from 1.")
    state: Literal["waiting", "delivered", "given_up"]
    tries: int
    next_try_at: Instant | None = Field(
        description="Set while this event waits by itself; otherwise it goes with its endpoint."
    )
    last_status: int | None
    last_error: str | None
    delivered_at: Instant | None
    created_at: Instant
    attempts: list[Attempt]


class Queued(BaseModel):
    """How many events wait again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"queued": 12}]})
    queued: int
