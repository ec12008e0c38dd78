"""Write the pages below the current directory."""

from __future__ import annotations

from pathlib import Path

from tidegate.cli.pages import PAGES

for file, page in PAGES.items():
    Path(file).write_text(page(), encoding="utf-8")
