"""What the tests share: a PostgreSQL server, databases, and a guard on the network."""
