"""What ages out, what is kept for ever, and how a person is forgotten (D11)."""
