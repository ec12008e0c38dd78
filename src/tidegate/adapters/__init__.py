"""The other companies, each behind its port: everything that speaks their language lives here."""
