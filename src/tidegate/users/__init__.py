"""Accounts, passwords, sessions and access tokens of the payment API (B1-B3)."""
