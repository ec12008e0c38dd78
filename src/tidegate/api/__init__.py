"""The HTTP faces: the provision node, and later the payment API."""
