"""The database: names and types, engine, and the one place that commits."""
