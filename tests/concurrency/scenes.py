"""Every scene by its name: what a process of a crowd can be told to play."""

from __future__ import annotations

from collections.abc import Mapping

from tests.concurrency import claims, hot_account, once, one_order, one_payment
from tests.concurrency.scene import OpenScene

__all__ = ["SCENES"]

SCENES: Mapping[str, OpenScene] = {
    "claims": claims.open_claims,
    "oversleepers": claims.open_oversleepers,
    "hot account": hot_account.open_scene,
    "once": once.open_scene,
    "order": one_order.open_scene,
    "payment": one_payment.open_scene,
}
