"""The double-entry ledger (DESIGN 4): immutable entries, exact balances, sealed blocks."""
