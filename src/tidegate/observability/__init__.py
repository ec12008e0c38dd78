"""Logs, redaction and metrics. Imports nothing of ours above it; knows no settings."""

from tidegate.observability.logging import bind, bound, clear, configure, get_logger
from tidegate.observability.metrics import Metrics
from tidegate.observability.redaction import redact_exchange

__all__ = ["Metrics", "bind", "bound", "clear", "configure", "get_logger", "redact_exchange"]
