"""A card processor that speaks Stripe's API (processor.md), with its own books and its faults.

server                              the company: start, stop, what may be asked of it
door, service, routes, answers      a call on its way in and out
form, refusals, keys                parameters, errors, idempotency
store, people, payments, returns    the objects and lists of them
wallet, desk, refunds               what callers may do
network, disputes, later            what happens by itself
settlement, books, currencies       the money
events, courier                     what it tells
catalogue, terms                    test cards, fees and times
control, three_ds                   ``/_sandbox``, for other processes and for people
"""

from tidegate.sandbox.cards.books import Books, Kind, Line
from tidegate.sandbox.cards.courier import sign
from tidegate.sandbox.cards.payments import Charge, PaymentIntent, Status
from tidegate.sandbox.cards.server import SandboxCards
from tidegate.sandbox.cards.terms import API_VERSION, Terms

__all__ = [
    "API_VERSION",
    "Books",
    "Charge",
    "Kind",
    "Line",
    "PaymentIntent",
    "SandboxCards",
    "Status",
    "Terms",
    "sign",
]
