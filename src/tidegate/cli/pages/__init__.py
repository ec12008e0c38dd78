"""The pages of ``docs/`` that are drawn from the code, so that they cannot say anything else.

``python -m tidegate.cli.pages`` writes them below the current directory; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tidegate.cli.pages.commands import commands_page
from tidegate.cli.pages.errors import errors_page
from tidegate.cli.pages.metrics import metrics_page
from tidegate.cli.pages.payment_states import payment_states_page
from tidegate.cli.pages.states import states_page

__all__ = ["PAGES", "commands_page", "errors_page", "metrics_page", "states_page"]

PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/commands.md": commands_page,
    "docs/errors.md": errors_page,
    "docs/metrics.md": metrics_page,
    "docs/payment-states.md": payment_states_page,
    "docs/states.md": states_page,
}
"""File, from the root of the repository, to the function that draws it."""
