"""Tidegate: a self-hosted payments service, money out and money in on one ledger."""

__version__ = "0.1.0"
