"""A card processor written from the contract and its public documentation alone."""
