"""Many tasks at the same row, account or payment: on PostgreSQL in real processes."""
