"""Reading a body: bounded, of a known type, before anything else is done with it."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from tidegate.errors import BodyTooLarge, UnreadableBody, UnsupportedMediaType

__all__ = ["BODY_MAX", "read_body", "require_json"]

BODY_MAX = 64 * 1024
_DIGITS_MAX = 20


async def read_body(request: Request) -> bytes:
    """The raw bytes, at most 64 KiB. Raises ``BodyTooLarge`` or ``UnreadableBody``."""
    # Servers let leading zeros pass, more of them than the interpreter converts to a number.
    announced = request.headers.get("content-length", "").lstrip("0")
    if announced.isdecimal() and (len(announced) > _DIGITS_MAX or int(announced) > BODY_MAX):
        raise BodyTooLarge()
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > BODY_MAX:
                raise BodyTooLarge()
            chunks.append(chunk)
    except ClientDisconnect:
        raise UnreadableBody("The body ended before it was complete.") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def require_json(request: Request) -> None:
    """The content type is JSON, or absent. Raises ``UnsupportedMediaType``."""
    kind = request.headers.get("content-type")
    if kind is None:
        return
    name = kind.partition(";")[0].strip().lower()
    if name != "application/json" and not name.endswith("+json"):
        raise UnsupportedMediaType()
