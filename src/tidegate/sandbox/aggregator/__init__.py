"""The sandbox's aggregator: it plays the other company, written from its wire contract alone.

Nothing here is shared with the node's own code, so that a mistake has to be made twice to hide.

    server          the company: start, stop, offer, wait, judge
    terms           every interval and variant
    book, orders    the order book and its states (section 5)
    accept, report  what the node says about an order (4.1 to 4.4)
    balances        what it says about its money (4.5)
    queries         what it asks (4.6)
    offering        offers to the node (3.1)
    polling         questions to the node (3.2)
    node_client, signing, authentication, provider, envelope    the wire (sections 1 and 2)
    judgement       what is held against the node
    control         ``/_sandbox``, for other processes
"""

from tidegate.sandbox.aggregator.judgement import Violation, Wrong
from tidegate.sandbox.aggregator.orders import Order, Status
from tidegate.sandbox.aggregator.server import SandboxAggregator
from tidegate.sandbox.aggregator.terms import Terms

__all__ = ["Order", "SandboxAggregator", "Status", "Terms", "Violation", "Wrong"]
