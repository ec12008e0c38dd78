"""What runs Schemathesis against the service: the service, its data, the checks of our own."""
