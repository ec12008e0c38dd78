"""What the process was told: environment and ``.env``, read once into frozen groups."""

from tidegate.settings.groups import Settings
from tidegate.settings.reading import load
from tidegate.settings.values import Per

__all__ = ["Per", "Settings", "load"]
