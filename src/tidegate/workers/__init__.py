"""The process that works: a runner with every kind of work, and the periodic triggers."""
