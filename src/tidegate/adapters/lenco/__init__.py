"""Lenco v1 (naira). ``adapter`` is the port, ``client`` speaks HTTP, ``reading`` and ``tables``
say what its answers mean, ``webhooks`` authenticates and reads what it sends."""

from tidegate.adapters.lenco.adapter import LencoBank

__all__ = ["LencoBank"]
