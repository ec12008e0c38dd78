"""Payouts: orders of an aggregator, paid through PSPs (DESIGN 5)."""
