"""What people write on the command line, read; what cannot be read ends with exit code 2."""

from __future__ import annotations

import os
import pwd
import re
from datetime import UTC, datetime
from typing import Final

import typer

__all__ = ["moment", "needed_text", "operator"]

_AGO: Final = re.compile(r"([0-9]{1,9})\s*(s|m|min|h|d)")
_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
_OPERATOR_LENGTH_MAX: Final = 64


def moment(text: str, now_ms: int, option: str) -> int:
    """Unix milliseconds of ``30m`` (ago), ``2h``, ``1d``, or of a date and time.

    A date and time is RFC 3339 or a part of it (``2026-11-21``, ``2026-11-21T10:00``); without an
    offset it is UTC, as everything that is printed.
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now_ms - int(ago[1]) * _SECONDS[ago[2]] * 1000
    try:
        read = datetime.fromisoformat(text.strip())
        if read.tzinfo is None:
            read = read.replace(tzinfo=UTC)
        return round(read.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no moment: write 30m, 2h or 1d (ago), or 2026-11-21T10:00:00Z.",
            param_hint=option,
        ) from None


def needed_text(text: str, option: str, what: str) -> str:
    """``text`` without the blanks around it; refused when nothing is left."""
    if not text.strip():
        raise typer.BadParameter(f"{what} is empty: write a sentence.", param_hint=option)
    return text.strip()


def operator() -> str:
    """Who runs the command, for the operators' log: the user of the process, not what the
    environment claims."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user often has no name
        name = f"uid {os.getuid()}"
    return name[:_OPERATOR_LENGTH_MAX]
