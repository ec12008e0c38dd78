"""Backups, restoring them, and finding out what a restored copy does not know."""
