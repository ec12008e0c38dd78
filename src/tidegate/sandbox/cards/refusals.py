"""Why the processor says no: each refusal carries its HTTP status and the fields of ``error``.

``stored`` tells whether the answer is kept under the idempotency key: not for what failed
validation before the endpoint began to run (processor.md 1).
"""

from __future__ import annotations

from typing import Any

__all__ = ["Refusal", "card_error", "invalid", "not_found", "unexpected_state"]


class Refusal(Exception):
    """An error envelope in the making; ``more`` are further members such as ``decline_code``."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        stored: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.stored = stored
        self.more = more

    def error_json(self) -> dict[str, Any]:
        """The member ``error`` without what the server adds; absent fields are left out."""
        error: dict[str, Any] = {"message": self.message, "type": self.kind}
        if self.code is not None:
            error["code"] = self.code
            error["doc_url"] = f"https://stripe.com/docs/error-codes/{self.code.replace('_', '-')}"
        if self.param is not None:
            error["param"] = self.param
        return error | {key: value for key, value in self.more.items() if value is not None}


def invalid(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    """HTTP 400 for a parameter; nothing has begun, so nothing is stored."""
    return Refusal(message, code=code, param=param)


def not_found(kind: str, object_id: str, param: str, status: int = 404) -> Refusal:
    """``resource_missing``: 404 for what the path names, 400 for what a parameter names."""
    return Refusal(
        f"No such {kind}: {object_id!r}", status=status, code="resource_missing", param=param
    )


def unexpected_state(message: str, payment_intent: dict[str, Any]) -> Refusal:
    """The payment intent is in a status that does not allow this."""
    return Refusal(
        message,
        code="payment_intent_unexpected_state",
        stored=True,
        payment_intent=payment_intent,
    )


def card_error(
    message: str,
    *,
    code: str,
    decline_code: str | None,
    param: str | None = None,
    **more: Any,
) -> Refusal:
    """HTTP 402: the issuer, or who asks in its name, said no."""
    return Refusal(
        message,
        status=402,
        kind="card_error",
        code=code,
        param=param,
        stored=True,
        decline_code=decline_code,
        **more,
    )
