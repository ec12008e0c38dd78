"""Tests of Tidegate; ``support`` holds what they share."""
