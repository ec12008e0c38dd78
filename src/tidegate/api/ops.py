"""The operators' routes (payments.md, "Operators"): role operator or admin, by the database.

Every action takes a reason and stands in the append-only log with who, when, from where, before
and after. None of them says where money went unasked: whoever moved it is looked up first.
"""

from __future__ import annotations

from fastapi import APIRouter

from tidegate.api import ops_cases, ops_node, ops_orders, ops_payments, ops_webhooks

__all__ = ["router"]

router = APIRouter()
for part in (ops_node, ops_orders, ops_payments, ops_cases, ops_webhooks):
    router.include_router(part.router)
