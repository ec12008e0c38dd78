"""Money that goes back, and what it all does to the balance: refunds, disputes, transactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tidegate.sandbox.cards.payments import Charge

__all__ = ["BalanceTransaction", "Dispute", "Refund"]


@dataclass(slots=True)
class BalanceTransaction:
    """One movement of our balance: ``amount`` signed, ``net`` is what is left after ``fee``."""

    id: str
    created: int
    kind: str
    category: str
    amount: int
    fee: int
    currency: str
    source: str
    fee_type: str = "stripe_fee"
    exchange_rate: float | None = None

    def json(self) -> dict[str, Any]:
        fees = [
            {
                "amount": self.fee,
                "application": None,
                "currency": self.currency,
                "description": "Processing fees",
                "type": self.fee_type,
            }
        ]
        return {
            "id": self.id,
            "object": "balance_transaction",
            "amount": self.amount,
            "available_on": self.created,
            "balance_type": "payments",
            "created": self.created,
            "currency": self.currency,
            "description": None,
            "exchange_rate": self.exchange_rate,
            "fee": self.fee,
            "fee_details": fees if self.fee else [],
            "net": self.amount - self.fee,
            "reporting_category": self.category,
            "source": self.source,
            "status": "available",
            "type": self.kind,
        }


@dataclass(slots=True)
class Refund:
    """Part of a charge on its way back; ``status`` is pending, succeeded or failed."""

    id: str
    created: int
    charge: Charge
    amount: int
    reason: str | None
    metadata: dict[str, str]
    status: str = "succeeded"
    balance_transaction: str | None = None
    failure_balance_transaction: str | None = None
    failure_reason: str | None = None

    def json(self) -> dict[str, Any]:
        refund: dict[str, Any] = {
            "id": self.id,
            "object": "refund",
            "amount": self.amount,
            "balance_transaction": self.balance_transaction,
            "charge": self.charge.id,
            "created": self.created,
            "currency": self.charge.intent.currency,
            "destination_details": {
                "card": {
                    "reference_status": "pending",
                    "reference_type": "acquirer_reference_number",
                    "type": "refund",
                },
                "type": "card",
            },
            "metadata": self.metadata,
            "payment_intent": self.charge.intent.id,
            "reason": self.reason,
            "receipt_number": None,
            "source_transfer_reversal": None,
            "status": self.status,
            "transfer_reversal": None,
        }
        if self.status == "pending":
            refund["pending_reason"] = "processing"
        if self.status == "failed":
            refund["failure_reason"] = self.failure_reason
            refund["failure_balance_transaction"] = self.failure_balance_transaction
        return refund


@dataclass(slots=True)
class Dispute:
    """A cardholder's complaint: ``needs_response``, then ``won`` or ``lost``."""

    id: str
    created: int
    charge: Charge
    amount: int
    reason: str
    status: str = "needs_response"
    balance_transactions: list[BalanceTransaction] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "dispute",
            "amount": self.amount,
            "balance_transactions": [line.json() for line in self.balance_transactions],
            "charge": self.charge.id,
            "created": self.created,
            "currency": self.charge.intent.currency,
            "enhanced_eligibility_types": [],
            "evidence": {},
            "evidence_details": {
                "due_by": self.created + 7 * 86_400,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
            },
            "is_charge_refundable": False,
            "livemode": False,
            "metadata": {},
            "payment_intent": self.charge.intent.id,
            "payment_method_details": {
                "card": {
                    "brand": self.charge.method.card.brand,
                    "case_type": "chargeback",
                    "network_reason_code": "83",
                },
                "type": "card",
            },
            "reason": self.reason,
            "status": self.status,
        }
