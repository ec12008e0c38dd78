"""Facts that hold for every input: models, round trips, walks, and parsers under odd bytes."""
