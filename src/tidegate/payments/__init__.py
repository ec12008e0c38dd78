"""Money in: payments by card through a processor (DESIGN 6)."""
