"""What an operator of the aggregator could configure; defaults are LIVE's (section 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tidegate.sandbox.aggregator.signing import SpecStyle

__all__ = ["Terms"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Every interval is in seconds; tests make them short."""

    offer_ttl_s: float = 30.0
    """Life of an offer; it begins before the node is called (3.1)."""
    otc_ttl_s: float = 300.0
    reoffer: Literal["hosted", "stock"] = "hosted"
    """``hosted`` offers again as soon as an offer expires or is declined; ``stock`` leaves the
    order pending until the refund job comes by (3.6, note)."""
    reoffer_delay_s: float = 0.0
    offers_max: int = 3
    """How often this node may spoil an order (error, decline, expiry) before it is passed over."""
    cancellations_max: int = 3
    reassign_interval_s: float = 32.0
    """The job that takes cancelled and failed orders and offers them again."""
    refund_interval_s: float = 60.0
    refund_timeout_s: float = 300.0
    refunding_s: float = 1.0

    poll_interval_s: float = 32.0
    first_poll_after_s: float = 30.0
    """Age of an accept without any fulfil before shape 1 is asked (3.2)."""
    fulfilment_validity_s: float = 60.0
    """Age of a pending fulfilment before shape 2 is asked."""
    failure_window_s: float = 300.0
    """Age of a pending fulfilment from which a 400 marks it failed."""
    retry_windows_s: tuple[float, ...] = (600, 1800, 4200, 9000, 18600, 37800)
    """Ages at which such a failure is asked about again (shape 3)."""
    substring_trap: bool = False
    """Take any error whose text holds ``400`` for a 400, as LIVE does. Off, because a test's
    port may hold these digits."""

    settling_after_s: float = 1.0
    settled_after_s: float = 1.0
    """After ``settling`` began."""
    polled_settling_after_s: float = 300.0
    """The same for a success that was only learnt by asking (3.2)."""

    timestamp_age_s: int = 300
    node_timeout_s: float = 30.0
    slow_answer_s: float = 1.0
    """An offer answered later than this is held against the node."""
    balance_dialect: Literal["both", "live", "spec"] = "both"
    balance_work_s: float = 0.01
    """How long a balance update takes, so that overlapping ones can be seen."""
    row_lock: bool = False
    """Hold declines and balances back while an offer of their currency is unanswered (3.1)."""
    spec_style: SpecStyle = "sorted-ascii"

    slow_s: float = 5.0
    """How late a slow answer is (``accept_slow``, ``fulfil_slow``)."""
    refuse_s: float = 1.0
    """How long nobody listens after ``refuse_connection``."""
    retry_after_s: int = 1
