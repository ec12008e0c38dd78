"""What the rows say, for metrics; who may read them; the listener that shows them."""
