"""Rows are the queue (DESIGN 3): claiming them, running their verbs, trying again later."""
